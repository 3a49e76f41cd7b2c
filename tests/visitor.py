"""Somebody with a browser that has no engine: cookies are kept, redirects are not followed, every header is decided."""

import http.client
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit


@dataclass(frozen=True)
class Page:
    """An answer."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.text)

    def reason(self) -> str | None:
        """The code of a refusal, of a page or of a problem."""
        found = re.search(r"<code>([a-z_]+)</code>|\"reason\":\"([a-z_]+)\"", self.text)
        return found and (found[1] or found[2])


@dataclass
class Visitor:
    """Somebody who visits `base`, an address without a slash at the end."""

    base: str
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Page:
        """Ask for an address: a path below the base, or a whole URL."""
        return self.ask("GET", path, None, headers)

    def post(self, path: str, form: dict[str, str] | None = None, **headers: str) -> Page:
        """Send a form."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return self.ask("POST", path, urlencode(form or {}), headers)

    def post_json(self, path: str, content: Any, **headers: str) -> Page:
        """Send JSON."""
        return self.ask("POST", path, json.dumps(content), {"Content-Type": "application/json", **headers})

    def csrf(self) -> str:
        """The token that forms of this session carry."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.get("/console/help").text)
        assert found, "there is no form"
        return found[1]

    def act(self, path: str, **form: str) -> Page:
        """Send a form as its page does."""
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(self.base))
        return self.post(path, {"csrf": self.csrf(), **form}, Origin=origin)

    def ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Page:
        """Send any request."""
        url = urlsplit(path if path.startswith("http") else self.base + path)
        connection = http.client.HTTPConnection(url.netloc, timeout=40)
        if self.cookies and "Cookie" not in headers:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        whole = url.path + (f"?{url.query}" if url.query else "")
        connection.request(method, whole, body, headers)
        answer = connection.getresponse()
        page = Page(answer.status, answer.headers, answer.read().decode(errors="replace"))
        connection.close()
        for cookie in page.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        return page
