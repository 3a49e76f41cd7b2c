"""Counts what something on the deployed stack causes: calls to AWS and OpenAI, units of the table, bytes of log.

A server between each function and the emulator sees every call of the function's. Lambda's and the HTTP API's own are
as many as the invocations in the functions' logs.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from bench.python import units
from infra.local.deploy import functions
from infra.local.proxy import Proxy, Request, Treatment
from infra.local.stack import CATEGORIES, Stack
from infra.local.stand_in import StandIn
from tests.waiting import wait_until

_LAMBDAS_LINES = ("START RequestId:", "END RequestId:", "REPORT RequestId:")
"""As the emulator writes them; on AWS they are JSON."""


class UncountedError(Exception):
    """Something happened that cannot be counted, so the count would be too low."""


@dataclass(frozen=True)
class Count:
    """What happened."""

    calls: Counter[str]
    """All calls that AWS charges for, such as `AmazonSQS.SendMessage`: the functions', Lambda's and the HTTP API's."""
    by_function: dict[str, Counter[str]]
    """Those that the functions made themselves."""
    openai: Counter[str]
    """Calls to OpenAI, such as `GET /v1/responses/{id}`."""
    write_units: float
    read_units: float
    invocations: Counter[str]
    """By function."""
    log_bytes: int
    """Of the functions' own lines."""
    metrics: frozenset[str]
    """Custom metrics that got a value: name and dimensions."""
    table_bytes: int
    index_bytes: int
    """By how much the ledger and its indexes grew."""


class Recorder:
    """Sees the calls of all functions of a stack from its creation until it is closed."""

    def __init__(self, stack: Stack, openai: StandIn) -> None:
        """Restart every deployed function behind a server of its own."""
        self._stack, self._openai, self._open = stack, openai, ExitStack()
        pages = stack.emulator.client("lambda").get_paginator("list_functions").paginate()
        deployed = {function["FunctionName"]: function for page in pages for function in page["Functions"]}
        names = {name: f"{stack.name}-{name}" for name in functions()}
        self.memory = {name: deployed[full]["MemorySize"] for name, full in names.items() if full in deployed}
        """Of each function, in MB."""
        self._ledger = _Ledger(stack)
        self._recordings = {name: self._open.enter_context(_Recording(stack, self._ledger)) for name in self.memory}
        for function, recording in self._recordings.items():
            recording.take(function)

    def count(self, act: Callable[[], object], settled: Callable[[], bool], *expected: str) -> Count:
        """Count what `act` causes until `settled` says that it is over and each of the `expected` functions has run.

        Nothing else may go on meanwhile. Raises `UncountedError`.
        """
        calls = {function: len(recording.seen) for function, recording in self._recordings.items()}
        lines = {function: len(self._stack.logs(function)) for function in self._recordings}
        ledger, (table, indexes) = self._ledger, self._ledger.stored()
        write_units, read_units = ledger.write_units, ledger.read_units
        self._openai.command("DELETE", "requests")
        act()

        def new_lines(function: str) -> list[str]:
            return self._stack.logs(function)[lines[function] :]

        wait_until("what it causes is over", lambda: all(map(new_lines, expected)) and settled())
        for function, recording in self._recordings.items():
            if recording.answered != len(recording.seen):
                raise UncountedError(f"{len(recording.seen) - recording.answered} calls of {function} have no answer")
        logs = {function: new_lines(function) for function in self._recordings}
        own = [line for found in logs.values() for line in found if not line.startswith(_LAMBDAS_LINES)]
        invocations = Counter(
            {name: sum(line.startswith(_LAMBDAS_LINES[0]) for line in found) for name, found in logs.items()}
        )
        by_function = {
            function: Counter(map(call, recording.seen[calls[function] :]))
            for function, recording in self._recordings.items()
        }
        total = sum(by_function.values(), Counter())
        total["APIGateway.Request"] += invocations["verifier"]
        total["Lambda.Invoke"] += invocations.total()
        for category in CATEGORIES:
            # One message in each invocation.
            total["AmazonSQS.ReceiveMessage"] += invocations[category]
            total["AmazonSQS.DeleteMessage"] += invocations[category]
        grown_table, grown_indexes = ledger.stored()
        return Count(
            calls=+total,
            by_function=by_function,
            openai=Counter({_route(it): it["count"] for it in self._openai.requests()}),
            write_units=ledger.write_units - write_units,
            read_units=ledger.read_units - read_units,
            invocations=+invocations,
            log_bytes=sum(len(line.encode()) + 1 for line in own),
            metrics=frozenset(metric for line in own for metric in _metrics(line)),
            table_bytes=grown_table - table,
            index_bytes=grown_indexes - indexes,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


def call(request: Request) -> str:
    """Name of a call: the service and the operation."""
    if request.operation:
        return request.operation.replace("_20120810", "")
    form = parse_qs(request.body.decode(errors="replace")) if request.method == "POST" else {}
    if "Action" in form:
        topic = "TopicArn" in form
        return f"{'SNS' if topic else 'unknown'}.{form['Action'][0]}"
    query = parse_qs(urlsplit(request.path).query, keep_blank_values=True)
    operation = "CreateMultipartUpload" if "uploads" in query else query.get("x-id", [""])[0]
    return f"S3.{operation}" if operation else f"unknown.{request.method} {request.path}"


class _Ledger:
    """The items of the stack's table, and the units that requests to it consumed."""

    def __init__(self, stack: Stack) -> None:
        self._database, self._table = stack.emulator.client("dynamodb"), stack.outputs["TableName"]
        self._indexes = self._database.describe_table(TableName=self._table)["Table"]["GlobalSecondaryIndexes"]
        self._items: dict[str, units.Item] = {}
        for page in self._database.get_paginator("scan").paginate(TableName=self._table):
            self._items |= {_key(item): item for item in page["Items"]}
        self.write_units = 0.0
        self.read_units = 0.0

    def note(self, operation: str, request: dict[str, Any], answer: dict[str, Any]) -> None:
        """Count a request that was just answered."""
        match operation:
            case "UpdateItem":
                key = {name: request["Key"][name] for name in ("pk", "sk")}
                found = self._database.get_item(TableName=self._table, Key=key, ConsistentRead=True)
                old, new = self._items.get(_key(key), {}), found.get("Item", {})
                self.write_units += units.written(self._indexes, old, new)
                self._items[_key(key)] = new
            case "GetItem" | "Query":
                items = answer.get("Items", [answer.get("Item", {})])
                self.read_units += units.read(items, consistent=request.get("ConsistentRead", False))
            case _:
                raise UncountedError(f"the units of DynamoDB.{operation} are not known")

    def stored(self) -> tuple[int, int]:
        """Bytes that are paid for, in the table and in its indexes."""
        items = [item for item in self._items.values() if item]
        entries = [it for item in items for index in self._indexes if (it := units.entry(index, item))]
        return _paid_for(items), _paid_for(entries)


class _Recording(Proxy):
    """What a function asks of AWS."""

    def __init__(self, stack: Stack, ledger: _Ledger) -> None:
        self._ledger = ledger
        self.seen: list[Request] = []
        self.answered = 0
        super().__init__(stack)

    def treat(self, request: Request) -> Treatment:
        """Note that it was asked."""
        self.seen.append(request)
        return Treatment()

    def changed(self, request: Request, _status: int, body: bytes) -> bytes:
        """Note what it consumed, before the function goes on."""
        service, _, operation = call(request).partition(".")
        if service == "DynamoDB":
            self._ledger.note(operation, json.loads(request.body), json.loads(body))
        self.answered += 1
        return body


def _key(item: units.Item) -> str:
    return f"{item['pk']['S']} {item['sk']['S']}"


def _paid_for(items: list[units.Item]) -> int:
    return sum(units.size(item) + units.OVERHEAD_BYTES for item in items)


def _route(request: dict[str, Any]) -> str:
    """Method and path of a request to OpenAI, without ids."""
    path = re.sub(r"/([a-z]+[_-])+[0-9A-Za-z]{8,}|/C-[0-9a-f]{8,}", "/{id}", request["path"])
    return f"{request['method']} {path}"


def _metrics(line: str) -> list[str]:
    fields = json.loads(line)
    return [
        ", ".join([metric["Name"], *(f"{name} {fields[name]}" for name in dimensions)])
        for directive in fields.get("_aws", {}).get("CloudWatchMetrics", [])
        for dimensions in directive["Dimensions"]
        for metric in directive["Metrics"]
    ]
