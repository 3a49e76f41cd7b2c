"""Eval runs: found although their events don't name their evals, and kept with their results."""

import json
from typing import Any

from infra.local.stack import Stack
from infra.local.stand_in import Json, StandIn
from infra.local.watch import Watch
from tests.batches import given_up, handled, tried
from tests.evals import new_eval, new_run
from tests.waiting import stays, wait_until


def ended(openai: StandIn, status: str = "completed", **options: Any) -> tuple[str, str, Json]:
    """Let a run end. Answers its eval's id, its own and the delivery of its webhook, empty if there was none."""
    eval_id = new_eval(openai)
    run_id = new_run(openai, eval_id)
    deliveries = openai.finish_eval_run(eval_id, run_id, status, **options)["deliveries"]
    return eval_id, run_id, deliveries[0] if deliveries else {}


def test_a_completed_run_is_found_and_kept_with_its_results(stack: Stack, openai: StandIn, watch: Watch) -> None:
    eval_id, run_id, delivery = ended(openai, passed=7, failed=2, errored=1)
    for _ in range(60):
        new_eval(openai)

    event = handled(stack, delivery)

    key = f"eval/{run_id}/report.json"
    assert event["outcome"]["artifacts"] == [key]
    run = openai.sdk().evals.runs.retrieve(run_id, eval_id=eval_id)
    assert json.loads(stack.artifact(key) or b"") == run.to_dict()
    job = stack.job("eval", run_id)
    assert job is not None
    assert (job["status"], job["terminal"]) == ("completed", 1)
    assert job["counts"] == {"total": 10, "passed": 7, "failed": 2, "errored": 1}
    assert job["summary"] == {
        "eval_id": eval_id,
        "name": "Nightly",
        "model": "gpt-6-luna",
        "metadata": {"job": "nightly"},
        "result_counts": job["counts"],
        "per_testing_criteria_results": [{"testing_criteria": "exact", "passed": 7, "failed": 2}],
        "report_url": run.report_url,
    }
    (outcome,) = wait_until("the outcome is published", lambda: watch.outcomes("eval.run.succeeded"))
    assert (outcome.detail["object_id"], outcome.detail["status"]) == (run_id, "completed")
    assert outcome.detail["artifacts"] == [key]
    # Items that did not pass are a result.
    stays("nobody is alerted", lambda: watch.alerts() == [], seconds=0.3)


def test_a_run_whose_eval_was_recorded_is_retrieved_without_a_search(stack: Stack, openai: StandIn) -> None:
    eval_id = new_eval(openai)
    run_id = new_run(openai, eval_id)
    stack.expect("eval", run_id, eval_id=eval_id)
    (delivery,) = openai.finish_eval_run(eval_id, run_id, "canceled")["deliveries"]

    event = handled(stack, delivery)

    assert event["outcome"]["status"] == "canceled"
    assert openai.calls("GET", "/v1/evals") == 0
    assert openai.calls("GET", f"/v1/evals/{eval_id}/runs/{run_id}") == 1


def test_a_failed_run_says_why_and_people_are_told(stack: Stack, openai: StandIn, watch: Watch) -> None:
    error = {"code": "invalid_file", "message": "No such file."}
    eval_id, run_id, delivery = ended(openai, "failed", error=error)

    handled(stack, delivery)

    job = stack.job("eval", run_id)
    assert job is not None
    assert (job["status"], job["error"]) == ("failed", "invalid_file: No such file.")
    assert job["summary"]["error"] == error
    (alert,) = wait_until("people are alerted", watch.alerts)
    assert alert.subject == f"Eval run {run_id} failed"
    assert alert.attributes["severity"] == "warning"
    for words in (
        'What   the eval run "Nightly" of gpt-6-luna',
        "Why    invalid_file: No such file.",
        f"/eval/{run_id}/report.json",
        f"/{eval_id}?run_id={run_id}",
    ):
        assert words in alert.message


def test_a_run_that_no_eval_has_is_recorded(stack: Stack, openai: StandIn, watch: Watch) -> None:
    new_eval(openai)
    (delivery,) = openai.deliver("eval.run.succeeded", {"id": "evalrun_none"})

    event = handled(stack, delivery)

    assert event["outcome"]["status"] == "not_found"
    assert "none of all 1 eval has the run evalrun_none: a test delivery" in event["outcome"]["note"]
    assert stack.artifacts() == {}
    stays("nobody is alerted", lambda: watch.alerts() == [], seconds=0.3)


def test_the_search_has_a_bound_and_says_how_to_do_without(stack: Stack, openai: StandIn) -> None:
    _, run_id, delivery = ended(openai)
    handled(stack, delivery)
    for _ in range(200):
        new_eval(openai)

    (again,) = openai.deliver("eval.run.looked_at", {"id": run_id})

    note = handled(stack, again)["outcome"]["note"]
    assert "none of the 200 evals" in note
    assert f"pk expected#eval#{run_id}" in note
    # What was seen of it before stays.
    job = stack.job("eval", run_id)
    assert job is not None
    assert job["status"] == "completed"


def test_an_eval_that_was_recorded_for_a_run_it_does_not_have_is_named(stack: Stack, openai: StandIn) -> None:
    eval_id = new_eval(openai)
    stack.expect("eval", "evalrun_1", eval_id=eval_id)
    (delivery,) = openai.deliver("eval.run.succeeded", {"id": "evalrun_1"})

    outcome = handled(stack, delivery)["outcome"]

    assert outcome["status"] == "not_found"
    assert f"no run evalrun_1 of the eval {eval_id}, which the ledger names for it" in outcome["note"]


def test_once_the_api_has_ended_an_event_is_recorded_all_the_same(stack: Stack, openai: StandIn, watch: Watch) -> None:
    eval_id = new_eval(openai)
    run_id = new_run(openai, eval_id)
    stack.expect("eval", run_id, eval_id=eval_id)
    for status in (410, 404):
        openai.end_evals(status)
        for named in (run_id, "evalrun_of_an_unknown_eval"):
            (delivery,) = openai.deliver("eval.run.looked_at", {"id": named})
            event = handled(stack, delivery)
            assert (event["outcome"]["status"], event["attempts"]) == ("not_found", 1)
            assert "the Evals API has ended" in event["outcome"]["note"]
    assert stack.dead_letters("eval") == []
    assert watch.alerts() == []


def test_the_wrong_projects_key_is_not_taken_for_an_eval_that_is_not_there(stack: Stack, openai: StandIn) -> None:
    openai.fault("GET /v1/evals/{eval}/runs/{run}", "status", status=401)
    _, _, delivery = ended(openai)

    event = given_up(stack, delivery)

    assert event["error"]["reason"] == "unauthorized"


def test_an_unusable_record_of_the_eval_is_told(stack: Stack, openai: StandIn) -> None:
    for number, eval_id in enumerate(["../files", "", "eval 1"]):
        run_id = f"evalrun_{number}"
        stack.expect("eval", run_id, eval_id=eval_id)
        (delivery,) = openai.deliver("eval.run.succeeded", {"id": run_id})

        error = given_up(stack, delivery)["error"]

        assert error["reason"] == "unusable_expectation"
        assert f"expected#eval#{run_id}" in error["message"]
    assert openai.requests() == []


def test_an_event_that_is_ahead_of_the_run_waits_for_it(stack: Stack, openai: StandIn) -> None:
    eval_id = new_eval(openai)
    run_id = new_run(openai, eval_id)
    (delivery,) = openai.deliver("eval.run.succeeded", {"id": run_id})
    (early,) = openai.deliver("eval.run.started", {"id": run_id})

    assert "still queued" in tried(stack, delivery)["error"]["message"]
    assert handled(stack, early)["outcome"]["status"] == "queued"
    openai.finish_eval_run(eval_id, run_id, deliver=False)
    handled(stack, delivery)

    job = stack.job("eval", run_id)
    assert job is not None
    assert job["status"] == "completed"


def test_a_delivery_that_comes_five_times_at_once_is_handled_once(stack: Stack, openai: StandIn, watch: Watch) -> None:
    stack.set_timeouts("eval", seconds=12, visibility=20)
    _, run_id, _ = ended(openai, "failed", deliver=False)
    openai.fault("GET /v1/evals", "stall", times=1, milliseconds=1000)

    deliveries = openai.deliver("eval.run.failed", {"id": run_id}, copies=5, wait=True)

    assert [delivery["attempts"][0]["status"] for delivery in deliveries] == [200] * 5
    assert handled(stack, deliveries[0])["attempts"] == 1
    wait_until("every copy is acknowledged", lambda: stack.messages("eval") == [], timeout=60)
    assert openai.calls("GET", "/v1/evals") == 1
    assert (len(watch.outcomes()), len(watch.alerts())) == (1, 1)
