"""What counted things cost, by `bench/prices.toml`."""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.python.recorder import Count
from infra.local.deploy import template

_LEDGER_MONTHS = 35 * 24 / 730
"""How long the ledger keeps an event."""

_START = (
    '{"time":"2026-11-29T12:00:00.000Z","type":"platform.start","record":'
    '{"requestId":"01234567-89ab-cdef-0123-456789abcdef","version":"$LATEST"}}'
)
_REPORT = (
    '{"time":"2026-11-29T12:00:00.000Z","type":"platform.report","record":'
    '{"requestId":"01234567-89ab-cdef-0123-456789abcdef","metrics":{"durationMs":123.456,"billedDurationMs":124,'
    '"memorySizeMB":256,"maxMemoryUsedMB":34},"status":"success"}}'
)
_ACCESS = {
    "requestId": "JKJaXmPLvHcESHA=",
    "identity.sourceIp": "203.0.113.117",
    "identity.userAgent": "OpenAI-Webhooks/1.0",
    "path": "/webhooks/project",
    "httpMethod": "POST",
    "status": "200",
    "responseLatency": "25",
    "integrationLatency": "23",
    "error.message": "-",
    "integrationErrorMessage": "-",
}
"""Values of an accepted delivery in the HTTP API's log."""


class UnknownCallError(Exception):
    """There is no price for a call, so the sum would be too low."""


@dataclass(frozen=True)
class Price:
    """A price of the table."""

    what: str
    usd: float
    per: int
    unit: str
    page: str
    date: str

    def of(self, amount: float) -> float:
        """USD for that many units."""
        return self.usd * amount / self.per


_TABLE: dict[str, Any] = tomllib.loads((Path(__file__).parent.parent / "prices.toml").read_text())

REGION: str = _TABLE["region"]

MILLISECONDS: Mapping[str, int] = _TABLE["milliseconds"]
"""Assumed times: of a call by its service, `aws` for those that are not listed, and of an invocation's `own` work."""

CALLS: Mapping[str, str] = _TABLE["calls"]
"""The price of each call."""

PRICES: Mapping[str, Price] = {name: Price(**row) for name, row in _TABLE["price"].items()}


def amounts(count: Count, memory: Mapping[str, int]) -> Counter[str]:
    """Units to pay for, by the name of the price. `memory`: of each function, in MB.

    Raises `UnknownCallError` for a call without a price.
    """
    found: Counter[str] = Counter()
    for call, times in count.calls.items():
        if call not in CALLS:
            raise UnknownCallError(f"`{call}` has no price. Add it to bench/prices.toml, with the page that says it")
        found[CALLS[call]] += times
    del found["free"]
    found["dynamodb_write"] += count.write_units
    found["dynamodb_read"] += count.read_units
    found["dynamodb_storage"] += (count.table_bytes + count.index_bytes) / 1e9 * _LEDGER_MONTHS
    found["dynamodb_backup"] += count.table_bytes / 1e9 * _LEDGER_MONTHS
    found["lambda_time"] += sum(
        memory[function] / 1024 * _milliseconds(count, function) / 1000 for function in count.invocations
    )
    found["log"] += log_bytes(count)
    return +found


def log_bytes(count: Count) -> int:
    """Bytes of log: the functions' own lines, Lambda's, and the HTTP API's."""
    lambdas = len(_START + _REPORT) if _logs_every_invocation() else 0
    return (
        count.log_bytes + count.invocations.total() * lambdas + count.calls["APIGateway.Request"] * access_log_bytes()
    )


def access_log_bytes() -> int:
    """Length of the HTTP API's line about an accepted delivery."""
    settings = template()["Resources"]["ApiStage"]["Properties"]["AccessLogSettings"]
    return len(re.sub(r"\$context\.([\w.]+)", lambda variable: _ACCESS[variable[1]], settings["Format"]))


def _logs_every_invocation() -> bool:
    return template()["Globals"]["Function"]["LoggingConfig"].get("SystemLogLevel", "INFO") != "WARN"


def _milliseconds(count: Count, function: str) -> float:
    of_aws = sum(
        times * MILLISECONDS.get(call.partition(".")[0], MILLISECONDS["aws"])
        for call, times in count.by_function[function].items()
    )
    of_openai = 0 if function == "verifier" else count.openai.total() * MILLISECONDS["openai"]
    return count.invocations[function] * MILLISECONDS["own"] + of_aws + of_openai
