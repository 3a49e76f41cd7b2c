"""A consumer that dies at work leaves nothing half done: somebody else does all of it."""

from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import content, finish, handled, kept, new_batch
from tests.waiting import wait_until

# The template's are 15 minutes and more. A lease lasts for the timeout and two seconds.
TIMEOUTS = {"seconds": 10, "visibility": 13}
LINE = '{"id": "batch_req_1", "custom_id": "r", "response": {"status_code": 200, "body": {}}, "error": null}'
LINES = 120_000
"""Some 12 MB: more than a part of an upload, so that S3 has some of it when the consumer dies."""


def test_a_consumer_that_is_killed_while_it_downloads_leaves_nothing_half_done(
    stack: Stack, openai: StandIn, watch: Watch
) -> None:
    stack.set_timeouts("batch", **TIMEOUTS)
    file = openai.put_file(line=LINE, lines=LINES)
    batch_id = new_batch(openai)
    # The first download comes to a stop before its end.
    route = f"GET /v1/files/{file['id']}/content"
    openai.fault(route, "pause", times=1, after_bytes=LINES * 100, milliseconds=60_000)

    delivery = finish(openai, batch_id, output_file_id=file["id"])
    wait_until("a part of the download is in S3", stack.unfinished_uploads)
    assert stack.kill("batch") == 1

    record = stack.record(f"batch.completed/{batch_id}")
    assert record is not None
    assert (record["status"], record["claims"]) == ("in_progress", 1)
    assert stack.event(delivery["webhook_id"]) is None, "an attempt is written at its end"
    assert stack.artifacts() == {}
    assert watch.outcomes() == []

    event = handled(stack, delivery, timeout=60)

    assert [attempt["result"] for attempt in event["history"]] == ["interrupted", "completed"]
    assert kept(stack, batch_id) == content(openai, batch_id)
    job = stack.job("batch", batch_id)
    assert job is not None
    assert job["status"] == "completed"
    assert job["summary"]["lines"]["lines"] == LINES
    wait_until("the message is acknowledged", lambda: stack.messages("batch") == [])
    assert len(watch.outcomes()) == 1
    assert stack.dead_letters("batch") == []
    assert watch.alerts() == []


def test_a_download_that_takes_longer_than_the_function_may_is_stopped_in_time_to_say_so(
    stack: Stack, openai: StandIn, watch: Watch
) -> None:
    stack.set_timeouts("batch", **TIMEOUTS)
    batch_id = new_batch(openai, 3)
    openai.fault("GET /v1/files/{id}/content", "pause", times=1, after_bytes=100, milliseconds=60_000)

    delivery = finish(openai, batch_id)
    event = handled(stack, delivery, timeout=60)

    assert event["attempts"] == 2
    assert kept(stack, batch_id) == content(openai, batch_id)
    assert len(watch.outcomes()) == 1
    # It was not killed: the next try came after a wait of its own, not after the queue's time.
    assert not any("Task timed out" in line for line in stack.logs("batch"))
    assert any("will be tried again" in line for line in stack.logs("batch"))
