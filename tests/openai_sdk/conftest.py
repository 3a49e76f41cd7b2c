"""The official SDK as the stand-in's client, and a receiver for its deliveries."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from openai import OpenAI

from infra.local.stand_in import StandIn
from tests.waiting import wait_until


@dataclass
class Delivery:
    """A delivery as it arrived."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A web server that takes deliveries, and answers with `statuses`, then 200."""

    url: str
    deliveries: list[Delivery] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def wait_for(self, count: int) -> list[Delivery]:
        """The deliveries, once there are `count`."""
        wait_until(f"{count} deliveries arrived", lambda: len(self.deliveries) >= count)
        return self.deliveries


@pytest.fixture
def client(openai: StandIn) -> OpenAI:
    """The official SDK, pointed at the stand-in; it doesn't retry."""
    return openai.sdk()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on a port of its own."""
    taken: Receiver

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            taken.deliveries.append(Delivery(dict(self.headers.items()), body))
            self.send_response(taken.statuses.pop(0) if taken.statuses else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    taken = Receiver(f"http://127.0.0.1:{server.server_port}/webhooks/project")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield taken
    server.shutdown()
    server.server_close()
    thread.join()
