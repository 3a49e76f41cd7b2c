"""Something between a function and AWS that a test commands: it passes everything on, unless told otherwise."""

import http.client
import io
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from infra.local.deploy import BINARIES
from infra.local.stack import Stack

_PASSING_ON_TIMEOUT_SECONDS = 30.0
_HOP_BY_HOP = ("connection", "content-length", "keep-alive", "transfer-encoding")


@dataclass(frozen=True)
class Request:
    """A request of the function to AWS."""

    method: str
    path: str
    operation: str
    """Such as `secretsmanager.GetSecretValue`; empty for S3, which goes by method and path."""
    body: bytes


@dataclass
class _Refusal:
    fits: Callable[[Request], bool]
    status: int
    answer: bytes
    left: int


class Between:
    """A web server on the loopback device that stands in for ministack towards a function."""

    def __init__(self, stack: Stack) -> None:
        """Start it. Nothing uses it before `take`."""
        self._stack = stack
        self._refusals: list[_Refusal] = []
        self._changes: list[tuple[Callable[[Request], bool], Callable[[bytes], bytes]]] = []
        self._delays: list[tuple[Callable[[Request], bool], float]] = []
        self._lock = threading.Lock()
        self.seen: list[Request] = []
        """Every request so far."""
        self.refused: list[Request] = []
        """Those of them that were refused."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, stack.emulator.port))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def take(self, function: str) -> None:
        """Let everything that a function of the stack asks of AWS come here first.

        ministack tells every function its own address, whatever the function's configuration says, so the very binary
        is started by a line of shell that changes the address.
        """
        url = f"http://127.0.0.1:{self._server.server_port}"
        start = f"#!/bin/sh\nAWS_ENDPOINT_URL={url} exec '{BINARIES / function}'\n"
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o100755 << 16
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(entry, start)
        functions = self._stack.emulator.client("lambda")
        functions.update_function_code(FunctionName=f"{self._stack.name}-{function}", ZipFile=packed.getvalue())

    def refuse(self, fits: Callable[[Request], bool], times: int, *, status: int, answer: bytes) -> None:
        """Answer the next `times` requests that fit with this, and pass none of them on."""
        self._refusals.append(_Refusal(fits, status, answer, times))

    def delay(self, fits: Callable[[Request], bool], seconds: float) -> None:
        """Pass every request that fits on only after this time."""
        self._delays.append((fits, seconds))

    def change(self, fits: Callable[[Request], bool], change: Callable[[bytes], bytes]) -> None:
        """Change the body of every successful answer to a request that fits. A later change replaces earlier ones."""
        self._changes[:] = [(fits, change)]

    def count(self, operation: str) -> int:
        """How many requests of this operation there were."""
        return sum(request.operation == operation for request in self.seen)

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _refusal(self, request: Request) -> _Refusal | None:
        with self._lock:
            self.seen.append(request)
            for refusal in self._refusals:
                if refusal.left > 0 and refusal.fits(request):
                    refusal.left -= 1
                    self.refused.append(request)
                    return refusal
        return None

    def _wait(self, request: Request) -> None:
        for fits, seconds in self._delays:
            if fits(request):
                time.sleep(seconds)

    def _changed(self, request: Request, status: int, body: bytes) -> bytes:
        if status == 200:
            for fits, change in self._changes:
                if fits(request):
                    return change(body)
        return body


def _handler(between: Between, port: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            operation = self.headers.get("x-amz-target", "")
            request = Request(self.command, self.path, operation, body)
            if (refusal := between._refusal(request)) is not None:
                self._answer(refusal.status, {"content-type": "application/xml"}, refusal.answer)
                return
            between._wait(request)
            onward = http.client.HTTPConnection("127.0.0.1", port, timeout=_PASSING_ON_TIMEOUT_SECONDS)
            # The host is signed, so it goes on as the function wrote it.
            onward.request(self.command, self.path, body, dict(self.headers.items()))
            response = onward.getresponse()
            answer = between._changed(request, response.status, response.read())
            self._answer(response.status, dict(response.getheaders()), answer)
            onward.close()

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass_on  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return Handler
