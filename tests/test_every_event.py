"""Every event type of OpenAI, current or from older documentation, five times each in any order: each acts once."""

import json
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from infra.local.processes import ROOT
from infra.local.stack import CATEGORIES, Item, Stack
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests import schemas
from tests.batches import new_batch
from tests.conftest import MakeStack
from tests.deliveries import Answer, Headers, event, send, signed
from tests.test_fine_tuning import new_job
from tests.waiting import wait_until

COPIES = 5
SEED = 20261121

SOON_AGAIN = {"seconds": 20, "visibility": 80}
"""Timeouts in seconds. A copy that finds another one in progress is retried after its lease, which these keep short."""

Made = tuple[str, str]
"""An object's id, and the status of its event's outcome."""


def batch(status: str) -> Callable[[StandIn], Made]:
    def make(openai: StandIn) -> Made:
        batch_id = new_batch(openai)
        if status != "validating":
            openai.advance(batch_id, status)
        return batch_id, status

    return make


def response(status: str) -> Callable[[StandIn], Made]:
    def make(openai: StandIn) -> Made:
        response_id = openai.sdk().responses.create(model="gpt-6-luna", input="Hello", background=True).id
        if status != "queued":
            openai.finish_response(response_id, status)
        return response_id, status

    return make


def job(status: str) -> Callable[[StandIn], Made]:
    def make(openai: StandIn) -> Made:
        job_id = new_job(openai, metadata={"alias": "support"})
        if status != "validating_files":
            openai.finish_fine_tuning(job_id, status)
        return job_id, status

    return make


def session(status: str, **options: Any) -> Callable[[StandIn], Made]:
    def make(openai: StandIn) -> Made:
        session_id = openai.agent_session()["session"]["id"]
        if status != "idle" or options:
            openai.move_agent_session(session_id, status, **options)
        return session_id, status

    return make


def environment(status: str) -> Callable[[StandIn], Made]:
    def make(openai: StandIn) -> Made:
        return openai.agent_environment(status)["environment"]["id"], status

    return make


def alert(*, workspace: bool) -> Callable[[StandIn], Made]:
    def make(openai: StandIn) -> Made:
        return openai.safety_alert(workspace=workspace)["alert"]["id"], "created"

    return make


def case(notice: str) -> Callable[[StandIn], Made]:
    def make(openai: StandIn) -> Made:
        return openai.safety_case(notice)["case"]["id"], notice

    return make


def file(openai: StandIn) -> Made:
    return openai.put_file(text="four")["id"], "processed"


def nothing(status: str) -> Callable[[StandIn], Made]:
    """No object: the consumer does not retrieve one, or OpenAI does not have it."""
    return lambda _: ("thing_1", status)


CALL = {"type": "function_call", "call_id": "call_1", "turn_id": "turn_1", "name": "pay", "arguments": {}}

REAL: dict[str, Callable[[StandIn], Made]] = {
    **{f"batch.{status}": batch(status) for status in ("completed", "failed", "expired", "cancelled")},
    **{f"response.{status}": response(status) for status in ("completed", "failed", "cancelled", "incomplete")},
    **{f"fine_tuning.job.{status}": job(status) for status in ("succeeded", "failed", "cancelled")},
    **{f"eval.run.{status}": nothing("recorded") for status in ("succeeded", "failed", "canceled")},
    "agent.session.created": session("idle"),
    "agent.session.action_required": session("requires_action", required_actions=[CALL]),
    "agent.session.in_progress": session("in_progress"),
    "agent.session.idle": session("idle", turn={"status": "completed"}),
    "agent.session.failed": session("failed", error="It broke."),
    **{f"agent.environment.{status}": environment(status) for status in ("ready", "failed", "suspended", "expired")},
    "safety.alert.created": alert(workspace=False),
    "safety.org_alert.created": alert(workspace=True),
    "safety.warning_issued": case("warning"),
    "safety.deactivation_issued": case("deactivation"),
    "safety_identifier.blocked": nothing("blocked"),
    "video.completed": nothing("recorded"),
    "video.failed": nothing("recorded"),
}
"""The types that OpenAI sends, except for those in `CALLS`."""

CALLS = {
    "realtime.call.incoming": "unanswered",
    "live.transport.incoming": "unanswered",
    "live.call.incoming": "unanswered",
    "live.transport.connected": "recorded",
}
"""This stack has no policy, so no call is answered."""

NOT_REAL: dict[str, Callable[[StandIn], Made]] = {
    "batch.created": batch("validating"),
    "batch.in_progress": batch("in_progress"),
    "batch.finalizing": batch("finalizing"),
    "fine_tune.completed": job("succeeded"),
    "fine_tuning.job.completed": job("succeeded"),
    "fine_tuning.job.created": job("validating_files"),
    "fine_tuning.job.queued": job("queued"),
    "fine_tuning.job.running": job("running"),
    "file.created": file,
    "file.processed": file,
    "file.deleted": nothing("not_found"),
    "realtime.session.created": nothing("recorded"),
    "realtime.call.ended": nothing("recorded"),
    "realtime.call.hangup": nothing("recorded"),
    "realtime.call.hungup": nothing("recorded"),
    "eval.run.cancelled": nothing("recorded"),
    "response.created": response("queued"),
    "response.in_progress": response("queued"),
    "response.queued": response("queued"),
    "brand.new": nothing("recorded"),
}
"""Types of older documentation that OpenAI does not send, and an unknown type."""


ORGANIZATION = ("safety.org_alert.created", "safety.warning_issued", "safety.deactivation_issued")
"""The types that OpenAI sends to the organization's endpoint."""


def body_of(event_type: str, object_id: str) -> bytes:
    """The sample of a type with this object's id, or an event of the usual shape."""
    sample = ROOT / "events" / "bodies" / f"{event_type}.json"
    if not sample.is_file():
        return event(event_type, object_id)
    body = {**json.loads(sample.read_text()), "id": f"evt_{event_type}"}
    if "id" in body["data"]:
        body["data"]["id"] = object_id
    for name in {"call_id", "session_id"} & body["data"].keys():
        # The samples stand for one call with two events.
        body["data"][name] = f"{name}_{event_type}"
    return json.dumps(body).encode()


def all_ended(stack: Stack, expected: dict[str, tuple[str, str, str]]) -> bool:
    events = (stack.event(webhook_id, endpoint) for webhook_id, (_, endpoint, _) in expected.items())
    return all(event is not None and event["state"] in ("completed", "failed", "not_found") for event in events)


def result_of(event: Item) -> str:
    """The result of an event: the status of its outcome, or its error."""
    return event["outcome"]["status"] if event["state"] == "completed" else f"{event['state']}: {event.get('error')}"


def test_every_sample_is_among_them() -> None:
    samples = {path.stem for path in (ROOT / "events" / "bodies").glob("*.json")}
    assert samples == (REAL.keys() | CALLS.keys() | NOT_REAL.keys()) & samples
    assert REAL.keys() | CALLS.keys() <= samples


def test_every_event_five_times_in_any_order_acts_once(make_stack: MakeStack, openai: StandIn) -> None:
    # No endpoint is registered at OpenAI, so the objects that are made there have no webhooks of their own.
    stack = make_stack(fill_secrets=False)
    for category in set(CATEGORIES) - {"realtime"}:
        stack.set_timeouts(category, **SOON_AGAIN)
    stack.fill_secrets()
    watch = Watch(stack)
    expected: dict[str, tuple[str, str, str]] = {}
    deliveries: list[tuple[str, bytes, Headers]] = []
    for event_type in [*REAL, *NOT_REAL, *CALLS]:
        make = REAL.get(event_type) or NOT_REAL.get(event_type) or nothing(CALLS.get(event_type, ""))
        object_id, status = make(openai)
        endpoint = "organization" if event_type in ORGANIZATION else "project"
        body = body_of(event_type, object_id)
        headers = signed(stack.signing_secrets[endpoint], body)
        expected[dict(headers)["webhook-id"]] = (event_type, endpoint, status)
        deliveries += [(stack.url(endpoint), body, headers)] * COPIES

    random.Random(SEED).shuffle(deliveries)
    with ThreadPoolExecutor(8) as senders:
        answers: list[Answer] = list(senders.map(lambda delivery: send(*delivery), deliveries))

    assert {answer.status for answer in answers} == {200}
    wait_until("every event has ended", lambda: all_ended(stack, expected), timeout=180)
    wait_until("every copy is acknowledged", lambda: not any(map(stack.messages, CATEGORIES)), timeout=180)
    ended = {id: stack.event(id, endpoint) or {} for id, (_, endpoint, _) in expected.items()}
    assert {expected[id][0]: result_of(event) for id, event in ended.items()} == {
        event_type: status for event_type, _, status in expected.values()
    }
    assert {category: stack.dead_letters(category) for category in CATEGORIES} == {name: [] for name in CATEGORIES}
    outcomes = watch.outcomes()
    assert Counter(outcome.detail["id"] for outcome in outcomes) == {event["event_id"]: 1 for event in ended.values()}
    assert [fault for outcome in outcomes for fault in schemas.faults(outcome)] == []
