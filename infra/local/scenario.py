"""Events that `make run` plays: of every category, by OpenAI's API and the stand-in's commands."""

import fnmatch
import json
from dataclasses import dataclass, field
from typing import Any

from infra.local.stack import Item, Stack
from infra.local.stand_in import Json, StandIn
from infra.local.watch import Watch

MODEL = "gpt-6-luna"
_ENDPOINT = "/v1/responses"


@dataclass(frozen=True)
class Played:
    """Event that OpenAI delivered, and its expected results."""

    category: str
    event_type: str
    webhook_id: str
    object_id: str
    status: str
    """Expected status of the job."""
    kept: dict[str, bytes | None] = field(default_factory=dict)
    """Expected artifacts by key; `None` where the content is not OpenAI's byte for byte."""
    counts: dict[str, int] | None = None
    """OpenAI's own counts, if any."""
    told: tuple[str, ...] = ()
    """Telling fields of the job's summary, with dots between names."""
    endpoint: str = "project"


@dataclass(frozen=True)
class Result:
    """Results of a played event."""

    played: Played
    event: Item
    job: Item
    artifacts: dict[str, bytes]
    faults: list[str]
    """Differences from the expected results, in words."""


def play(openai: StandIn, stack: Stack, unlisted: str = "project") -> list[Played]:
    """Play all events. OpenAI delivers a webhook of each; types that it does not offer, to the endpoint `unlisted`."""
    return [
        *_batches(openai),
        _response(openai),
        _fine_tuning(openai),
        _call(openai, stack),
        _agent(openai),
        _safety(openai),
        _file(openai, unlisted),
        _archive(openai, unlisted),
    ]


def lose(openai: StandIn) -> Played:
    """End a batch an hour ago without a webhook. Only reconciliation finds it."""
    return _batch(openai, 20, "completed", {}, deliver=False, age_seconds=3600)


def handled(stack: Stack, played: list[Played]) -> int:
    """Number of events that are done or failed."""
    events = (stack.event(one.webhook_id, one.endpoint) for one in played)
    return sum(event is not None and event["state"] in ("completed", "not_found", "failed") for event in events)


def judge(stack: Stack, watch: Watch, played: Played) -> Result:
    """Compare artifacts, records and outcomes with OpenAI's objects."""
    event = stack.event(played.webhook_id, played.endpoint) or {}
    job = stack.job(played.category, played.object_id) or {}
    named = job.get("artifacts", [])
    expected = {next(iter(fnmatch.filter(named, key)), key): content for key, content in played.kept.items()}
    kept = {key: stack.artifact(key) for key in expected}
    told = [outcome for outcome in watch.outcomes(played.event_type) if outcome.detail["object_id"] == played.object_id]
    faults = []
    if event.get("state") != "completed":
        faults.append(f"its event is {event.get('state', 'not recorded')}: {event.get('error', 'no reason recorded')}")
    if job.get("status") != played.status:
        faults.append(f"the job is {job.get('status', 'not recorded')}, and must be {played.status}")
    if played.counts is not None and _as_openai_counts(job) != played.counts:
        faults.append(f"the job counts {job.get('counts', 'nothing')}, and OpenAI {played.counts}")
    for key, content in expected.items():
        if kept[key] is None:
            faults.append(f"{key} is not kept")
        elif content is not None and kept[key] != content:
            faults.append(f"{key} is not what OpenAI offers")
    if sorted(named) != sorted(expected):
        faults.append(f"the job names {named or 'no artifacts'}, and there must be {sorted(expected)}")
    if [outcome.detail["status"] for outcome in told] != [played.status]:
        faults.append(f"{len(told)} outcomes on the bus instead of one")
    artifacts = {key: content for key, content in kept.items() if content is not None}
    return Result(played, event, job, artifacts, faults + _miscounted(played, artifacts))


def _batches(openai: StandIn) -> list[Played]:
    """Batch of 1,000 requests with failures of several kinds, and one of 200 that expired half way."""
    mixed: dict[str, int | str] = {}
    mixed |= dict.fromkeys(_ids(900, 950), 429)
    mixed |= dict.fromkeys(_ids(950, 980), 400)
    mixed |= dict.fromkeys(_ids(980, 994), 500)
    mixed |= dict.fromkeys(_ids(994, 999), "request_timeout")
    mixed |= dict.fromkeys(_ids(999, 1000), "malformed")
    expired: dict[str, int | str] = dict.fromkeys(_ids(120, 200), "batch_expired")
    return [_batch(openai, 1000, "completed", mixed), _batch(openai, 200, "expired", expired)]


def _batch(openai: StandIn, requests: int, status: str, outcomes: dict[str, int | str], **options: Any) -> Played:
    sdk = openai.sdk()
    lines = b"".join(_line(custom_id) for custom_id in _ids(0, requests))
    uploaded = sdk.files.create(file=("requests.jsonl", lines), purpose="batch")
    made = sdk.batches.create(input_file_id=uploaded.id, endpoint=_ENDPOINT, completion_window="24h")
    openai.advance(made.id, "in_progress")
    ended = openai.advance(made.id, status, plan={"default": 200, "lines": outcomes}, **options)
    batch = sdk.batches.retrieve(made.id)
    files = {"output.jsonl": batch.output_file_id, "errors.jsonl": batch.error_file_id}
    kept = {f"batch/{batch.id}/{name}": sdk.files.content(file).read() for name, file in files.items() if file}
    return Played(
        category="batch",
        event_type=f"batch.{status}",
        webhook_id=_announced(ended) if ended["deliveries"] else f"evt_reconcile_batch_{status}_{batch.id}",
        object_id=batch.id,
        status=status,
        kept={**kept, f"batch/{batch.id}/summary.json": None},
        counts=batch.request_counts.to_dict() if batch.request_counts else {},
    )


def _response(openai: StandIn) -> Played:
    made = openai.sdk().responses.create(model=MODEL, input="What is the answer?", background=True)
    ended = openai.finish_response(made.id, text="Forty-two.")
    return Played(
        category="response",
        event_type="response.completed",
        webhook_id=_announced(ended),
        object_id=made.id,
        status="completed",
        kept={f"response/{made.id}.json": openai.sdk().responses.with_raw_response.retrieve(made.id).content},
        told=("model",),
    )


def _fine_tuning(openai: StandIn) -> Played:
    """Job whose model answers, so that it is promoted."""
    sdk = openai.sdk()
    examples = sdk.files.create(file=("examples.jsonl", b'{"messages": []}\n'), purpose="fine-tune")
    made = sdk.fine_tuning.jobs.create(
        model="gpt-4.1-mini-2025-04-14", training_file=examples.id, metadata={"alias": "support"}
    )
    ended = openai.finish_fine_tuning(made.id, "succeeded", says="At your service.")
    names = ("job", "checkpoints", "events", "smoke-test", "promotion")
    return Played(
        category="fine-tuning",
        event_type="fine_tuning.job.succeeded",
        webhook_id=_announced(ended),
        object_id=made.id,
        status="succeeded",
        kept={f"fine-tuning/{made.id}/{name}.json": None for name in names},
        told=("fine_tuned_model", "smoke_test.reply", "promotion.parameter"),
    )


def _call(openai: StandIn, stack: Stack) -> Played:
    """Phone call, answered by the policy that is stored first."""
    policy = {
        "answer_as": "realtime",
        "rules": [
            {
                "name": "sales",
                "when": [{"header": "To", "part": "user", "prefix": "+49"}],
                "then": {"accept": {"session": {"model": "gpt-realtime-2.1", "instructions": "Say hello."}}},
            }
        ],
        "default": {"reject": {"status_code": 486}},
    }
    stack.set_call_policy(json.dumps(policy))
    came_in = openai.call_in(to="<sip:+4930123456@sip.api.openai.com>")
    return Played(
        category="realtime",
        event_type="realtime.call.incoming",
        webhook_id=_announced(came_in),
        object_id=came_in["call"]["call_id"],
        status="accepted",
        told=("rule_name", "from", "to"),
    )


def _agent(openai: StandIn) -> Played:
    """Session that waits for a function call."""
    session_id = openai.agent_session(deliver=False)["session"]["id"]
    call = {
        "type": "function_call",
        "call_id": "call_1",
        "turn_id": "turn_1",
        "name": "pay",
        "arguments": {"amount": 3},
    }
    moved = openai.move_agent_session(session_id, "requires_action", required_actions=[call])
    return Played(
        category="agent",
        event_type="agent.session.action_required",
        webhook_id=_announced(moved),
        object_id=session_id,
        status="requires_action",
        kept={f"agent/session/{session_id}/*.json": None},
        told=("required_actions",),
    )


def _safety(openai: StandIn) -> Played:
    """Safety notice of the organization's endpoint."""
    issued = openai.safety_case("warning", reason="Cyber.")
    return Played(
        category="safety",
        event_type="safety.warning_issued",
        webhook_id=_announced(issued),
        object_id=issued["case"]["id"],
        status="warning",
        endpoint="organization",
        kept={f"safety/{issued['case']['id']}.json": None},
        told=("reason", "entity_identifier"),
    )


def _file(openai: StandIn, endpoint: str) -> Played:
    """File, told of by an event that OpenAI does not send today."""
    made = openai.sdk().files.create(file=("notes.txt", b"Notes."), purpose="user_data")
    (delivery,) = openai.deliver("file.processed", {"id": made.id}, endpoint=endpoint)
    return Played("file", "file.processed", delivery["webhook_id"], made.id, "processed", told=("filename", "purpose"))


def _archive(openai: StandIn, endpoint: str) -> Played:
    """Unknown event type."""
    (delivery,) = openai.deliver("brand.new", {"id": "thing_1", "shiny": True}, endpoint=endpoint)
    return Played("archive", "brand.new", delivery["webhook_id"], "thing_1", "recorded", told=("data",))


def _announced(ended: Json) -> str:
    (delivery,) = ended["deliveries"]
    return delivery["webhook_id"]


def _ids(start: int, end: int) -> list[str]:
    return [f"request-{number}" for number in range(start, end)]


def _line(custom_id: str) -> bytes:
    body = {"model": MODEL, "input": f"Say hello to {custom_id}."}
    request: dict[str, Any] = {"custom_id": custom_id, "method": "POST", "url": _ENDPOINT, "body": body}
    return json.dumps(request).encode() + b"\n"


def _as_openai_counts(job: Item) -> dict[str, int]:
    """The job's counts. OpenAI counts a line as completed though it cannot be read."""
    counts = dict(job.get("counts", {}))
    if unreadable := counts.pop("unreadable", 0):
        counts["completed"] += unreadable
    return counts


def _miscounted(played: Played, artifacts: dict[str, bytes]) -> list[str]:
    """Compare `summary.json` of a batch with OpenAI's files, counted independently."""
    if played.category != "batch":
        return []
    found = {"succeeded": 0, "failed": 0, "malformed": 0}
    for line in b"".join(content or b"" for content in played.kept.values()).splitlines():
        answer = parsed(line)
        if not answer:
            found["malformed"] += 1
        elif (answer.get("response") or {}).get("status_code", 500) < 400:
            found["succeeded"] += 1
        else:
            found["failed"] += 1
    summary = parsed(artifacts.get(f"batch/{played.object_id}/summary.json"))
    counted = {name: summary.get("lines", {}).get(name) for name in found}
    return [] if counted == found else [f"summary.json counts {counted}, and OpenAI's files have {found}"]


def parsed(content: bytes | None) -> dict[str, Any]:
    """JSON object, or an empty one if there is none."""
    try:
        value = json.loads(content or b"")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
