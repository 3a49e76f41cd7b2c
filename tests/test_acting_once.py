"""Many deliveries of one thing act once, and what is old never overwrites what is new."""

from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import content, finish, handled, kept, new_batch
from tests.waiting import wait_until

# A delivery that finds another one at work waits until that one's lease has ended, which is as long as the function's
# timeout. These make the wait seconds.
TIMEOUTS = {"seconds": 12, "visibility": 20}
LOOK_MILLISECONDS = 1000
"""How long OpenAI takes to answer what becomes of the batch, so that the deliveries do meet each other."""


def looked_at_once(openai: StandIn, batch_id: str) -> bool:
    """Whether the batch and its one file were asked for once, and nothing else was."""
    file_id = openai.sdk().batches.retrieve(batch_id).output_file_id
    # The line above is a call of its own.
    wanted = {f"/v1/batches/{batch_id}": 2, f"/v1/files/{file_id}": 1, f"/v1/files/{file_id}/content": 1}
    called = {request["path"]: request["count"] for request in openai.requests() if request["method"] == "GET"}
    assert called == wanted
    return True


def test_the_same_delivery_twenty_times_at_once_acts_once(stack: Stack, openai: StandIn, watch: Watch) -> None:
    stack.set_timeouts("batch", **TIMEOUTS)
    batch_id = new_batch(openai)
    openai.advance(batch_id, "completed", deliver=False)
    openai.fault(f"GET /v1/batches/{batch_id}", "stall", times=1, milliseconds=LOOK_MILLISECONDS)

    deliveries = openai.deliver("batch.completed", {"id": batch_id}, copies=20, wait=True)

    assert len({delivery["webhook_id"] for delivery in deliveries}) == 1
    assert [delivery["attempts"][0]["status"] for delivery in deliveries] == [200] * 20
    event = handled(stack, deliveries[0])
    wait_until("every copy has been acknowledged", lambda: stack.messages("batch") == [], timeout=60)
    assert looked_at_once(openai, batch_id)
    assert len(watch.outcomes()) == 1
    assert event["attempts"] == 1
    assert stack.event(event["pk"].rsplit("#", 1)[-1]) == event
    assert len(stack.ledger("event")) == 1
    assert stack.dead_letters("batch") == []
    assert watch.alerts() == []


def test_an_endpoint_that_is_registered_twice_acts_once(stack: Stack, openai: StandIn, watch: Watch) -> None:
    stack.set_timeouts("batch", **TIMEOUTS)
    openai.register(f"{stack.url()}?again", stack.signing_secrets["project"])
    batch_id = new_batch(openai)
    openai.fault(f"GET /v1/batches/{batch_id}", "stall", times=1, milliseconds=LOOK_MILLISECONDS)

    deliveries = openai.advance(batch_id, "completed")["deliveries"]

    assert len({delivery["webhook_id"] for delivery in deliveries}) == 2
    events = [handled(stack, delivery, timeout=60) for delivery in deliveries]
    acted, spared = sorted(events, key=lambda event: "duplicate_of" in event)
    assert f"event#{spared['duplicate_of']}" == acted["pk"]
    assert "outcome" not in spared
    assert acted["outcome"]["status"] == "completed"
    wait_until("both are acknowledged", lambda: stack.messages("batch") == [])
    assert looked_at_once(openai, batch_id)
    assert len(watch.outcomes()) == 1


def test_a_replay_acts_again(stack: Stack, openai: StandIn, watch: Watch) -> None:
    batch_id = new_batch(openai)
    delivery = finish(openai, batch_id)
    event = handled(stack, delivery)
    attributes = {
        "webhook-id": delivery["webhook_id"],
        "webhook-timestamp": event["webhook_timestamp"],
        "endpoint": "project",
        "event-type": "batch.completed",
        "received-at": str(event["received_at"]),
        "source": "replay",
        "seen-token": event["token"],
        "asked-by": "ada",
    }

    stack.send("batch", event["body"], attributes)

    first, again = wait_until("it was told again", lambda: len(told := watch.outcomes()) == 2 and told)
    assert (first.detail["source"], again.detail["source"]) == ("openai", "replay")
    assert first.detail["id"] == again.detail["id"]
    wait_until("the replay is acknowledged", lambda: stack.messages("batch") == [])
    replayed = stack.event(delivery["webhook_id"])
    assert replayed is not None
    assert (replayed["state"], replayed["attempts"]) == ("completed", 2)
    assert replayed["history"][-1]["asked_by"] == "ada"
    # A second copy of it, also one that comes late, was not asked for anew.
    stack.send("batch", event["body"], attributes)
    wait_until("the copy is acknowledged", lambda: stack.messages("batch") == [])
    assert len(watch.outcomes()) == 2


def test_an_older_event_never_overwrites_a_newer_state(stack: Stack, openai: StandIn) -> None:
    batch_id = new_batch(openai)
    openai.advance(batch_id, "in_progress")
    # OpenAI answers what the batch is, and then that answer takes its time.
    openai.fault(f"GET /v1/batches/{batch_id}", "pause", times=1, after_bytes=20, milliseconds=3000)
    (older,) = openai.deliver("batch.in_progress", {"id": batch_id})
    wait_until("it was asked for", lambda: openai.calls("GET", f"/v1/batches/{batch_id}") == 1)

    newer = handled(stack, finish(openai, batch_id))
    job = stack.job("batch", batch_id)
    late = handled(stack, older)

    assert late["handled_at"] > newer["handled_at"], "they did not overtake each other"
    assert late["outcome"]["status"] == "in_progress"
    assert job is not None
    assert job["status"] == "completed"
    assert stack.job("batch", batch_id) == job


def test_progress_that_is_announced_late_is_the_state_of_now(stack: Stack, openai: StandIn) -> None:
    batch_id = new_batch(openai)
    handled(stack, finish(openai, batch_id))

    (late,) = openai.deliver("batch.in_progress", {"id": batch_id})

    assert handled(stack, late)["outcome"]["status"] == "completed"
    job = stack.job("batch", batch_id)
    assert job is not None
    assert (job["status"], job["terminal"]) == ("completed", 1)
    assert kept(stack, batch_id) == content(openai, batch_id)
