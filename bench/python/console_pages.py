"""Weight, time and cost of the console's pages, on the stack deployed on this machine.

    make local && .venv/bin/python -m bench.python.console_pages [--events 1000000] [--quick] [--command FILE]

First a stack with something of everything (`infra.local.console`): bytes of each page with style and script as a
browser gets them, its time, and what it asks of AWS. Then the same list, filtered list and overview with so many events
in the ledger, spread over 35 days in the shape that the consumers write, beside the time of the queries alone.
"""

import argparse
import collections
import concurrent.futures
import http.client
import json
import random
import re
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from infra.local.console import COMMAND, play, served
from infra.local.emulator import ACCESS_KEY, REGION, Emulator
from infra.local.pictures import pages
from infra.local.proxy import Proxy, Request, Treatment
from infra.local.stack import Stack, create
from infra.local.stand_in import StandIn

DAYS = 35
SHARDS = 16
LISTS = {
    "overview": "",
    "events": "/events",
    "events, 14 days": "/events?since=14d",
    "events, failed, 14 days": "/events?since=14d&state=failed",
    "events, one object, 35 days": "/events?since=35d&object=resp_500000",
    "events, second page": "/events?before={before}",
    "API": "API/api/events?state=failed",
}
_TYPES = ("response.completed", "batch.completed", "response.failed", "file.processed", "realtime.call.incoming")
_CATEGORIES = {"response": "response", "batch": "batch", "file": "file", "realtime": "realtime"}


class Browser:
    """One connection to the console, signed in, as a browser has it."""

    def __init__(self, link: str) -> None:
        """Open the link."""
        place = urlsplit(link)
        self.connection = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=120)
        self.base = place.path.removesuffix("/enter")
        self._headers = {"Accept-Encoding": "gzip"}
        self.connection.request("GET", f"{place.path}?{place.query}", headers=self._headers)
        answer = self.connection.getresponse()
        answer.read()
        self._headers["Cookie"] = (answer.getheader("set-cookie") or "").partition(";")[0]

    def get(self, path: str) -> tuple[int, float]:
        """Bytes and milliseconds of a page below the console's, or of a path after `API`."""
        url = path.removeprefix("API") if path.startswith("API") else self.base + path
        started = time.perf_counter()
        self.connection.request("GET", url, headers=self._headers)
        answer = self.connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - started) * 1000
        if answer.status not in (200, 404):
            raise RuntimeError(f"{url} answered {answer.status}")
        return len(body), took


@dataclass
class Counting(Proxy):
    """Counts what is asked of AWS, and the read units of DynamoDB."""

    stack: Stack
    calls: collections.Counter[str] = field(default_factory=collections.Counter)
    units: float = 0.0

    def __post_init__(self) -> None:
        """Start it."""
        self._lock = threading.Lock()
        super().__init__(self.stack)

    def treat(self, request: Request) -> Treatment:
        """Have DynamoDB say what it used."""
        if request.operation.startswith("DynamoDB") and b"ReturnConsumedCapacity" not in request.body:
            body = json.loads(request.body) | {"ReturnConsumedCapacity": "TOTAL"}
            return Treatment(body=json.dumps(body).encode())
        return Treatment()

    def changed(self, request: Request, _status: int, body: bytes) -> bytes:
        """Count it."""
        with self._lock:
            service, _, operation = request.operation.partition(".")
            self.calls[operation or service or request.path.partition("?")[0].strip("/")[:20] or "other"] += 1
            if request.operation.startswith("DynamoDB"):
                used = json.loads(body).get("ConsumedCapacity", {})
                for one in used if isinstance(used, list) else [used]:
                    self.units += one.get("CapacityUnits", 0)
        return body

    def of(self, browser: Browser, path: str) -> tuple[int, int, float]:
        """All calls to AWS, those to DynamoDB, and read units of a page."""
        with self._lock:
            self.calls.clear()
            self.units = 0.0
        browser.get(path)
        with self._lock:
            reads = sum(self.calls[name] for name in ("Query", "GetItem", "BatchGetItem"))
            return sum(self.calls.values()), reads, self.units


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.python.console_pages")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--command", type=Path, default=COMMAND, help="the command line (default: the debug build)")
    options = parser.parse_args()
    rounds = 10 if options.quick else 40
    with tempfile.TemporaryDirectory() as folder, Emulator(Path(folder)) as emulator, StandIn(Path(folder)) as openai:
        stack = create(emulator, "console-pages", openai.base_url)
        stack.fill_secrets()
        stack.subscribe(openai)
        ids = play(stack, openai)
        _every_page(stack, pages(ids), rounds, options.command)
        started = time.perf_counter()
        _seed(stack, options.events)
        print(f"\n{options.events:,} events written in {time.perf_counter() - started:.0f} s")
        _lists(stack, rounds, options.command)


def _every_page(stack: Stack, paths: dict[str, str], rounds: int, command: Path) -> None:
    cold = []
    for _ in range(rounds // 4 + 1):
        with served(stack, command=command) as link:
            cold.append(Browser(link).get("")[1])
    with served(stack, command=command) as link, Counting(stack) as counting:
        browser = Browser(link)
        assets = _assets(browser)
        print(f"style and scripts: {assets:,} bytes, once")
        print(f"first page of a fresh process: {_p95(cold)}")
        with served(stack, command=command, AWS_ENDPOINT_URL=counting.url) as counted:
            counter = Browser(counted)
            print(
                f"{'page':24} {'bytes':>8} {'with assets':>12} {'median':>8} {'p95':>8} {'calls':>6} {'reads':>6} "
                f"{'units':>8}"
            )
            for name, path in paths.items():
                size = browser.get(path)[0]
                times = [browser.get(path)[1] for _ in range(rounds)]
                calls, reads, units = counting.of(counter, path)
                print(
                    f"{name:24} {size:8,} {size + assets:12,} {statistics.median(times):8.0f} "
                    f"{_percentile(times):8.0f} {calls:6} {reads:6} {units:8.1f}"
                )


def _assets(browser: Browser) -> int:
    browser.connection.request("GET", browser.base, headers=browser._headers | {"Accept-Encoding": "identity"})
    page = browser.connection.getresponse().read().decode()
    return sum(browser.get(f"API{path}")[0] for path in re.findall(r'(?:href|src)="(/console/assets/[^"]+)"', page))


def _lists(stack: Stack, rounds: int, command: Path) -> None:
    before = str(int(time.time() * 1000) - 6 * 3600 * 1000)
    with (
        served(stack, command=command) as link,
        Counting(stack) as counting,
        served(stack, command=command, AWS_ENDPOINT_URL=counting.url) as counted,
    ):
        browser, counter = Browser(link), Browser(counted)
        print(f"{'list':28} {'median':>8} {'p95':>8} {'calls':>6} {'reads':>6} {'units':>8} {'bare reads':>11}")
        for name, path in LISTS.items():
            address = path.replace("{before}", before)
            browser.get(address)
            times = [browser.get(address)[1] for _ in range(rounds)]
            calls, reads, units = counting.of(counter, address)
            bare = statistics.median(_bare(stack) for _ in range(3)) * max(1, reads // SHARDS)
            print(
                f"{name:28} {statistics.median(times):8.0f} {_percentile(times):8.0f} {calls:6} {reads:6} {units:8.1f} "
                f"{bare:11.0f}"
            )


def _bare(stack: Stack) -> float:
    """Milliseconds of one query of each key of today, of a few events: what the emulator takes for a round of reads."""
    client = stack.emulator.client("dynamodb")
    day = time.strftime("%Y-%m-%d", time.gmtime())

    def query(shard: int) -> None:
        client.query(
            TableName=stack.outputs["TableName"],
            IndexName="by-day",
            KeyConditionExpression="#day = :day",
            ExpressionAttributeNames={"#day": "day"},
            ExpressionAttributeValues={":day": {"S": f"{day}#{shard}"}},
            ScanIndexForward=False,
            Limit=10,
        )

    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(SHARDS) as pool:
        list(pool.map(query, range(SHARDS)))
    return (time.perf_counter() - started) * 1000


def _seed(stack: Stack, count: int) -> None:
    """Write events as the consumers do, spread over 35 days. Some failed, each object has two."""
    port, table = stack.emulator.port, stack.outputs["TableName"]
    rng = random.Random(7)
    now = int(time.time() * 1000)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    scope = f"{ACCESS_KEY}/20260101/{REGION}/dynamodb/aws4_request"
    credential = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    headers = {
        "X-Amz-Target": "DynamoDB_20120810.BatchWriteItem",
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": credential,
    }
    for start in range(0, count, 25):
        puts = [
            {"PutRequest": {"Item": _event(number, count, now, rng)}} for number in range(start, min(start + 25, count))
        ]
        connection.request("POST", "/", json.dumps({"RequestItems": {table: puts}}), headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"BatchWriteItem answered {answer.status}: {content[:200]!r}")


def _event(number: int, count: int, now: int, rng: random.Random) -> dict[str, object]:
    received = now - number * DAYS * 86_400_000 // count
    event_type = _TYPES[number % len(_TYPES)]
    category = _CATEGORIES[event_type.partition(".")[0]]
    webhook_id, object_id = f"wh_{rng.getrandbits(128):032x}", f"resp_{number // 2}"
    failed = number % 500 == 0
    state = "failed" if failed else "completed"
    day = time.strftime("%Y-%m-%d", time.gmtime(received / 1000))
    event = {"id": f"evt_{number}", "object": "event", "created_at": received // 1000, "type": event_type}
    body = json.dumps(event | {"data": {"id": object_id}})
    end = (
        {"reason": "unauthorized", "message": "retrieve the object: OpenAI answered 401"}
        if failed
        else {"result": "completed"}
    )
    texts = {
        "pk": f"event#project#{webhook_id}",
        "sk": "event",
        "day": f"{day}#{number % SHARDS}",
        "source": "openai",
        "webhook_timestamp": str(received // 1000),
        "event_id": f"evt_{number}",
        "event_type": event_type,
        "category": category,
        "object_id": object_id,
        "state": state,
        "token": f"{number:032x}",
        "body": body,
        **end,
    }
    numbers = {
        "received_at": received,
        "claims": 1,
        "end_told": 1,
        "handled_at": received + 700,
        "expires_at": received // 1000 + 35 * 86_400,
    }
    attempt = {
        "source": {"S": "openai"},
        "begun": {"N": str(received + 100)},
        "ended": {"N": str(received + 700)},
        "result": {"S": end.get("result", "failed")},
    }
    item: dict[str, object] = {name: {"S": value} for name, value in texts.items()}
    item |= {name: {"N": str(value)} for name, value in numbers.items()}
    item["attempts"] = {"L": [{"M": attempt}]}
    return item


def _percentile(times: list[float]) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[94]


def _p95(times: list[float]) -> str:
    return f"{statistics.median(times):.0f} ms (median), {_percentile(times):.0f} ms (95th percentile)"


if __name__ == "__main__":
    main()
