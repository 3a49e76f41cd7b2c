"""What can never be handled goes to the dead-letter queue with its reason, and comes back when somebody wants it to."""

import json
import uuid
from typing import Any

import pytest

from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import content, finish, given_up, handled, kept, new_batch, of_age
from tests.waiting import stays, wait_until


def attributes(**changed: str | None) -> dict[str, str]:
    """The message attributes that the verifier gives, with some of them changed or left out."""
    usual = {
        "webhook-id": f"wh_{uuid.uuid4().hex}",
        "webhook-timestamp": "1795219200",
        "endpoint": "project",
        "event-type": "batch.completed",
        "received-at": "1795219200000",
        "source": "openai",
    }
    given = usual | {name.replace("_", "-"): value for name, value in changed.items()}
    return {name: value for name, value in given.items() if value is not None}


def body(batch_id: str) -> str:
    return json.dumps(
        {"id": "evt_1", "object": "event", "created_at": 1, "type": "batch.completed", "data": {"id": batch_id}}
    )


def event_source(stack: Stack) -> tuple[Any, str]:
    functions = stack.emulator.client("lambda")
    (mapping,) = functions.list_event_source_mappings(FunctionName=f"{stack.name}-batch")["EventSourceMappings"]
    return functions, mapping["UUID"]


def redrive(stack: Stack) -> None:
    """Move the one dead letter back to its queue with its attributes, as SQS does when asked to."""
    sqs = stack.emulator.client("sqs")
    source, target = stack.dead_letter_queue_url("batch"), stack.queue_url("batch")
    (letter,) = sqs.receive_message(QueueUrl=source, MessageAttributeNames=["All"])["Messages"]
    sqs.send_message(QueueUrl=target, MessageBody=letter["Body"], MessageAttributes=letter["MessageAttributes"])
    sqs.delete_message(QueueUrl=source, ReceiptHandle=letter["ReceiptHandle"])


POISON = {
    "no-attributes": ("{}", {}),
    "no-json": ("not JSON", attributes()),
    "no-type": ('{"id": "evt_1", "created_at": 1, "data": {}}', attributes()),
    "no-webhook-id": (body("batch_1"), attributes(webhook_id=None)),
    "received-at-no-time": (body("batch_1"), attributes(received_at="today")),
    "unknown-source": (body("batch_1"), attributes(source="a friend")),
}


def test_poisoned_messages_never_take_their_neighbours_along(stack: Stack, openai: StandIn, watch: Watch) -> None:
    functions, mapping = event_source(stack)
    # The template gives one message to each invocation. Here they come all together.
    functions.update_event_source_mapping(UUID=mapping, BatchSize=10, Enabled=False)
    good = [new_batch(openai) for _ in range(3)]
    for batch_id in good:
        openai.advance(batch_id, "completed", deliver=False)
        stack.send("batch", body(batch_id), attributes())
    for text, given in POISON.values():
        stack.send("batch", text, given)

    functions.update_event_source_mapping(UUID=mapping, Enabled=True)

    for batch_id in good:
        wait_until("a neighbour is handled", lambda batch_id=batch_id: stack.job("batch", batch_id))
        assert kept(stack, batch_id) == content(openai, batch_id)
    letters = wait_until(
        "the poisoned ones are dead letters",
        lambda: len(found := stack.dead_letters("batch")) == len(POISON) and found,
    )
    assert {letter.attributes["failure-reason"] for letter in letters} == {"undecodable_message"}
    assert all(letter.attributes["failure-message"] for letter in letters)
    assert sorted(letter.body for letter in letters) == sorted(text for text, _ in POISON.values())
    wait_until("people are told of the first", lambda: len(watch.alerts()) == 1)
    counted = [len(POISON) - 1]
    wait_until("the others are counted", lambda: [group.get("count") for group in stack.ledger("alerts")] == counted)
    wait_until("the queue is empty", lambda: stack.messages("batch") == [])

    def invocations() -> list[str]:
        return [line for line in stack.logs("batch") if line.startswith("START ")]

    assert len(wait_until("the log is there", invocations)) == 1, "they did not come together"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "status", "status": 401}, "unauthorized"),
        ({"kind": "status", "status": 403}, "unauthorized"),
        ({"kind": "insufficient_quota"}, "quota_exhausted"),
    ],
    ids=["401", "403", "quota"],
)
def test_what_no_retry_can_mend_is_given_up_at_once_and_handled_after_a_redrive(
    stack: Stack, openai: StandIn, watch: Watch, fault: dict[str, Any], reason: str
) -> None:
    batch_id = new_batch(openai)
    openai.fault(f"GET /v1/batches/{batch_id}", **fault)

    delivery = finish(openai, batch_id)
    event = given_up(stack, delivery)

    assert event["error"]["reason"] == reason
    assert event["attempts"] == 1
    (letter,) = stack.dead_letters("batch")
    assert letter.attributes["failure-reason"] == reason
    assert letter.attributes["failure-message"] == event["error"]["message"]
    assert letter.attributes["webhook-id"] == delivery["webhook_id"]
    assert letter.json()["data"] == {"id": batch_id}
    (alert,) = wait_until("people are alerted", watch.alerts)
    assert reason in alert.subject
    assert alert.attributes == {"category": "batch", "event-type": "batch.completed", "severity": "critical"}
    wait_until("the message is acknowledged", lambda: stack.messages("batch") == [])
    assert watch.outcomes() == []

    openai.clear_faults()
    redrive(stack)

    redriven = handled(stack, delivery)
    assert "error" not in redriven
    assert redriven["attempts"] == 2
    assert kept(stack, batch_id) == content(openai, batch_id)
    assert len(watch.outcomes()) == 1
    assert stack.dead_letters("batch") == []


def test_what_failed_for_good_stays_so_when_openai_delivers_it_again(
    stack: Stack, openai: StandIn, watch: Watch
) -> None:
    batch_id = new_batch(openai)
    openai.fault(f"GET /v1/batches/{batch_id}", "status", status=403)
    delivery = finish(openai, batch_id)
    event = given_up(stack, delivery)

    openai.deliver("batch.completed", {"id": batch_id}, webhook_id=delivery["webhook_id"], wait=True)

    wait_until("the copy is acknowledged", lambda: stack.messages("batch") == [])
    assert stack.event(delivery["webhook_id"]) == event
    stays(
        "there is one dead letter and one alert",
        lambda: len(stack.dead_letters("batch")) == len(watch.alerts()) == 1,
        0.5,
    )
    assert openai.calls("GET", f"/v1/batches/{batch_id}") == 1


def test_an_event_that_names_no_usable_batch_is_given_up_before_openai_or_s3_hear_of_it(
    stack: Stack, openai: StandIn
) -> None:
    unusable = {
        "no_object": [{}, {"id": ""}, {"id": 7}],
        "unusable_id": [{"id": "../x"}, {"id": "a?b"}, {"id": "\ufffe"}],
    }
    for reason, events in unusable.items():
        for data in events:
            (delivery,) = openai.deliver("batch.completed", data, wait=True)
            assert given_up(stack, delivery)["error"]["reason"] == reason, data

    assert len(stack.dead_letters("batch")) == 6
    assert openai.requests() == []
    assert stack.artifacts() == {}


def test_a_result_file_that_is_gone_is_told_and_the_other_one_is_kept(
    stack: Stack, openai: StandIn, watch: Watch
) -> None:
    batch_id = new_batch(openai, 2)
    plan = {"lines": {"request-0": 500}}
    batch = openai.advance(batch_id, "completed", plan=plan, deliver=False)["batch"]
    openai.sdk().files.delete(batch["output_file_id"])
    (delivery,) = openai.deliver("batch.completed", {"id": batch_id}, created_at=of_age())

    event = given_up(stack, delivery)

    assert event["error"]["reason"] == "file_gone"
    assert batch["output_file_id"] in event["error"]["message"]
    assert list(kept(stack, batch_id)) == [f"batch/{batch_id}/errors.jsonl"]
    (letter,) = stack.dead_letters("batch")
    assert letter.attributes["failure-reason"] == "file_gone"
    assert len(wait_until("people are alerted", watch.alerts)) == 1


def test_a_message_that_fails_every_time_is_given_up_with_what_it_failed_of(
    stack: Stack, openai: StandIn, watch: Watch
) -> None:
    stack.set_environment("batch", MAX_RECEIVES="1")
    batch_id = new_batch(openai)
    openai.fault(f"GET /v1/batches/{batch_id}", "status", status=500)

    event = given_up(stack, finish(openai, batch_id))

    assert event["error"]["reason"] == "retries_exhausted"
    (letter,) = stack.dead_letters("batch")
    assert letter.attributes["failure-reason"] == "retries_exhausted"
    assert "500" in letter.attributes["failure-message"]
    assert len(wait_until("people are alerted", watch.alerts)) == 1
