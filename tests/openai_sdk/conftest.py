"""The official SDK as the stand-in's client, and a receiver for its deliveries."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from openai import OpenAI

from infra.local.stand_in import StandIn
from infra.local.web_server import Answer, Request, WebServer
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

    def take(request: Request) -> Answer:
        taken.deliveries.append(Delivery(dict(request.headers.items()), request.body))
        return taken.statuses.pop(0) if taken.statuses else 200, (), b""

    with WebServer(take) as server:
        taken = Receiver(f"{server.url}/webhooks/project")
        yield taken
