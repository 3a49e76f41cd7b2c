"""Every way in which a batch can end, and what is kept of it."""

import uuid

import pytest

from infra.local.stack import Item, Stack
from infra.local.stand_in import StandIn
from infra.local.watch import Alert, Watch
from tests.batches import content, finish, handled, kept, new_batch, of_age, summary, tried
from tests.waiting import stays, wait_until


def job_of(stack: Stack, batch_id: str) -> Item:
    job = stack.job("batch", batch_id)
    assert job is not None, f"{batch_id} has no job; the ledger has {stack.ledger()}"
    return job


def one_alert(watch: Watch) -> Alert:
    (alert,) = wait_until("people are alerted", watch.alerts)
    return alert


def no_alert(watch: Watch) -> None:
    stays("nobody is alerted", lambda: watch.alerts() == [], seconds=0.3)


def test_a_batch_whose_requests_all_failed_has_an_error_file_alone(stack: Stack, openai: StandIn, watch: Watch) -> None:
    batch_id = new_batch(openai, 3)

    event = handled(stack, finish(openai, batch_id, plan={"default": 400}))

    errors = f"batch/{batch_id}/errors.jsonl"
    assert event["outcome"]["status"] == "completed"
    assert event["outcome"]["artifacts"] == [errors, f"batch/{batch_id}/summary.json"]
    assert kept(stack, batch_id) == content(openai, batch_id)
    assert list(kept(stack, batch_id)) == [errors]
    found = summary(stack, batch_id)
    assert (found["lines"]["succeeded"], found["lines"]["failed"]) == (0, 3)
    assert found["files"]["output"] is None
    assert job_of(stack, batch_id)["counts"] == {"total": 3, "completed": 0, "failed": 3}
    assert one_alert(watch).attributes["severity"] == "warning"


@pytest.mark.parametrize("absent", ["null", "omit", "empty"])
def test_a_batch_without_failures_has_no_error_file_however_openai_says_so(
    stack: Stack, openai: StandIn, watch: Watch, absent: str
) -> None:
    batch_id = new_batch(openai, 2)

    event = handled(stack, finish(openai, batch_id, absent_file_ids=absent))

    output = f"batch/{batch_id}/output.jsonl"
    assert event["outcome"]["artifacts"] == [output, f"batch/{batch_id}/summary.json"]
    assert kept(stack, batch_id) == content(openai, batch_id)
    assert summary(stack, batch_id)["files"]["errors"] is None
    no_alert(watch)


def test_a_batch_without_any_file_is_waited_for_and_then_recorded_all_the_same(stack: Stack, openai: StandIn) -> None:
    batch_id = new_batch(openai, 2)
    plan = {"default": "missing"}

    young = finish(openai, batch_id, plan=plan, absent_file_ids="empty")
    assert "neither an output file nor an error file" in tried(stack, young)["error"]["message"]

    batch_id = new_batch(openai, 2)
    event = handled(stack, finish(openai, batch_id, plan=plan, absent_file_ids="empty", age_seconds=660))

    assert "neither an output file nor an error file" in event["outcome"]["note"]
    assert event["outcome"]["artifacts"] == [f"batch/{batch_id}/summary.json"]
    assert job_of(stack, batch_id)["status"] == "completed"
    assert summary(stack, batch_id)["lines"]["lines"] == 0


def test_an_expired_batch_keeps_the_results_that_were_paid_for(stack: Stack, openai: StandIn, watch: Watch) -> None:
    batch_id = new_batch(openai, 5)
    plan = {"default": "batch_expired", "lines": {"request-0": 200, "request-1": 200}}

    handled(stack, finish(openai, batch_id, "expired", plan=plan))

    assert kept(stack, batch_id) == content(openai, batch_id)
    assert len(kept(stack, batch_id)) == 2
    job = job_of(stack, batch_id)
    assert (job["status"], job["terminal"]) == ("expired", 1)
    assert job["error"]
    assert summary(stack, batch_id)["errors"]["batch_expired"]["count"] == 3
    alert = one_alert(watch)
    assert "expired" in alert.subject
    assert batch_id in alert.subject
    assert [outcome.detail["status"] for outcome in watch.outcomes("batch.expired")] == ["expired"]


def test_a_cancelled_batch_keeps_what_was_done_before(stack: Stack, openai: StandIn, watch: Watch) -> None:
    batch_id = new_batch(openai, 4)
    openai.advance(batch_id, "in_progress")
    openai.sdk().batches.cancel(batch_id)
    plan = {"default": "batch_cancelled", "lines": {"request-0": 200}}

    handled(stack, finish(openai, batch_id, "cancelled", plan=plan))

    assert kept(stack, batch_id) == content(openai, batch_id)
    assert len(kept(stack, batch_id)) == 2
    assert job_of(stack, batch_id)["status"] == "cancelled"
    assert len(watch.outcomes("batch.cancelled")) == 1
    # Somebody wanted it so.
    no_alert(watch)


def test_a_failed_batch_says_what_was_wrong_with_its_input(stack: Stack, openai: StandIn, watch: Watch) -> None:
    batch_id = new_batch(openai)
    errors = [
        {"code": "invalid_json_line", "message": "This line is not valid JSON.", "param": None, "line": 7},
        {
            "code": "duplicate_custom_id",
            "message": "The custom_id 'a' was used before.",
            "param": "custom_id",
            "line": 9,
        },
    ]

    handled(stack, finish(openai, batch_id, "failed", errors=errors))

    assert kept(stack, batch_id) == {}
    assert summary(stack, batch_id)["batch_errors"] == errors
    job = job_of(stack, batch_id)
    assert job["status"] == "failed"
    assert "invalid_json_line" in job["error"]
    alert = one_alert(watch)
    assert alert.attributes["severity"] == "critical"
    assert "invalid_json_line" in alert.message
    assert "duplicate_custom_id" in alert.message


def test_a_line_that_is_not_json_is_counted_and_kept(stack: Stack, openai: StandIn) -> None:
    batch_id = new_batch(openai, 3)

    handled(stack, finish(openai, batch_id, plan={"lines": {"request-1": "malformed"}}))

    assert kept(stack, batch_id) == content(openai, batch_id)
    lines = summary(stack, batch_id)["lines"]
    assert (lines["lines"], lines["succeeded"], lines["malformed"]) == (3, 2, 1)


def test_progress_is_recorded_and_the_end_replaces_it(stack: Stack, openai: StandIn, watch: Watch) -> None:
    batch_id = new_batch(openai, 2)
    openai.advance(batch_id, "in_progress", request_counts={"total": 2, "completed": 1, "failed": 0})

    (delivery,) = openai.deliver("batch.in_progress", {"id": batch_id})
    event = handled(stack, delivery)

    assert event["outcome"] == {"status": "in_progress", "artifacts": [], "summary": event["outcome"]["summary"]}
    job = job_of(stack, batch_id)
    assert (job["status"], job["terminal"]) == ("in_progress", 0)
    assert job["counts"] == {"total": 2, "completed": 1, "failed": 0}
    assert stack.artifacts() == {}

    handled(stack, finish(openai, batch_id))

    assert (job_of(stack, batch_id)["status"], job_of(stack, batch_id)["terminal"]) == ("completed", 1)
    assert [outcome.detail_type for outcome in watch.outcomes()] == ["batch.in_progress", "batch.completed"]


def test_people_are_told_of_a_batch_that_never_was(stack: Stack, openai: StandIn, watch: Watch) -> None:
    batch_id = f"batch_{uuid.uuid4().hex}"

    (delivery,) = openai.deliver("batch.completed", {"id": batch_id}, created_at=of_age())
    event = handled(stack, delivery)

    assert (event["state"], event["outcome"]["status"]) == ("not_found", "not_found")
    assert batch_id in event["outcome"]["note"]
    assert job_of(stack, batch_id)["status"] == "not_found"
    assert [outcome.detail["status"] for outcome in watch.outcomes()] == ["not_found"]
    assert watch.outcomes()[0].detail["note"] == event["outcome"]["note"]
    assert stack.artifacts() == {}
    assert stack.dead_letters("batch") == []
    (alert,) = wait_until("people are told", watch.alerts)
    assert alert.subject == "batch.completed: its object was not found"
