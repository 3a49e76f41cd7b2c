"""A browser without an engine, and a proxy that counts what the console asks of AWS and repeats the answers."""

import http.client
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.python import units
from infra.local.console import COMMAND
from infra.local.proxy import Proxy, Request, Treatment
from infra.local.stack import Stack
from infra.local.stand_in import Json

LATENCY = 0.010
"""Seconds after which an answer of DynamoDB's is given again, and as much more for each 100 kB of it."""

_STEP_BYTES = 100_000
_ENTRY_BYTES = 350
"""What the index holds of an event, if an answer has none to measure."""
_READS = ("Query", "GetItem", "BatchGetItem")
_TIME = re.compile(rb"\b\d{13}\b")


class NotAPageError(Exception):
    """An answer that is no page."""


class Browser:
    """One connection to the console, signed in, as a browser has it."""

    def __init__(self, link: str) -> None:
        """Open the link."""
        place = urlsplit(link)
        self._connection = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=120)
        self._base = place.path.removesuffix("/enter")
        self._cookie = ""
        self._connection.request("GET", f"{place.path}?{place.query}")
        answer = self._connection.getresponse()
        answer.read()
        self._cookie = (answer.getheader("set-cookie") or "").partition(";")[0]

    def get(self, path: str) -> tuple[int, float]:
        """Bytes and milliseconds of a page below the console's, or of a path after `API`."""
        started = time.perf_counter()
        body = self._ask(path, "gzip")
        return len(body), (time.perf_counter() - started) * 1000

    def text(self, path: str) -> str:
        """A page, not compressed."""
        return self._ask(path, "identity").decode()

    def _ask(self, path: str, encoding: str) -> bytes:
        root = self._base.removesuffix("/console")
        url = root + path.removeprefix("API") if path.startswith("API") else self._base + path
        self._connection.request("GET", url, headers={"Accept-Encoding": encoding, "Cookie": self._cookie})
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status not in (200, 404):
            raise NotAPageError(f"{url} answered {answer.status}")
        return body


def deployed_link(stack: Stack) -> str:
    """A link for the console that the stack serves."""
    line = [COMMAND, "console", "--deployed", "--no-browser", "--json"]
    done = subprocess.run(line, env=stack.command_environment(), check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["link"]


@dataclass
class Count:
    """What a page asks of AWS."""

    calls: int = 0
    reads: int = 0
    """Calls to DynamoDB that read."""
    units: float = 0.0
    """Read units of them."""


class Answers(Proxy):
    """Counts, and keeps DynamoDB's answers. Two requests that differ in the time alone are the same."""

    def __init__(self, stack: Stack) -> None:
        """Start it."""
        self._lock = threading.Lock()
        self._gives_again = False
        self.forget()
        super().__init__(stack)

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self.count = Count()
            self.strangers = 0
            """Reads that were asked for again and not known."""
            self._known: dict[tuple[str, bytes], bytes] = {}

    @contextmanager
    def again(self) -> Iterator[None]:
        """Give the answers that are known."""
        self._gives_again = True
        yield
        self._gives_again = False

    def treat(self, request: Request) -> Treatment:
        """Answer what is known."""
        operation = request.operation.rpartition(".")[2]
        if not self._gives_again or not _reads(request, operation):
            return Treatment()
        with self._lock:
            known = self._known.get(_key(request))
            self.strangers += known is None
        if known is None:
            return Treatment()
        return Treatment(delay=LATENCY * (1 + len(known) / _STEP_BYTES), answer=(200, known))

    def changed(self, request: Request, status: int, body: bytes) -> bytes:
        """Count it, and keep the answer."""
        operation = request.operation.rpartition(".")[2]
        with self._lock:
            self.count.calls += 1
            if _reads(request, operation):
                self.count.reads += 1
                self.count.units += self._units(operation, json.loads(request.body), json.loads(body))
                if status == 200:
                    self._known[_key(request)] = body
        return body

    def _units(self, operation: str, asked: Json, answer: Json) -> float:
        """Read units, by the items' sizes: the emulator says the same for all of them."""
        if operation == "GetItem":
            return units.read([answer.get("Item", {})], consistent=asked.get("ConsistentRead", False))
        if operation == "BatchGetItem":
            items = [item for found in answer.get("Responses", {}).values() for item in found]
            return sum(units.read([item], consistent=False) for item in items) or 0.5
        items = answer.get("Items", [])
        # What a filter leaves out is paid for too, and is as large as the rest.
        left_out = answer["ScannedCount"] - len(items)
        size = sum(map(units.size, items)) / len(items) if items else _ENTRY_BYTES
        whole = [*items, *[{"x": {"S": "x" * (round(size) - 1)}}] * left_out]
        return units.read(whole, consistent=asked.get("ConsistentRead", False))


def _reads(request: Request, operation: str) -> bool:
    return request.operation.startswith("DynamoDB") and operation in _READS


def _key(request: Request) -> tuple[str, bytes]:
    # The order of names in a request is another one each time.
    body = json.loads(_TIME.sub(b"0", request.body))
    if "ProjectionExpression" in body:
        body["ProjectionExpression"] = ",".join(sorted(body["ProjectionExpression"].split(", ")))
    return request.operation, json.dumps(body, sort_keys=True).encode()
