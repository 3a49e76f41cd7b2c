"""Nothing is lost and nothing acts twice, however slow AWS is and whoever redrives or replays in between."""

import json
import threading

import pytest

from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import finish, given_up, handled, new_batch
from tests.between import Between, Request
from tests.cli import Cli
from tests.test_dead_letters import redrive
from tests.waiting import stays, wait_until

# A lease is as long as the function's timeout and two seconds; the template's are minutes.
TIMEOUTS = {"seconds": 8, "visibility": 12}
THROTTLED = (
    b'{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}'
)


@pytest.fixture
def cli(stack: Stack) -> Cli:
    return Cli(stack)


def ends(status: str, request: Request) -> bool:
    """Whether a request ends an idempotency record with this status."""
    if not request.operation.endswith("UpdateItem"):
        return False
    values = json.loads(request.body).get("ExpressionAttributeValues", {})
    return ":holder" in values and values.get(":status") == {"S": status}


def test_a_letter_that_is_redriven_before_its_event_is_marked_as_failed_is_not_lost(
    stack: Stack, openai: StandIn, watch: Watch
) -> None:
    stack.set_timeouts("batch", **TIMEOUTS)
    batch_id = new_batch(openai)
    openai.fault(f"GET /v1/batches/{batch_id}", "status", times=1, status=401)
    with Between(stack) as between:
        between.delay(lambda request: ends("failed", request), 2)
        between.take("batch")

        def redrive_at_once() -> None:
            wait_until("its letter is there", lambda: stack.dead_letters("batch"))
            redrive(stack)

        person = threading.Thread(target=redrive_at_once)
        person.start()
        delivery = finish(openai, batch_id)
        event = handled(stack, delivery, timeout=60)
        person.join()

    assert "error" not in event
    assert [attempt["result"] for attempt in event["history"]] == ["failed", "completed"]
    assert len(watch.outcomes()) == 1
    wait_until("no message is left", lambda: stack.messages("batch") == [])
    assert stack.dead_letters("batch") == []


def test_what_is_announced_is_not_freed_when_its_end_is_throttled(stack: Stack, openai: StandIn, watch: Watch) -> None:
    stack.set_timeouts("batch", **TIMEOUTS)
    batch_id = new_batch(openai)
    with Between(stack) as between:
        between.refuse(lambda request: ends("completed", request), 3, status=400, answer=THROTTLED)
        between.take("batch")
        first = finish(openai, batch_id)
        wait_until("it is announced and cannot be ended", lambda: len(between.refused) == 3)
        (second,) = openai.deliver("batch.completed", {"id": batch_id}, wait=True)
        # The record is held until the lease is over.
        stays("the other event waits", lambda: openai.calls("GET", f"/v1/batches/{batch_id}") == 1, 2)
        events = [handled(stack, delivery, timeout=60) for delivery in (first, second)]

    assert sum("duplicate_of" in event for event in events) == 1
    keys = {outcome.detail["idempotency_key"] for outcome in watch.outcomes()}
    assert keys == {f"batch.completed/{batch_id}"}, "receivers can tell"
    assert openai.calls("GET", f"/v1/batches/{batch_id}") == 2


def test_a_replay_never_harms_what_was_handled(stack: Stack, openai: StandIn, watch: Watch, cli: Cli) -> None:
    response_id = openai.sdk().responses.create(model="gpt-6-luna", input="Hello", background=True).id
    (delivery,) = openai.finish_response(response_id)["deliveries"]
    before = handled(stack, delivery)
    job, artifact = stack.job("response", response_id), stack.artifact(f"response/{response_id}.json")
    assert artifact is not None
    openai.fault(f"GET /v1/responses/{response_id}", "status", times=1, status=403)

    for reason in ("unauthorized", "found_less"):
        cli.ok("events", "replay", delivery["webhook_id"], "--yes")
        number = 2 if reason == "unauthorized" else 3
        wait_until(
            "the replay has ended", lambda n=number: len((stack.event(delivery["webhook_id"]) or {})["history"]) == n
        )
        # By now OpenAI has dropped the response.
        openai.fault(f"GET /v1/responses/{response_id}", "status", status=404)
        after = stack.event(delivery["webhook_id"])
        assert after is not None
        assert (after["history"][-1]["result"], after["history"][-1]["reason"]) == ("kept", reason)
        assert {name: after[name] for name in ("state", "outcome", "handled_at")} == {
            name: before[name] for name in ("state", "outcome", "handled_at")
        }

    assert (stack.job("response", response_id), stack.artifact(f"response/{response_id}.json")) == (job, artifact)
    wait_until("no message is left", lambda: stack.messages("response") == [])
    assert (stack.dead_letters("response"), watch.alerts(), len(watch.outcomes())) == ([], [], 1)


def test_a_letter_of_what_a_replay_has_handled_does_not_act_again(
    stack: Stack, openai: StandIn, watch: Watch, cli: Cli
) -> None:
    batch_id = new_batch(openai)
    openai.fault(f"GET /v1/batches/{batch_id}", "status", times=2, status=401)
    delivery = finish(openai, batch_id)
    given_up(stack, delivery)
    cli.ok("events", "replay", delivery["webhook_id"], "--yes")
    wait_until("the replay is a dead letter as well", lambda: len(stack.dead_letters("batch")) == 2)

    cli.ok("events", "replay", delivery["webhook_id"], "--yes")
    handled(stack, delivery)
    for _ in range(2):
        redrive(stack)

    wait_until("no message is left", lambda: stack.messages("batch") == [])
    assert openai.calls("GET", f"/v1/batches/{batch_id}") == 3
    assert len(watch.outcomes()) == 1
