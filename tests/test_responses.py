"""Background responses: retrieved at once, and stored before OpenAI deletes them."""

import json
from typing import Any

import pytest

from infra.local.stack import Stack
from infra.local.stand_in import Json, StandIn
from infra.local.watch import Watch
from tests.batches import given_up, handled, of_age, tried
from tests.waiting import stays, wait_until


def ended(openai: StandIn, status: str = "completed", **options: Any) -> tuple[str, Json]:
    """End a background response and return its id and the delivery of its webhook."""
    created = openai.sdk().responses.create(
        model="gpt-6-luna", input="Hello", background=True, metadata={"job": "nightly"}
    )
    (delivery,) = openai.finish_response(created.id, status, **options)["deliveries"]
    return created.id, delivery


def said(stack: Stack, response_id: str) -> str:
    """Text of a stored response, as docs/outcomes says to read it."""
    response = json.loads(stack.artifact(f"response/{response_id}.json") or b"")
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part["text"] for part in parts if part["type"] == "output_text")


def test_a_completed_response_is_stored_byte_for_byte(stack: Stack, openai: StandIn, watch: Watch) -> None:
    response_id, delivery = ended(openai, text="Forty-two.", refusal="Nothing more.")

    event = handled(stack, delivery)

    key = f"response/{response_id}.json"
    assert event["outcome"]["artifacts"] == [key]
    response = openai.sdk().responses.retrieve(response_id)
    stored = stack.artifact(key) or b""
    assert stored == openai.sdk().responses.with_raw_response.retrieve(response_id).content
    assert said(stack, response_id) == "Forty-two."
    job = stack.job("response", response_id)
    assert job is not None
    assert (job["status"], job["terminal"]) == ("completed", 1)
    assert response.usage is not None
    assert job["counts"]["total_tokens"] == response.usage.total_tokens
    assert (job["summary"]["model"], job["summary"]["metadata"]) == ("gpt-6-luna", {"job": "nightly"})
    (outcome,) = wait_until("the outcome is published", lambda: watch.outcomes("response.completed"))
    assert (outcome.detail["object_id"], outcome.detail["artifacts"]) == (response_id, [key])
    assert watch.alerts() == []


def test_a_failed_response_has_its_reason_and_people_are_alerted(stack: Stack, openai: StandIn, watch: Watch) -> None:
    response_id, delivery = ended(openai, "failed", output=[], error={"code": "server_error", "message": "It broke."})

    event = handled(stack, delivery)

    assert event["outcome"]["artifacts"] == [f"response/{response_id}.json"]
    job = stack.job("response", response_id)
    assert job is not None
    assert (job["status"], job["error"]) == ("failed", "server_error: It broke.")
    (alert,) = wait_until("people are alerted", watch.alerts)
    assert alert.subject == f"Response {response_id} failed"
    assert "server_error: It broke." in alert.message


@pytest.mark.parametrize("status", ["cancelled", "incomplete"])
def test_a_partial_response_is_stored_and_nobody_is_alerted(
    stack: Stack, openai: StandIn, watch: Watch, status: str
) -> None:
    options = {"incomplete_reason": "max_output_tokens"} if status == "incomplete" else {}
    part = {"type": "output_text", "text": "So far", "annotations": []}
    message = {"id": "msg_1", "type": "message", "status": "incomplete", "role": "assistant", "content": [part]}
    response_id, delivery = ended(openai, status, output=[message], **options)

    handled(stack, delivery)

    assert said(stack, response_id) == "So far"
    job = stack.job("response", response_id)
    assert job is not None
    assert job["status"] == status
    assert job.get("error") == ("it was cut short: max_output_tokens" if options else None)
    stays("nobody is alerted", lambda: watch.alerts() == [], seconds=0.3)


def test_a_response_that_is_gone_is_recorded_with_its_age_and_alerted_once(
    stack: Stack, openai: StandIn, watch: Watch
) -> None:
    (delivery,) = openai.deliver("response.completed", {"id": "resp_gone"}, created_at=of_age())

    event = handled(stack, delivery)

    assert event["outcome"]["status"] == "not_found"
    (outcome,) = wait_until("the outcome is published", lambda: watch.outcomes("response.completed"))
    assert 660 <= outcome.detail["summary"]["age_seconds"] < 720
    openai.deliver("response.completed", {"id": "resp_gone"}, webhook_id=delivery["webhook_id"], wait=True)
    wait_until("the copy is acknowledged", lambda: stack.messages("response") == [])
    assert [alert.subject for alert in watch.alerts()] == ["Response resp_gone is gone"]
    assert stack.artifacts("response/") == {}


def test_the_key_of_another_project_is_not_taken_for_a_missing_response(stack: Stack, openai: StandIn) -> None:
    openai.fault("GET /v1/responses/{id}", "status", status=401)
    (delivery,) = openai.deliver("response.completed", {"id": "resp_1"})

    event = given_up(stack, delivery)

    assert event["error"]["reason"] == "unauthorized"


def test_a_temporary_failure_of_openai_is_retried(stack: Stack, openai: StandIn, watch: Watch) -> None:
    openai.fault("GET /v1/responses/{id}", "cut", times=1, after_bytes=20)
    response_id, delivery = ended(openai, text="Late")

    tried(stack, delivery)
    event = handled(stack, delivery)

    assert event["attempts"] == 2
    assert said(stack, response_id) == "Late"
    assert len(watch.outcomes("response.completed")) == 1


def test_an_event_that_is_ahead_of_the_response_is_retried(stack: Stack, openai: StandIn) -> None:
    created = openai.sdk().responses.create(model="gpt-6-luna", input="Hello", background=True)
    (delivery,) = openai.deliver("response.completed", {"id": created.id})

    assert "still queued" in tried(stack, delivery)["error"]["message"]
    openai.finish_response(created.id, text="Now", deliver=False)
    handled(stack, delivery)

    assert said(stack, created.id) == "Now"
