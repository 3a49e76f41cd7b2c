"""The main job: OpenAI finishes a batch and delivers its webhook, and the results are stored and published."""

import json
from collections import Counter

import pytest

from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import content, finish, handled, kept, new_batch, summary
from tests.waiting import stays, wait_until

REQUESTS = 40
PLAN = {
    "lines": {
        "request-1": 429,
        "request-2": 429,
        "request-3": 400,
        "request-4": 500,
        "request-5": "request_timeout",
        "request-6": "malformed",
    }
}


def lines(content: bytes) -> tuple[list[dict], int]:
    """The results in a file, and the number of malformed lines."""
    read, malformed = [], 0
    for line in content.splitlines():
        try:
            read.append(json.loads(line))
        except ValueError:
            malformed += 1
    return read, malformed


@pytest.mark.stack(AlertFailedShare="0.2")
def test_a_finished_batch_becomes_artifacts_a_job_and_an_outcome(stack: Stack, openai: StandIn, watch: Watch) -> None:
    batch_id = new_batch(openai, REQUESTS)
    openai.advance(batch_id, "in_progress")

    delivery = finish(openai, batch_id, plan=PLAN)
    event = handled(stack, delivery)

    # In the bucket: OpenAI's files, byte for byte, and their summary.
    files = content(openai, batch_id)
    output, errors = f"batch/{batch_id}/output.jsonl", f"batch/{batch_id}/errors.jsonl"
    assert kept(stack, batch_id) == files
    assert len(files[output].splitlines()) == 35
    artifacts = [output, errors, f"batch/{batch_id}/summary.json"]
    assert set(stack.artifacts()) == set(artifacts)
    succeeded, malformed = lines(files[output])
    failed, _ = lines(files[errors])
    found = summary(stack, batch_id)
    counted = {name: found["lines"][name] for name in ("lines", "succeeded", "failed", "malformed", "oversized")}
    assert counted == {"lines": 40, "succeeded": 34, "failed": 5, "malformed": 1, "oversized": 0}
    assert (len(succeeded), malformed, len(failed)) == (34, 1, 5)
    answered = [line["response"]["status_code"] for line in [*succeeded, *failed] if line["response"]]
    assert found["status_codes"] == {str(status): count for status, count in Counter(answered).items()}
    faults = [line["error"] or line["response"]["body"]["error"] for line in failed]
    codes = Counter(fault["code"] or fault["type"] for fault in faults)
    assert {code: error["count"] for code, error in found["errors"].items()} == codes
    usages = [line["response"]["body"]["usage"] for line in succeeded]
    (tokens,) = found["tokens"].values()
    assert tokens["requests"] == len(usages)
    assert tokens["input"] == sum(usage["input_tokens"] for usage in usages)
    assert tokens["output"] == sum(usage["output_tokens"] for usage in usages)

    # In the ledger: the event with its history, and the job as it is now.
    assert event["attempts"] == 1
    assert event["source"] == "openai"
    assert event["event_type"] == "batch.completed"
    assert event["object_id"] == batch_id
    assert json.loads(event["body"])["data"] == {"id": batch_id}
    assert event["received_at"] <= event["handled_at"]
    assert event["outcome"]["artifacts"] == artifacts
    job = stack.job("batch", batch_id)
    assert job is not None
    assert (job["status"], job["terminal"]) == ("completed", 1)
    assert job["counts"] == {"total": 40, "completed": 34, "failed": 5, "unreadable": 1}
    assert job["artifacts"] == artifacts
    assert job["times"]["completed_at"] == openai.sdk().batches.retrieve(batch_id).completed_at
    assert len(stack.ledger("event")) == len(stack.ledger("record")) == len(stack.ledger("job")) == 1

    # On the bus: one outcome, and no alert.
    (outcome,) = wait_until("the outcome is on the bus", watch.outcomes)
    assert (outcome.source, outcome.detail_type) == ("openai.webhooks", "batch.completed")
    assert outcome.detail["id"] == delivery["event_id"]
    assert outcome.detail["object_id"] == batch_id
    assert outcome.detail["status"] == "completed"
    assert outcome.detail["bucket"] == stack.outputs["BucketName"]
    assert outcome.detail["artifacts"] == artifacts
    assert outcome.detail["summary"]["status_codes"] == found["status_codes"]
    assert outcome.detail["note"] == found["note"] == outcome.detail["summary"]["disagreement"]
    assert "of the lines 34 succeeded, 5 failed, 1 unreadable" in found["note"]
    wait_until("the queue is empty", lambda: stack.messages("batch") == [])
    stays("nothing else is published", lambda: len(watch.outcomes()) == 1 and watch.alerts() == [], seconds=0.5)
    assert stack.dead_letters("batch") == []


@pytest.mark.stack(AlertFailedShare="0.3")
def test_people_are_alerted_when_more_requests_failed_than_the_parameter_allows(
    stack: Stack, openai: StandIn, watch: Watch
) -> None:
    as_allowed, beyond = new_batch(openai, 10), new_batch(openai, 10)

    handled(stack, finish(openai, as_allowed, plan={"lines": {f"request-{n}": 500 for n in range(3)}}))
    handled(stack, finish(openai, beyond, plan={"lines": {f"request-{n}": 500 for n in range(4)}}))

    (alert,) = wait_until("people are alerted", watch.alerts)
    assert beyond in alert.subject
    assert "4 failed" in alert.message
    assert alert.attributes == {"category": "batch", "event-type": "batch.completed", "severity": "warning"}
    assert [outcome.detail["object_id"] for outcome in watch.outcomes()] == [as_allowed, beyond]


def test_the_log_has_one_line_per_event_at_each_boundary_and_no_body(stack: Stack, openai: StandIn) -> None:
    batch_id = new_batch(openai)
    delivery = finish(openai, batch_id)
    handled(stack, delivery)

    def lines_about(function: str) -> list[dict]:
        logged = [json.loads(line) for line in stack.logs(function) if line.startswith("{")]
        return [line for line in logged if line.get("webhook.id") == delivery["webhook_id"]]

    (verified,) = wait_until("the verifier has logged it", lambda: lines_about("verifier"))
    (done,) = wait_until("the consumer has logged it", lambda: lines_about("batch"))
    for line in (verified, done):
        assert line["event.id"] == delivery["event_id"]
        assert line["event.type"] == "batch.completed"
        assert line["object.id"] == batch_id
    assert (verified["outcome"], done["outcome"]) == ("accepted", "completed")
    directives = done["_aws"]["CloudWatchMetrics"]
    assert {directive["Namespace"] for directive in directives} == {"OpenAIWebhooks"}
    metrics = {metric["Name"] for directive in directives for metric in directive["Metrics"]}
    assert metrics == {"Handled", "HandleTime", "EventAge", "ArtifactBytes"}
    assert all(isinstance(done[metric], int) for metric in metrics)
    everything = "\n".join(stack.logs("verifier") + stack.logs("batch"))
    assert '"object": "event"' not in everything
    assert '\\"object\\"' not in everything
    assert "whsec_" not in everything
