"""Weight, time and cost of the console's pages, on the stack deployed on this machine.

    make local && cargo build --release --package openai-webhooks --package console-function
    .venv/bin/python -m bench.python.console_pages [--events 1000000] [--quick]

First a stack with something of everything (`infra.local.console`): the bytes of each page with style and script as a
browser gets them, its time, and what it asks of AWS. Then the lists, with so many events in the ledger, spread over 35
days in the shape that the consumers write.

The emulator is one process of Python, which goes through all events of a key for every query: most of a list's time is
its own. So each list is measured twice: on the emulator, and on its answers, given again after `LATENCY`.

The console is the release build in both hosts, the other functions are debug builds.
"""

import argparse
import re
import statistics
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from bench.python.bill import PRICES
from bench.python.console_visit import Answers, Browser, NotAPageError, deployed_link
from bench.python.seed import seed
from infra.local.console import play, served
from infra.local.deploy import BINARIES, functions
from infra.local.emulator import Emulator
from infra.local.pictures import pages
from infra.local.processes import ROOT
from infra.local.stack import Stack, create
from infra.local.stand_in import StandIn

RELEASE = ROOT / "target" / "release"
_served = partial(served, command=RELEASE / "openai-webhooks")

MAX_BYTES = 60_000
"""At most, of a page with style and scripts, as they are sent."""

LISTS = {
    "overview": "",
    "events": "/events",
    "events, page 2": "/events?before={before}",
    "events, 14 days": "/events?since=14d",
    "events, failed": "/events?state=failed",
    "events, failed, 14 days": "/events?since=14d&state=failed",
    "events, one object, 7 days": "/events?since=7d&object=resp_50000",
    "GET /api/events, failed": "API/api/events?state=failed",
    "GET /api/dashboard": "API/api/dashboard",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.python.console_pages")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    options = parser.parse_args()
    rounds = 10 if options.quick else 40
    with tempfile.TemporaryDirectory() as folder, Emulator(Path(folder)) as emulator, StandIn(Path(folder)) as openai:
        stack = create(emulator, "console-pages", openai.base_url, binaries=_binaries(Path(folder) / "functions"))
        stack.fill_secrets()
        stack.subscribe(openai)
        ids = play(stack, openai)
        _first_pages(stack, rounds)
        _every_page(stack, pages(ids), rounds)
        started = time.perf_counter()
        seed(stack, options.events)
        print(f"\n{options.events:,} events written in {time.perf_counter() - started:.0f} s", flush=True)
        _lists(stack, rounds)


def _binaries(folder: Path) -> Path:
    """Make a folder of the functions, the console's as it is released."""
    folder.mkdir()
    for name in functions():
        (folder / name).symlink_to((RELEASE if name == "console" else BINARIES) / name)
    return folder


def _first_pages(stack: Stack, rounds: int) -> None:
    """The overview of processes that have just started, in both hosts, and the next one."""
    here, deployed, warm = [], [], []
    for _ in range(rounds // 2):
        with _served(stack) as link:
            here.append(Browser(link).get("")[1])
    visitor = Browser(deployed_link(stack))
    for _ in range(rounds // 2):
        stack.kill("console")
        deployed.append(_from_a_new_process(visitor))
        warm.append(visitor.get("/events")[1])
    print(f"first page of a fresh process, on this machine: {_times(here)}")
    print(f"first page of a fresh process, deployed:        {_times(deployed)}")
    print(f"the list after it, deployed:                    {_times(warm)}")


def _from_a_new_process(visitor: Browser) -> float:
    """Milliseconds of the overview. The emulator may give a first request to the process that was killed."""
    for _ in range(5):
        with suppress(NotAPageError):
            return visitor.get("")[1]
    return visitor.get("")[1]


def _every_page(stack: Stack, paths: dict[str, str], rounds: int) -> None:
    with _served(stack) as link, Answers(stack) as answers:
        browser = Browser(link)
        assets = _assets(browser)
        print(f"style and scripts: {assets:,} bytes, once\n")
        heading = ("bytes", "with all", "median", "p95", "calls", "reads", "units")
        print(f"{'page':18} {' '.join(f'{word:>8}' for word in heading)}")
        heaviest = 0
        with _served(stack, AWS_ENDPOINT_URL=answers.url) as counted:
            counter = Browser(counted)
            for name, path in paths.items():
                size = browser.get(path)[0]
                heaviest = max(heaviest, size + assets)
                times = [browser.get(path)[1] for _ in range(rounds)]
                counter.get(path)
                answers.forget()
                counter.get(path)
                count = answers.count
                print(
                    f"{name:18} {size:8,} {size + assets:8,} {statistics.median(times):8.0f} {_percentile(times):8.0f} "
                    f"{count.calls:8} {count.reads:8} {count.units:8.1f}",
                    flush=True,
                )
        print(f"the heaviest has {heaviest:,} bytes with style and scripts; at most {MAX_BYTES:,}", flush=True)


def _assets(browser: Browser) -> int:
    assets = set(re.findall(r'(?:href|src)="(/console/assets/[^"]+)"', browser.text("")))
    return sum(browser.get(f"API{path}")[0] for path in assets)


def _lists(stack: Stack, rounds: int) -> None:
    before = str(int(time.time() * 1000) - 6 * 3600 * 1000)
    price = PRICES["dynamodb_read"]
    with _served(stack) as link, Answers(stack) as answers, _served(stack, AWS_ENDPOINT_URL=answers.url) as counted:
        browser, counter = Browser(link), Browser(counted)
        print(f"{'':27} {'emulator':>15} {'its answers again':>18}")
        print(
            f"{'list':27} {'median':>8} {'p95':>6} {'median':>11} {'p95':>6} {'bytes':>7} {'reads':>6} {'units':>7} "
            f"{'USD of 1,000':>13}"
        )
        for name, path in LISTS.items():
            address = path.replace("{before}", before)
            size = browser.get(address)[0]
            times = [browser.get(address)[1] for _ in range(max(5, rounds // 4))]
            answers.forget()
            counter.get(address)
            count = answers.count
            reads, units = count.reads, count.units
            with answers.again():
                counter.get(address)
                again = [counter.get(address)[1] for _ in range(rounds)]
            if answers.strangers:
                print(f"{answers.strangers} reads were not known again: these answers took as long as the emulator")
            print(
                f"{name:27} {statistics.median(times):8.0f} {_percentile(times):6.0f} {statistics.median(again):11.0f} "
                f"{_percentile(again):6.0f} {size:7,} {reads:6} {units:7.1f} {price.of(units * 1000):13.3f}",
                flush=True,
            )


def _percentile(times: list[float]) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[94]


def _times(times: list[float]) -> str:
    return f"{statistics.median(times):.0f} ms (median), {_percentile(times):.0f} ms (95th percentile) of {len(times)}"


if __name__ == "__main__":
    main()
