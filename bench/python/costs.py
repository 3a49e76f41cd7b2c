"""What an event of each category costs, and a stack without events: `make bench` prints it.

    make local && .venv/bin/python -m bench.python.costs

One event of each category goes through the stack that is deployed on this machine; every call that it causes is
counted and multiplied by AWS's list price.
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.python import bill
from bench.python.bill import MILLISECONDS, PRICES
from bench.python.idle import Idle, idle
from bench.python.plays import CALL_POLICY, PLAYS
from bench.python.recorder import Count, Recorder
from infra.local.emulator import Emulator
from infra.local.stack import Stack, create
from infra.local.stand_in import Json, StandIn

TARGET_RESPONSE_USD = 15.0
"""At most, for a million `response.completed`."""
TARGET_IDLE_USD = 3.5
"""At most, a month."""

_CENT = 0.01


def event(recorder: Recorder, stack: Stack, openai: StandIn, category: str) -> Count:
    """Count what one event of the category causes, after a first one that has started the functions."""
    _once(recorder, stack, openai, category)
    return _once(recorder, stack, openai, category)


def _once(recorder: Recorder, stack: Stack, openai: StandIn, category: str) -> Count:
    deliver = PLAYS[category][1](openai)
    deliveries: list[Json] = []

    def settled() -> bool:
        events = [stack.event(delivery["webhook_id"], delivery["endpoint"]) for delivery in deliveries]
        return {(event or {}).get("state") for event in events} == {"completed"} and stack.messages(category) == []

    return recorder.count(lambda: deliveries.extend(deliver()), settled, "verifier", category)


def main() -> None:
    """Play one event of each category and the scheduled tasks, and print what they cost.

    Raises `UncountedError`, `UnknownCallError` or `UnknownResourceError` when something would be missing in the sums.
    """
    with tempfile.TemporaryDirectory() as folder, Emulator(Path(folder)) as emulator, StandIn(Path(folder)) as openai:
        stack = create(emulator, "costs", openai.base_url)
        stack.fill_secrets()
        stack.subscribe(openai)
        stack.set_call_policy(CALL_POLICY)
        with Recorder(stack, openai) as recorder:
            counts = {category: event(recorder, stack, openai, category) for category in PLAYS}
            print("\n".join(report(counts, recorder.memory, idle(stack, recorder))))


def report(counts: Mapping[str, Count], memory: Mapping[str, int], of_idle: Idle) -> list[str]:
    """Lines to print about an event of each category, and about a stack without events."""
    calls = sorted({call for count in counts.values() for call in count.calls})
    routes = sorted({route for count in counts.values() for route in count.openai})
    dates = sorted({price.date for price in PRICES.values()})
    idle_usd = {name: PRICES[name].of(amount) for name, amount in of_idle.amounts.items()}
    small = sum(usd for usd in idle_usd.values() if usd < _CENT)
    return [
        "Calls of one event, from the HTTP API to the consumer's end",
        *_table(
            counts,
            "{:,.0f}",
            {call: [count.calls[call] for count in counts.values()] for call in calls}
            | {f"OpenAI: {route}": [count.openai[route] for count in counts.values()] for route in routes}
            | {
                "write units": [count.write_units for count in counts.values()],
                "read units": [count.read_units for count in counts.values()],
                "bytes of log": [bill.log_bytes(count) for count in counts.values()],
                "bytes in the ledger": [count.table_bytes + count.index_bytes for count in counts.values()],
            },
        ),
        "",
        f"USD for a million events, by AWS's list prices in {bill.REGION} of {dates[0]} to {dates[-1]}",
        f"(without free allowances; assumed: {MILLISECONDS['openai']} ms for each call to OpenAI, {MILLISECONDS['S3']} "
        f"ms to S3, {MILLISECONDS['aws']} ms to the rest of AWS, {MILLISECONDS['own']} ms of work for each invocation)",
        *_table(counts, "{:.2f}", _usd(counts, memory)),
        f"The target for response is at most {TARGET_RESPONSE_USD:.2f}.",
        "",
        "Custom metrics that such events keep in use, 0.30 USD a month each, the verifier's among them: "
        + ", ".join(f"{category} {len(count.metrics)}" for category, count in counts.items()),
        "",
        f"USD a month while nothing happens (without free allowances; the target is at most {TARGET_IDLE_USD:.2f})",
        *(
            f"{PRICES[name].what:20} {usd:6.2f}  {of_idle.notes.get(name, '')}".rstrip()
            for name, usd in idle_usd.items()
            if usd >= _CENT
        ),
        f"{'everything else':20} {small:6.2f}",
        f"{'sum':20} {sum(idle_usd.values()):6.2f}",
    ]


def _usd(counts: Mapping[str, Count], memory: Mapping[str, int]) -> dict[str, list[float]]:
    """USD for a million events, a row for each price and one for the sum."""
    amounts = [bill.amounts(count, memory) for count in counts.values()]
    rows = {
        price.what: [price.of(found[name] * 1_000_000) for found in amounts]
        for name, price in PRICES.items()
        if any(found[name] for found in amounts)
    }
    return {**rows, "sum": [sum(column) for column in zip(*rows.values(), strict=True)]}


def _table(columns: Iterable[str], form: str, rows: Mapping[str, list[float]]) -> list[str]:
    first = max(map(len, rows))
    widths = [max(8, len(name)) for name in columns]

    def line(name: str, cells: list[str]) -> str:
        return f"{name:{first}} " + " ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))

    return [
        line("", list(columns)),
        *(line(name, [form.format(value) if value else "" for value in values]) for name, values in rows.items()),
    ]


if __name__ == "__main__":
    main()
