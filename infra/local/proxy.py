"""Proxy between the functions of a stack and the emulator. What it does with each request, its subclass says."""

import http.client
import io
import sys
import threading
import time
import zipfile
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, Self

from infra.local.deploy import BINARIES
from infra.local.stack import Stack

_PASSING_ON_TIMEOUT_SECONDS = 30.0
_HOP_BY_HOP = ("connection", "content-length", "keep-alive", "transfer-encoding")


@dataclass(frozen=True)
class Request:
    """Request of a function to AWS."""

    method: str
    path: str
    operation: str
    """Such as `secretsmanager.GetSecretValue`; empty for S3 and SNS, which go by path and body."""
    body: bytes


@dataclass(frozen=True)
class Treatment:
    """What happens to a request."""

    delay: float = 0.0
    """Seconds before anything else happens."""
    answer: tuple[int, bytes] | None = None
    """Status and body to answer with; the request is not passed on."""
    lose: Literal["request", "answer"] | None = None
    """What gets lost: the connection is closed before the request is passed on, or before it is answered."""
    body: bytes | None = None
    """Body to pass on instead of the request's."""


class Proxy:
    """Web server on the loopback device that stands in for ministack towards functions."""

    def __init__(self, stack: Stack) -> None:
        """Start it. Nothing uses it before `take`."""
        self._stack = stack
        self._server = _Server(("127.0.0.1", 0), _handler(self, stack.emulator.port))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def treat(self, _request: Request) -> Treatment:
        """What happens to a request. Called from many threads."""
        return Treatment()

    def changed(self, _request: Request, _status: int, body: bytes) -> bytes:
        """Body of an answer, as the function shall get it. Called from many threads."""
        return body

    def take(self, function: str) -> None:
        """Let everything that a function of the stack asks of AWS come here first.

        ministack tells every function its own address, whatever the function's configuration says, so the very binary
        is started by a line of shell that changes the address.
        """
        start = f"#!/bin/sh\nAWS_ENDPOINT_URL={self.url} exec '{BINARIES / function}'\n"
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o100755 << 16
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(entry, start)
        functions = self._stack.emulator.client("lambda")
        functions.update_function_code(FunctionName=f"{self._stack.name}-{function}", ZipFile=packed.getvalue())

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *address: object) -> None:
        """Say nothing of a function that was killed, or gave up."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*address)


def _handler(proxy: Proxy, port: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            request = Request(self.command, self.path, self.headers.get("x-amz-target", ""), body)
            treatment = proxy.treat(request)
            time.sleep(treatment.delay)
            if treatment.lose == "request":
                self.close_connection = True
                return
            if treatment.answer is not None:
                status, answer = treatment.answer
                self._answer(status, {"content-type": "application/xml"}, answer)
                return
            headers = dict(self.headers.items())
            if treatment.body is not None:
                body = treatment.body
                headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
                headers["content-length"] = str(len(body))
            onward = http.client.HTTPConnection("127.0.0.1", port, timeout=_PASSING_ON_TIMEOUT_SECONDS)
            # The host is signed, so it goes on as the function wrote it.
            onward.request(self.command, self.path, body, headers)
            response = onward.getresponse()
            answer = proxy.changed(request, response.status, response.read())
            onward.close()
            if treatment.lose == "answer":
                self.close_connection = True
                return
            self._answer(response.status, dict(response.getheaders()), answer)

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
