"""Archived events: recorded and published unchanged."""

import json

from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import handled
from tests.waiting import stays, wait_until

UNSEEN = {
    "quantum.leap.completed": {"id": "leap_1"},
    "brand.new": {"id": "thing_1", "more": [1, None, {"deep": ["\u00e9", "\ufffe"]}]},
    "nothing.said": {},
    "no.id": {"id": 7, "things": [1, 2, 3]},
}


def test_an_event_of_unknown_type_is_published_unchanged(stack: Stack, openai: StandIn, watch: Watch) -> None:
    for event_type, data in UNSEEN.items():
        (delivery,) = openai.deliver(event_type, data)

        event = handled(stack, delivery)

        assert (event["outcome"]["status"], event["category"]) == ("recorded", "archive")
        assert json.loads(event["body"])["data"] == data
        (outcome,) = wait_until("the outcome is published", lambda kind=event_type: watch.outcomes(kind))
        assert outcome.detail["summary"] == {"data": data}
        named = data["id"] if isinstance(data.get("id"), str) else None
        assert outcome.detail["object_id"] == named
        if named is not None:
            job = stack.job("archive", named)
            assert job is not None
            assert (job["status"], job["as_of"]) == ("recorded", json.loads(event["body"])["created_at"] * 1000)
    assert openai.requests() == []
    assert stack.artifacts() == {}
    stays("nobody is alerted", lambda: watch.alerts() == [], seconds=0.3)


def test_an_eval_event_is_recorded_with_a_note_on_the_end_of_the_api(
    stack: Stack, openai: StandIn, watch: Watch
) -> None:
    (delivery,) = openai.deliver("eval.run.succeeded", {"id": "evalrun_1"})

    event = handled(stack, delivery)

    assert (event["outcome"]["status"], event["category"]) == ("recorded", "archive")
    (outcome,) = wait_until("the outcome is published", lambda: watch.outcomes("eval.run.succeeded"))
    assert (outcome.detail["object_id"], outcome.detail["summary"]) == ("evalrun_1", {"data": {"id": "evalrun_1"}})
    for words in ("ended the Evals API on 2026-11-30", "Promptfoo"):
        assert words in outcome.detail["note"]
    assert openai.requests() == []
    stays("nobody is alerted", lambda: watch.alerts() == [], seconds=0.3)


def test_the_newer_event_of_an_object_stays(stack: Stack, openai: StandIn) -> None:
    (newer,) = openai.deliver("brand.new", {"id": "thing_1", "now": "b"}, created_at=2000)
    handled(stack, newer)
    (older,) = openai.deliver("brand.new", {"id": "thing_1", "now": "a"}, created_at=1000)
    handled(stack, older)

    job = stack.job("archive", "thing_1")

    assert job is not None
    assert (job["as_of"], job["summary"]["data"]["now"]) == (2_000_000, "b")


def test_five_simultaneous_deliveries_are_recorded_once(stack: Stack, openai: StandIn, watch: Watch) -> None:
    stack.set_timeouts("archive", seconds=12, visibility=20)

    deliveries = openai.deliver("brand.new", {"id": "thing_1"}, copies=5, wait=True)

    assert handled(stack, deliveries[0])["attempts"] == 1
    wait_until("every copy is acknowledged", lambda: stack.messages("archive") == [], timeout=60)
    assert len(watch.outcomes()) == 1


def test_data_that_is_too_large_for_an_outcome_is_in_the_ledger(stack: Stack, openai: StandIn, watch: Watch) -> None:
    data = {"id": "thing_1", "long": "x" * 100_000}

    (delivery,) = openai.deliver("brand.new", data)

    event = handled(stack, delivery)
    (outcome,) = wait_until("the outcome is published", lambda: watch.outcomes("brand.new"))
    assert outcome.detail["summary"] == {"entries_left_out": 1}
    assert json.loads(event["body"])["data"] == data
