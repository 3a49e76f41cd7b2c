"""A domain of one's own before a stack's HTTP API, as CloudFront is one: it passes on everything but the host."""

import http.client
from contextlib import closing

from infra.local.stack import Stack
from infra.local.web_server import Answer, Request, WebServer

_HOP_BY_HOP = ("connection", "content-length", "keep-alive", "transfer-encoding", "date", "server")


class Front(WebServer):
    """The domain. The stack, which needs its address, is set before the first request."""

    def __init__(self) -> None:
        """Start it."""
        self.stack: Stack | None = None
        super().__init__(self._pass_on)

    def _pass_on(self, request: Request) -> Answer:
        assert self.stack is not None
        port = self.stack.emulator.port
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        headers["Host"] = f"{self.stack.outputs['ApiId']}.execute-api.127.0.0.1:{port}"
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=40)) as connection:
            connection.request(request.method, request.path, request.body, headers)
            answer = connection.getresponse()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP]
            return answer.status, kept, answer.read()
