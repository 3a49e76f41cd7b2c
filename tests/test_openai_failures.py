"""Every answer of OpenAI to the first request of each category: the event is retried, given up or over, and acts once.

A category is one entry in `CATEGORIES`. Timeouts of requests have their own tests.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from infra.local.stack import Item, Message, Stack
from infra.local.stand_in import Json, StandIn
from infra.local.watch import Watch
from tests.batches import new_batch
from tests.test_fine_tuning import new_job
from tests.waiting import wait_until

RETRIED_WITHIN_SECONDS = 60.0
"""The first retry comes within 15 seconds; the rest is for a slow machine."""


End = Literal["retried", "given up", "over"]


@dataclass(frozen=True)
class Failing:
    """A category whose function calls OpenAI."""

    event_type: str
    make: Callable[[StandIn, Stack], tuple[str, str]]
    """Makes an object at OpenAI that has ended. Returns its id and the path of the consumer's first request."""
    method: str = "GET"
    data: Callable[[str], Json] = lambda object_id: {"id": object_id}
    """The event's data."""
    otherwise: Mapping[str, tuple[End, str]] = field(default_factory=dict)
    """The results that differ from `FAULTS`, by the name of the fault or of the end."""
    alerted: bool = False
    """Whether every end makes an alert."""

    def expected(self, name: str) -> tuple[End, str]:
        """The result of an event whose first request has this answer."""
        fault = FAULTS[name]
        return self.otherwise.get(name) or self.otherwise.get(fault.end) or (fault.end, fault.says)


def batch(openai: StandIn, _: Stack) -> tuple[str, str]:
    batch_id = new_batch(openai)
    openai.advance(batch_id, "completed", deliver=False)
    return batch_id, f"/v1/batches/{batch_id}"


def response(openai: StandIn, _: Stack) -> tuple[str, str]:
    created = openai.sdk().responses.create(model="gpt-6-luna", input="Hello", background=True)
    openai.finish_response(created.id, deliver=False)
    return created.id, f"/v1/responses/{created.id}"


def file(openai: StandIn, _: Stack) -> tuple[str, str]:
    file_id = openai.put_file(text="four")["id"]
    return file_id, f"/v1/files/{file_id}"


def fine_tuning(openai: StandIn, _: Stack) -> tuple[str, str]:
    # A cancelled job is only recorded. The question to a model would be another request.
    job_id = new_job(openai)
    openai.finish_fine_tuning(job_id, "cancelled", deliver=False)
    return job_id, f"/v1/fine_tuning/jobs/{job_id}"


def call(openai: StandIn, stack: Stack) -> tuple[str, str]:
    stack.set_call_policy(json.dumps({"answer_as": "realtime", "default": {"accept": {"session": {"model": "m"}}}}))
    call_id = openai.call_in(events=[])["call"]["call_id"]
    return call_id, f"/v1/realtime/calls/{call_id}/accept"


def agent(openai: StandIn, _: Stack) -> tuple[str, str]:
    session_id = openai.agent_session(deliver=False)["session"]["id"]
    return session_id, f"/v1/agents/sessions/{session_id}"


def safety(openai: StandIn, _: Stack) -> tuple[str, str]:
    alert_id = openai.safety_alert(deliver=False)["alert"]["id"]
    return alert_id, f"/v1/safety/alerts/{alert_id}"


ANSWERED_ANYWAY: tuple[End, str] = ("over", "accepted")
CATEGORIES = {
    "batch": Failing("batch.completed", batch),
    "response": Failing("response.completed", response),
    "fine-tuning": Failing("fine_tuning.job.cancelled", fine_tuning),
    # The caller waits, so the function retries at once. It does not read the body of a success. A 409 to the first try
    # says that another program has answered.
    "realtime": Failing(
        "realtime.call.incoming",
        call,
        method="POST",
        data=lambda call_id: {"call_id": call_id, "sip_headers": []},
        otherwise={
            "retried": ANSWERED_ANYWAY,
            "nothing known": ANSWERED_ANYWAY,
            "409": ("over", "answered_elsewhere"),
        },
    ),
    "agent": Failing("agent.session.created", agent),
    # Every notice makes an alert, so no event is given up.
    "safety": Failing(
        "safety.alert.created",
        safety,
        otherwise={"given up": ("over", "lookup_failed"), "nothing known": ("over", "created")},
        alerted=True,
    ),
    "file": Failing("file.processed", file),
}


@dataclass(frozen=True)
class Expected:
    """The result of an event for one answer of OpenAI to the first request."""

    fault: Json
    end: End
    says: str
    """A part of the error message when retried, the reason when given up, or the status of the outcome."""


STRANGE = "somersaulting"
"""An unknown status."""

FAULTS = {
    "401": Expected({"kind": "status", "status": 401}, "given up", "unauthorized"),
    "403": Expected({"kind": "status", "status": 403}, "given up", "unauthorized"),
    # It may not be visible yet.
    "404": Expected({"kind": "status", "status": 404}, "retried", "OpenAI has no"),
    "409": Expected({"kind": "status", "status": 409}, "retried", "409"),
    "422": Expected({"kind": "status", "status": 422}, "given up", "refused_by_openai"),
    "429": Expected({"kind": "rate_limit"}, "retried", "429 rate_limit_exceeded"),
    "429 with Retry-After": Expected({"kind": "rate_limit", "retry_after": 2}, "retried", "429 rate_limit_exceeded"),
    "no quota": Expected({"kind": "insufficient_quota"}, "given up", "quota_exhausted"),
    "500": Expected({"kind": "status", "status": 500}, "retried", "500 server_error"),
    "502 of a gateway": Expected({"kind": "status", "status": 502, "body": "<html>"}, "retried", "502"),
    "a cut connection": Expected({"kind": "cut", "after_bytes": 20}, "retried", "broke off"),
    "no JSON": Expected({"kind": "truncate", "after_bytes": 20}, "retried", "not JSON in full"),
    "nothing known": Expected({"kind": "status", "status": 200}, "over", STRANGE),
}


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_answer_of_openai_is_retried_given_up_or_over(
    stack: Stack, openai: StandIn, watch: Watch, category: str
) -> None:
    failing = CATEGORIES[category]
    objects, deliveries = {}, {}
    for name, expected in FAULTS.items():
        objects[name], path = failing.make(openai, stack)
        fault = expected.fault
        if expected.says == STRANGE:
            fault = {**fault, "body": strange(openai, path) if failing.method == "GET" else "{}"}
        openai.fault(f"{failing.method} {path}", times=1, **fault)
    for name, object_id in objects.items():
        (deliveries[name],) = openai.deliver(failing.event_type, failing.data(object_id))

    def event(name: str) -> Item:
        return stack.event(deliveries[name]["webhook_id"]) or {"state": "not there yet"}

    def message(name: str) -> Message | None:
        waiting = {message.attributes["webhook-id"]: message for message in stack.messages(category)}
        return waiting.get(deliveries[name]["webhook_id"])

    tried: dict[str, tuple[Item, Message | None]] = {}

    def each_was_tried() -> bool:
        for name in FAULTS.keys() - tried.keys():
            if "error" in (found := event(name)) or found["state"] == "completed":
                tried[name] = found, message(name)
        return tried.keys() == FAULTS.keys()

    wait_until("each has been tried once", each_was_tried)
    expected_of = {name: failing.expected(name) for name in FAULTS}
    retried = [name for name, (end, _) in expected_of.items() if end == "retried"]
    for name in retried:
        assert_postponed(name, *tried[name])

    for name in retried:
        wait_until(f"{name} is handled", lambda name=name: event(name)["state"] == "completed", RETRIED_WITHIN_SECONDS)
    wait_until("no message is left", lambda: stack.messages(category) == [])

    letters = {letter.attributes["webhook-id"]: letter.attributes for letter in stack.dead_letters(category)}
    for name, (end, says) in expected_of.items():
        assert_ended(name, (end, says), event(name), letters.get(deliveries[name]["webhook_id"]))
        told = [found for found in watch.outcomes() if found.detail["object_id"] == objects[name]]
        jobs = [job for job in stack.ledger("job") if job["object_id"] == objects[name]]
        if end == "given up":
            assert (len(told), len(jobs)) == (0, 0), name
        else:
            assert (len(told), len(jobs)) == (1, 1), name
            assert told[0].detail["status"] == jobs[0]["status"] == event(name)["outcome"]["status"], name
    assert len(letters) == sum(end == "given up" for end, _ in expected_of.values())
    # Alerts of one kind are sent once, and then counted.
    alerted = len(watch.alerts()) + sum(group.get("count", 0) for group in stack.ledger("alerts"))
    surely = len(letters) + (len(FAULTS) - len(letters) if failing.alerted else 0)
    missing = 0 if failing.alerted else sum(says == "not_found" for _, says in expected_of.values())
    assert surely <= alerted <= surely + missing


def strange(openai: StandIn, path: str) -> str:
    """The object at `path`, with an unknown status and unknown fields."""
    beta = {"headers": {"OpenAI-Beta": "agents=v1"}}
    known: Any = openai.sdk().get(path.removeprefix("/v1"), cast_to=object, options=beta)
    return json.dumps(known | {"status": STRANGE, "shiny": {"new": [True]}})


def assert_postponed(name: str, event: Item, message: Message | None) -> None:
    assert (event["state"], event["attempts"]) == ("in_progress", 1), name
    assert event["error"]["reason"] == "retry", name
    assert FAULTS[name].says in event["error"]["message"], name
    assert message is not None, name
    assert (message.receives, message.visible) == (1, False), name
    assert "failure-reason" not in message.attributes, name


def assert_ended(name: str, expected: tuple[End, str], event: Item, letter: dict[str, str] | None) -> None:
    end, says = expected
    match end:
        case "retried":
            assert (event["state"], event["attempts"], "error" in event) == ("completed", 2, False), name
            assert letter is None, name
        case "given up":
            assert (event["state"], event["attempts"]) == ("failed", 1), name
            assert event["error"]["reason"] == says, name
            assert letter is not None, name
            assert letter["failure-reason"] == says, name
        case "over":
            assert (event["state"], event["attempts"]) == ("completed", 1), name
            assert event["outcome"]["status"] == says, name
            assert letter is None, name
