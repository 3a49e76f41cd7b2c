"""What goes wrong for now is tried again, and then everything is right."""

import re
import time

from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import content, finish, handled, kept, new_batch, tried
from tests.between import Between, Request
from tests.waiting import wait_until

LONGEST_FIRST_WAIT_SECONDS = 15
SDK_ATTEMPTS = 3
"""How often the AWS SDK tries before it gives up."""

ACCESS_DENIED = b"<Error><Code>AccessDenied</Code><Message>Not now.</Message></Error>"
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"

FAULTS = {
    "a rate limit": ("GET /v1/batches/{batch}", {"kind": "rate_limit", "retry_after": 1}),
    "an internal error": ("GET /v1/batches/{batch}", {"kind": "status", "status": 500}),
    "a gateway's error page": (
        "GET /v1/files/{file}",
        {"kind": "status", "status": 502, "body": "<html>no JSON</html>"},
    ),
    "a conflict": ("GET /v1/files/{file}/content", {"kind": "status", "status": 409}),
    "a connection cut in the middle": ("GET /v1/files/{file}/content", {"kind": "cut", "after_bytes": 500}),
    "a body that ends too early": ("GET /v1/files/{file}/content", {"kind": "truncate", "after_bytes": 500}),
}


def test_whatever_openai_cannot_do_now_is_done_later(stack: Stack, openai: StandIn, watch: Watch) -> None:
    deliveries = {}
    for name, (route, fault) in FAULTS.items():
        batch_id = new_batch(openai, 3)
        batch = openai.advance(batch_id, "completed", deliver=False)["batch"]
        openai.fault(route.format(batch=batch_id, file=batch["output_file_id"]), times=1, **fault)
        (deliveries[name, batch_id],) = openai.deliver("batch.completed", {"id": batch_id})

    for (name, batch_id), delivery in deliveries.items():
        first = tried(stack, delivery)
        assert first["error"]["message"], name
        assert kept(stack, batch_id) == {}, f"{name} left something behind"
    events = {name: handled(stack, delivery) for (name, _), delivery in deliveries.items()}

    assert {name: event["attempts"] for name, event in events.items()} == dict.fromkeys(FAULTS, 2)
    assert [name for name, event in events.items() if "error" in event] == []
    for name, batch_id in deliveries:
        assert kept(stack, batch_id) == content(openai, batch_id), name
    assert len(watch.outcomes("batch.completed")) == len(FAULTS)
    assert watch.alerts() == []
    assert stack.dead_letters("batch") == []
    assert stack.unfinished_uploads() == []


def test_openai_is_not_asked_again_before_it_wants_to_be(stack: Stack, openai: StandIn) -> None:
    asked_for = LONGEST_FIRST_WAIT_SECONDS + 2
    batch_id = new_batch(openai)
    openai.fault(f"GET /v1/batches/{batch_id}", "rate_limit", times=1, retry_after=asked_for)

    delivery = finish(openai, batch_id)
    tried(stack, delivery)
    refused = time.monotonic()
    handled(stack, delivery, timeout=60)

    assert time.monotonic() - refused > asked_for - 1
    assert openai.requests()[-1] is not None
    (looked,) = [r for r in openai.requests() if (r["method"], r["path"]) == ("GET", f"/v1/batches/{batch_id}")]
    assert looked["statuses"] == [429, 200]


def is_artifact(request: Request) -> bool:
    return request.method == "PUT" and re.search(r"/batch/[^/]+/output\.jsonl", request.path) is not None


def test_what_s3_refuses_once_is_asked_of_it_again_at_once(stack: Stack, openai: StandIn) -> None:
    batch_id = new_batch(openai, 3)
    with Between(stack) as between:
        between.take("batch")
        between.refuse(is_artifact, 1, status=503, answer=SLOW_DOWN)

        event = handled(stack, finish(openai, batch_id))

        assert len(between.refused) == 1
    assert event["attempts"] == 1
    assert kept(stack, batch_id) == content(openai, batch_id)


def test_what_s3_refuses_for_now_is_kept_later(stack: Stack, openai: StandIn, watch: Watch) -> None:
    batch_id = new_batch(openai, 3)
    with Between(stack) as between:
        between.take("batch")
        between.refuse(is_artifact, 1, status=403, answer=ACCESS_DENIED)

        delivery = finish(openai, batch_id)
        first = tried(stack, delivery)
        assert "AccessDenied" in first["error"]["message"]
        assert stack.artifacts() == {}
        event = handled(stack, delivery)

    assert event["attempts"] == 2
    assert kept(stack, batch_id) == content(openai, batch_id)
    assert len(watch.outcomes()) == 1
    assert watch.alerts() == []


def test_a_part_that_s3_refuses_is_sent_again(stack: Stack, openai: StandIn) -> None:
    # Of more than one part of 8 MiB.
    line = '{"id": "batch_req_1", "custom_id": "r", "response": {"status_code": 200, "body": {}}, "error": null}'
    file = openai.put_file(line=line, lines=200_000)
    batch_id = new_batch(openai)
    with Between(stack) as between:
        between.take("batch")
        between.refuse(lambda request: "partNumber=2" in request.path, 1, status=503, answer=SLOW_DOWN)

        delivery = finish(openai, batch_id, output_file_id=file["id"])
        handled(stack, delivery)

        assert len(between.refused) == 1
    assert kept(stack, batch_id) == content(openai, batch_id)
    assert stack.unfinished_uploads() == []


def test_an_outage_of_the_ledger_loses_nothing(stack: Stack, openai: StandIn, watch: Watch) -> None:
    batch_id = new_batch(openai)
    failure = b'{"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": "down"}'
    with Between(stack) as between:
        between.take("batch")
        between.refuse(
            lambda request: request.operation.endswith("UpdateItem"), SDK_ATTEMPTS, status=500, answer=failure
        )

        delivery = finish(openai, batch_id)

        wait_until("the ledger was out of order", lambda: len(between.refused) == SDK_ATTEMPTS)
        handled(stack, delivery)
    assert openai.calls("GET", f"/v1/batches/{batch_id}") == 1
    assert len(watch.outcomes()) == 1
