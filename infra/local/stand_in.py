"""OpenAI stand-in of `infra/local/openai` and its commands, which its README describes."""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from openai import DefaultHttpxClient, OpenAI

from infra.local.processes import ROOT, Process, StartError, require_free

BINARY = ROOT / "target" / "local" / "openai-stand-in"
API_KEY = "sk-local"

_START_TIMEOUT_SECONDS = 20.0
_ANSWER_TIMEOUT_SECONDS = 60.0

Json = dict[str, Any]


class StandIn:
    """Private OpenAI with its own port, objects and webhooks."""

    def __init__(self, directory: Path, *, port: int = 0, retry_factor: float = 0.001, bind: str = "127.0.0.1") -> None:
        """Start it, with its log in `directory`. `retry_factor` shortens the 72 hours of webhook retries.

        Containers reach it when `bind` is `0.0.0.0`.
        Raises `StartError` if it fails to start, or if `port` is in use.
        """
        if not BINARY.is_file():
            raise StartError(f"{BINARY} does not exist. Build it: cargo build --profile local -p openai-stand-in")
        if port:
            require_free(port)
        self.log = directory / "openai-stand-in.log"
        port_file = directory / "openai-stand-in.port"
        directory.mkdir(parents=True, exist_ok=True)
        port_file.unlink(missing_ok=True)
        command: list[str | Path] = [BINARY, "--listen", f"{bind}:{port}", "--port-file", port_file]
        command += ["--api-key", API_KEY, "--retry-factor", str(retry_factor)]
        # Without the caller's proxies, so that deliveries stay on the loopback device.
        self._process = Process("The OpenAI stand-in", command, self.log, {"PATH": os.environ.get("PATH", os.defpath)})
        try:
            self._process.wait_until_ready(lambda: _filled(port_file), _START_TIMEOUT_SECONDS)
        except BaseException:
            self.stop()
            raise
        self.url = f"http://127.0.0.1:{port_file.read_text().strip()}"
        self.base_url = f"{self.url}/v1"
        """Base URL for the official SDK and the functions."""

    def sdk(self, api_key: str = API_KEY) -> OpenAI:
        """Official Python SDK with this base URL."""
        http = DefaultHttpxClient(trust_env=False)
        return OpenAI(base_url=self.base_url, api_key=api_key, max_retries=0, http_client=http)

    def restrict(self, api_key: str, *permissions: str) -> None:
        """Restrict a key, new or not, to permissions such as `api.webhooks.read`."""
        self.command("POST", "keys", {"key": api_key, "permissions": permissions})

    def clear_keys(self) -> None:
        """Remove all keys and restrictions but the usual key."""
        self.command("DELETE", "keys")

    def register(
        self, url: str, secret: str | Sequence[str], endpoint: str = "project", scheme: str = "standard-webhooks"
    ) -> None:
        """Deliver to `url` what is sent to this endpoint name, signed with the secret; with several, by each of them.

        OpenAI sends to `project` and `organization`; any other name gets what `deliver` sends to it.
        A relay of the older scheme signs by `timestamped-hex`, with one secret of any text.
        """
        named = {"secret": secret} if isinstance(secret, str) else {"secrets": list(secret)}
        self.command("POST", "webhooks", {"url": url, "endpoint": endpoint, "scheme": scheme, **named})

    def endpoints(self) -> list[Json]:
        """Endpoints created through `/v1`, newest first, with their current `signing_secrets`, newest first."""
        return self.command("GET", "webhook_endpoints")["webhook_endpoints"]

    def end_old_secret(self, endpoint_id: str) -> None:
        """End the 24 hours in which an old secret still signs."""
        self.command("POST", f"webhook_endpoints/{endpoint_id}/end_old_secret")

    def advance(self, batch_id: str, status: str, **options: Any) -> Json:
        """Change a batch's status; a terminal status delivers its webhook. Returns `{"batch", "deliveries"}`."""
        return self.command("POST", f"batches/{batch_id}/advance", {"status": status, **options})

    def finish_response(self, response_id: str, status: str = "completed", **options: Any) -> Json:
        """Finish a background response, which delivers its webhook. Returns `{"response", "deliveries"}`."""
        return self.command("POST", f"responses/{response_id}/finish", {"status": status, **options})

    def finish_fine_tuning(self, job_id: str, status: str = "succeeded", **options: Any) -> Json:
        """Finish a fine-tuning job, which delivers its webhook. Returns `{"job", "deliveries"}`."""
        return self.command("POST", f"fine_tuning/{job_id}/finish", {"status": status, **options})

    def agent_session(self, **options: Any) -> Json:
        """Create a session of an agent, which delivers its webhook. Returns `{"session", "deliveries"}`."""
        return self.command("POST", "agents/sessions", options)

    def move_agent_session(self, session_id: str, status: str, **options: Any) -> Json:
        """Change a session's status, which delivers its webhook. Returns `{"session", "deliveries"}`."""
        return self.command("POST", f"agents/sessions/{session_id}/move", {"status": status, **options})

    def agent_environment(self, status: str, environment_id: str | None = None, **options: Any) -> Json:
        """Create an environment, or change its status. Four of the statuses have a webhook."""
        path = "agents/environments" if environment_id is None else f"agents/environments/{environment_id}/move"
        return self.command("POST", path, {"status": status, **options})

    def safety_alert(self, **options: Any) -> Json:
        """Raise a safety alert, which delivers its webhook. Returns `{"alert", "deliveries"}`."""
        return self.command("POST", "safety/alerts", options)

    def safety_case(self, notice: str, **options: Any) -> Json:
        """Issue a `warning` or a `deactivation`, which delivers its webhook. Returns `{"case", "deliveries"}`."""
        return self.command("POST", "safety/cases", {"notice": notice, **options})

    def block_identifier(self, safety_category: str, **options: Any) -> Json:
        """Block a safety identifier, which delivers its webhook. Returns `{"deliveries"}`."""
        return self.command("POST", "safety/blocked", {"safety_category": safety_category, **options})

    def call_in(self, **options: Any) -> Json:
        """Make a phone call, which delivers its events and plays its `plan`. Returns `{"call", "deliveries"}`."""
        return self.command("POST", "calls", options)

    def call(self, call_id: str) -> Json:
        """Phone call, by its id at either API: its state, the API that acted, the request, and its session."""
        return self.command("GET", f"calls/{call_id}")

    def play(self, call_id: str, *steps: Json | str) -> None:
        """Append steps to the script of an accepted call."""
        self.command("POST", f"calls/{call_id}/play", list(steps))

    def plan_next(self, **plan: Any) -> None:
        """Set the plan of the next session that a client creates."""
        self.command("POST", "calls/next", plan)

    def put_file(self, **options: Any) -> Json:
        """Create a file: `text=...`, or `line=..., lines=...` for one that is generated while it is read."""
        return self.command("POST", "files", options)

    def deliver(self, event_type: str | None = None, data: Json | None = None, **options: Any) -> list[Json]:
        """Sign and deliver an event, or with `body=...` any bytes. Returns the deliveries."""
        event = {"type": event_type, "data": data if data is not None else {}} if event_type is not None else {}
        return self.command("POST", "deliver", {**event, **options})["deliveries"]

    def deliveries(self, **filters: str) -> list[Json]:
        """Deliveries with their attempts; filter by `webhook_id`, `event_id` or `type`."""
        query = f"?{urllib.parse.urlencode(filters)}" if filters else ""
        return self.command("GET", f"deliveries{query}")["deliveries"]

    def fault(self, route: str, kind: str, times: int | None = None, **details: Any) -> None:
        """Apply a fault to the next `times` requests, or to all, of a route such as `GET /v1/files/{id}/content`."""
        limited = {} if times is None else {"times": times}
        self.command("POST", "faults", {"route": route, "fault": {"kind": kind, **details}, **limited})

    def clear_faults(self) -> None:
        """Remove all faults."""
        self.command("DELETE", "faults")

    def requests(self) -> list[Json]:
        """Requests under `/v1`: method, path, count, and the statuses in order."""
        return self.command("GET", "requests")["requests"]

    def calls(self, method: str, path: str) -> int:
        """Number of requests to this path."""
        return sum(r["count"] for r in self.requests() if (r["method"], r["path"]) == (method, path))

    def command(self, method: str, path: str, body: Json | list[Json | str] | None = None) -> Json:
        """Send a command: a path under `/_control/` and a JSON body."""
        request = urllib.request.Request(
            f"{self.url}/_control/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        try:
            with _OPENER.open(request, timeout=_ANSWER_TIMEOUT_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise ValueError(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from None

    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.running()

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _filled(file: Path) -> bool:
    return file.is_file() and file.read_text().strip() != ""
