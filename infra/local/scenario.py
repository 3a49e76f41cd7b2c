"""The main job, played: batches made with the official SDK, finished by the stand-in, and what must come of them."""

import json
from dataclasses import dataclass
from typing import Any

from infra.local.stack import Item, Stack
from infra.local.stand_in import StandIn
from infra.local.watch import Watch

_MODEL = "gpt-6-luna"
_ENDPOINT = "/v1/responses"


@dataclass(frozen=True)
class Batch:
    """A batch that the stand-in has finished and announced."""

    id: str
    status: str
    webhook_id: str
    counts: dict[str, int]
    """OpenAI's own counts of the requests."""
    output: bytes | None
    """What OpenAI offers as its output file; `None` when there is none."""
    errors: bytes | None


@dataclass(frozen=True)
class Result:
    """What became of a batch."""

    batch: Batch
    event: Item
    job: Item
    artifacts: dict[str, bytes]
    summary: dict[str, Any]
    """`summary.json`, parsed."""
    faults: list[str]
    """What is not as it must be, in words. Empty when all is well."""


def play(openai: StandIn) -> list[Batch]:
    """A batch of 1,000 requests with failures of several kinds, and one that expired half way."""
    mixed: dict[str, int | str] = {}
    mixed |= dict.fromkeys(_ids(900, 950), 429)
    mixed |= dict.fromkeys(_ids(950, 980), 400)
    mixed |= dict.fromkeys(_ids(980, 994), 500)
    mixed |= dict.fromkeys(_ids(994, 999), "request_timeout")
    mixed |= dict.fromkeys(_ids(999, 1000), "malformed")
    expired: dict[str, int | str] = dict.fromkeys(_ids(120, 200), "batch_expired")
    return [_batch(openai, 1000, "completed", mixed), _batch(openai, 200, "expired", expired)]


def handled(stack: Stack, batches: list[Batch]) -> int:
    """How many of them are dealt with, well or not."""
    events = (stack.event(batch.webhook_id) for batch in batches)
    return sum(event is not None and event["state"] in ("done", "failed") for event in events)


def judge(stack: Stack, watch: Watch, batch: Batch) -> Result:
    """Compare everything that was kept and told with what OpenAI had."""
    event = stack.event(batch.webhook_id) or {}
    job = stack.job("batch", batch.id) or {}
    prefix = f"batch/{batch.id}/"
    kept = {key: stack.artifact(key) or b"" for key in stack.artifacts(prefix)}
    summary = _object(kept.get(f"{prefix}summary.json"))
    told = [outcome for outcome in watch.outcomes(f"batch.{batch.status}") if outcome.detail["object_id"] == batch.id]
    faults = []
    if event.get("state") != "done":
        faults.append(f"its event is {event.get('state', 'not recorded')}: {event.get('error', 'no reason recorded')}")
    if job.get("status") != batch.status:
        faults.append(f"the job is {job.get('status', 'not recorded')}, and {batch.status} at OpenAI")
    if job.get("counts") != batch.counts:
        faults.append(f"the job counts {job.get('counts', 'nothing')}, and OpenAI {batch.counts}")
    for name, content in (("output.jsonl", batch.output), ("errors.jsonl", batch.errors)):
        if kept.get(prefix + name) != content:
            faults.append(f"{name} is not what OpenAI offers")
    counted = {name: summary.get("lines", {}).get(name) for name in ("succeeded", "failed", "malformed")}
    if counted != _count(batch):
        faults.append(f"summary.json counts {counted}, and OpenAI's files have {_count(batch)}")
    if sorted(job.get("artifacts", [])) != sorted(kept):
        faults.append(f"the job names {job.get('artifacts', 'no artifacts')}, and there are {sorted(kept)}")
    if [outcome.detail["status"] for outcome in told] != [batch.status]:
        faults.append(f"{len(told)} outcomes on the bus instead of one")
    return Result(batch, event, job, kept, summary, faults)


def _batch(openai: StandIn, requests: int, status: str, outcomes: dict[str, int | str]) -> Batch:
    sdk = openai.sdk()
    lines = b"".join(_line(custom_id) for custom_id in _ids(0, requests))
    uploaded = sdk.files.create(file=("requests.jsonl", lines), purpose="batch")
    made = sdk.batches.create(input_file_id=uploaded.id, endpoint=_ENDPOINT, completion_window="24h")
    openai.advance(made.id, "in_progress")
    ended = openai.advance(made.id, status, plan={"default": 200, "lines": outcomes})
    batch = sdk.batches.retrieve(made.id)

    def content(file_id: str | None) -> bytes | None:
        return sdk.files.content(file_id).read() if file_id else None

    (delivery,) = ended["deliveries"]
    return Batch(
        id=batch.id,
        status=status,
        webhook_id=delivery["webhook_id"],
        counts=batch.request_counts.to_dict() if batch.request_counts else {},
        output=content(batch.output_file_id),
        errors=content(batch.error_file_id),
    )


def _ids(start: int, end: int) -> list[str]:
    return [f"request-{number}" for number in range(start, end)]


def _line(custom_id: str) -> bytes:
    body = {"model": _MODEL, "input": f"Say hello to {custom_id}."}
    request: dict[str, Any] = {"custom_id": custom_id, "method": "POST", "url": _ENDPOINT, "body": body}
    return json.dumps(request).encode() + b"\n"


def _object(content: bytes | None) -> dict[str, Any]:
    try:
        parsed = json.loads(content or b"")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _count(batch: Batch) -> dict[str, int]:
    """What OpenAI's files say, counted here by other code than the function's."""
    found = {"succeeded": 0, "failed": 0, "malformed": 0}
    for line in (batch.output or b"").splitlines() + (batch.errors or b"").splitlines():
        answer = _object(line)
        if not answer:
            found["malformed"] += 1
        elif (answer.get("response") or {}).get("status_code", 500) < 400:
            found["succeeded"] += 1
        else:
            found["failed"] += 1
    return found
