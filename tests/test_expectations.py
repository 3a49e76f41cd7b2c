"""What is expected: its context comes back, and people hear of it when it does not end in time."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from infra.local import deploy
from infra.local.processes import ROOT
from infra.local.stack import FunctionError, Stack, unhandled
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import finish, handled, new_batch
from tests.conftest import MakeStack
from tests.permissions import take_away
from tests.test_fine_tuning import new_job
from tests.test_reconcile import HOUR, background_response, expectations
from tests.waiting import stays, wait_until

CONTEXT = {"order": 7, "reply_to": "Zoë <zoe@example.com>", "nested": {"list": [1, 2.5, None, True]}}


def of_batch(stack: Stack, openai: StandIn, watch: Watch) -> tuple[str, str, Any]:
    batch_id = new_batch(openai)
    return "batch", batch_id, lambda: finish(openai, batch_id)


def of_response(stack: Stack, openai: StandIn, watch: Watch) -> tuple[str, str, Any]:
    response_id = background_response(openai)
    return "response", response_id, lambda: openai.finish_response(response_id)["deliveries"][0]


def of_job(stack: Stack, openai: StandIn, watch: Watch) -> tuple[str, str, Any]:
    job_id = new_job(openai)
    return "fine-tuning", job_id, lambda: openai.finish_fine_tuning(job_id)["deliveries"][0]


@pytest.mark.parametrize("kind", [of_batch, of_response, of_job])
def test_a_context_comes_back_with_the_outcome(stack: Stack, openai: StandIn, watch: Watch, kind: Any) -> None:
    category, object_id, end = kind(stack, openai, watch)
    stack.expect(category, object_id, due_in=HOUR, context=json.dumps(CONTEXT))

    handled(stack, end())

    (outcome,) = watch.outcomes()
    assert outcome.detail["context"] == CONTEXT
    item = stack.job(category, object_id)
    assert item is not None
    assert ("waiting" not in item, item["terminal"]) == (True, 1)
    stays("nobody is alerted", lambda: watch.alerts() == [], seconds=0.3)


def test_the_documented_item_is_an_expectation(stack: Stack, openai: StandIn, watch: Watch) -> None:
    text = (ROOT / "docs" / "expectations.md").read_text()
    batch_id = new_batch(openai)
    options = dict(
        re.findall(r"--([a-z-]+) '(.*?)'", text.partition("update-item")[2].partition("\n| attr")[0], re.DOTALL)
    )
    stack.emulator.client("dynamodb").update_item(
        TableName=stack.outputs["TableName"],
        Key=json.loads(options["key"].replace("BATCH_ID", batch_id)),
        UpdateExpression=options["update-expression"],
        ConditionExpression=options["condition-expression"],
        ExpressionAttributeNames=json.loads(options["expression-attribute-names"]),
        ExpressionAttributeValues=json.loads(options["expression-attribute-values"]),
    )

    handled(stack, finish(openai, batch_id))

    assert [outcome.detail["context"] for outcome in watch.outcomes()] == [{"order": 4711}]
    assert {"waiting", "due_at", "context", "created_at", "expires_at"} <= set(re.findall(r"`(\w+)`", text))
    assert "waiting" not in (stack.job("batch", batch_id) or {"waiting": "no item"})


def test_what_is_overdue_is_told_once_and_still_gets_its_context(stack: Stack, openai: StandIn, watch: Watch) -> None:
    batch_id = new_batch(openai)
    stack.expect("batch", batch_id, due_in=-2 * HOUR, age=26 * HOUR, context=json.dumps(CONTEXT))

    assert expectations(stack)["overdue"] == 1
    assert expectations(stack)["overdue"] == 0

    (alert,) = wait_until("people are alerted", watch.alerts)
    assert alert.subject == f"Batch {batch_id} has not ended in time"
    assert alert.attributes == {"category": "batch", "event-type": "expectation.overdue", "severity": "warning"}
    for words in (
        "2 h ago; expected since",
        "No event of it has been handled.",
        "To do  See at OpenAI",
        "Where  https",
    ):
        assert words in alert.message
    assert "zoe" not in alert.message
    item = stack.job("batch", batch_id)
    assert item is not None
    assert "overdue_at" in item
    assert "waiting" not in item

    handled(stack, finish(openai, batch_id))
    (outcome,) = watch.outcomes()
    assert outcome.detail["context"] == CONTEXT
    assert len(watch.alerts()) == 1


def test_what_ends_in_time_never_alerts(stack: Stack, openai: StandIn, watch: Watch) -> None:
    batch_id, waiting_id = new_batch(openai), new_batch(openai)
    stack.expect("batch", batch_id, due_in=1)
    stack.expect("batch", waiting_id, due_in=HOUR)
    handled(stack, finish(openai, batch_id))

    assert expectations(stack) == {"task": "expectations", "looked_up": 0, "sent": 0, "overdue": 0}

    stays("nobody is alerted", lambda: watch.alerts() == [], seconds=0.5)


def test_runs_at_the_same_time_mark_what_is_overdue_once(stack: Stack, watch: Watch) -> None:
    stack.expect("fine-tuning", "ftjob-1", due_in=-60)

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: expectations(stack)["overdue"], range(3)))

    assert sum(results) == 1
    assert 1 <= len(watch.alerts()) <= 3


def test_people_are_told_again_rather_than_never_when_it_cannot_be_marked(make_stack: MakeStack) -> None:
    template = deploy.template()
    take_away(template, "ReconcileRole", "dynamodb:UpdateItem")
    stack = make_stack(template=template)
    watch = Watch(stack)
    stack.expect("batch", "batch_1", due_in=-60)

    for times in (1, 2):
        with pytest.raises(FunctionError, match=r"could not (mark what is overdue|note what people were told)"):
            expectations(stack)
        assert len(watch.alerts()) == times

    item = stack.job("batch", "batch_1")
    assert item is not None
    assert item["waiting"] == "batch"


def test_an_alert_says_what_openai_and_the_ledger_know(stack: Stack, openai: StandIn, watch: Watch) -> None:
    going_on, ended = background_response(openai), new_batch(openai)
    handled(stack, finish(openai, ended))
    stack.expect("response", going_on, due_in=-60, age=HOUR)
    stack.expect("response", "resp_nowhere", due_in=-60, age=HOUR)
    stack.expect("batch", ended, due_in=-60)

    result = expectations(stack)

    assert (result["looked_up"], result["overdue"]) == (2, 2), "what has ended is not overdue"
    alerts = wait_until("people are alerted", lambda: len(watch.alerts()) == 2 and watch.alerts())
    messages = {alert.subject.split(" ")[1]: alert.message for alert in alerts}
    assert "OpenAI says it is in_progress." in messages[going_on] or "OpenAI says it is queued." in messages[going_on]
    assert "OpenAI has no such response (any more)." in messages["resp_nowhere"]


def test_a_response_that_was_just_caught_is_not_told_as_overdue(stack: Stack, openai: StandIn, watch: Watch) -> None:
    response_id = background_response(openai)
    stack.expect("response", response_id, due_in=-60, age=HOUR)
    openai.finish_response(response_id, deliver=False)

    result = expectations(stack)

    assert (result["sent"], result["overdue"]) == (1, 0)
    wait_until("it is met", lambda: (stack.job("response", response_id) or {}).get("terminal") == 1)
    assert watch.alerts() == []


@pytest.mark.stack(**unhandled("response"))
def test_people_are_told_though_the_consumer_is_off_and_one_copy_waits(
    stack: Stack, openai: StandIn, watch: Watch
) -> None:
    response_id = background_response(openai)
    stack.expect("response", response_id, due_in=-60, age=HOUR)
    openai.finish_response(response_id, deliver=False)

    results = [expectations(stack) for _ in range(4)]

    assert [(result["sent"], result["overdue"]) for result in results] == [(1, 0), (0, 1), (0, 0), (0, 0)]
    assert len(stack.messages("response")) == 1
    (alert,) = wait_until("people are alerted", watch.alerts)
    assert "Its event was queued by an earlier run, and nobody has handled it since." in alert.message


@pytest.mark.stack(**unhandled("response"))
def test_an_expected_response_is_queued_once_until_it_is_due(stack: Stack, openai: StandIn, watch: Watch) -> None:
    response_id = background_response(openai)
    stack.expect("response", response_id, due_in=HOUR, age=HOUR)
    openai.finish_response(response_id, deliver=False)

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: expectations(stack)["sent"], range(6)))

    assert sum(results) == 1
    assert (len(stack.messages("response")), watch.alerts()) == (1, [])
    # The copy got lost, and its time has passed.
    stack.emulator.client("sqs").purge_queue(QueueUrl=stack.queue_url("response"))
    stack.emulator.client("dynamodb").update_item(
        TableName=stack.outputs["TableName"],
        Key={"pk": {"S": f"job#response#{response_id}"}, "sk": {"S": "job"}},
        UpdateExpression="SET queue_again_at = :past",
        ExpressionAttributeValues={":past": {"N": "1"}},
    )
    assert [expectations(stack)["sent"] for _ in range(2)] == [1, 0]
    item = stack.job("response", response_id)
    assert item is not None
    assert item["queue_again_at"] >= time.time() + HOUR - 60, "as long as it has waited"


def test_a_queue_out_of_reach_is_not_taken_for_a_copy_under_way(make_stack: MakeStack, openai: StandIn) -> None:
    template = deploy.template()
    take_away(template, "ReconcileRole", "sqs:SendMessage")
    stack = make_stack(template=template)
    response_id = background_response(openai)
    stack.expect("response", response_id, due_in=HOUR, age=HOUR)
    openai.finish_response(response_id, deliver=False)

    for _ in range(2):
        with pytest.raises(FunctionError, match="AccessDenied"):
            expectations(stack)

    assert (stack.job("response", response_id) or {})["queue_again_at"] <= time.time()


def test_people_are_told_before_a_look_up_that_kills_the_run(stack: Stack, openai: StandIn, watch: Watch) -> None:
    deadly = background_response(openai)
    stack.expect("response", deadly, due_in=HOUR, age=HOUR)
    stack.expect("response", "resp_overdue", due_in=-HOUR, age=2 * HOUR)
    stack.expect("batch", "batch_overdue", due_in=-60)
    openai.fault(f"GET /v1/responses/{deadly}", "stall", times=1)

    with ThreadPoolExecutor(1) as pool:
        died = pool.submit(expectations, stack)
        wait_until("people are told", lambda: len(watch.alerts()) == 2)
        stays("it is looked up", lambda: not died.done(), seconds=1)
        assert stack.kill("reconcile") == 1
        assert died.exception(timeout=60) is not None

    subjects = {alert.subject.split(" ")[1] for alert in watch.alerts()}
    assert subjects == {"resp_overdue", "batch_overdue"}
    assert openai.calls("GET", "/v1/responses/resp_overdue") == 0


@pytest.mark.parametrize(
    ("context", "why"),
    [
        ("{", "is not a JSON object"),
        ('"text"', "is not a JSON object"),
        ("[" * 3000, "is not a JSON object"),
        ('{"a": "' + "x" * 5000 + '"}', "is larger than 4096 bytes"),
    ],
)
def test_a_context_that_is_none_never_fails_its_event(
    stack: Stack, openai: StandIn, watch: Watch, context: str, why: str
) -> None:
    batch_id = new_batch(openai)
    stack.expect("batch", batch_id, due_in=HOUR, context=context)

    handled(stack, finish(openai, batch_id))

    (outcome,) = watch.outcomes()
    assert "context" not in outcome.detail
    assert outcome.detail["context_omitted"] == why


def test_what_other_programs_write_never_stops_the_others(stack: Stack, openai: StandIn, watch: Watch) -> None:
    odd = ["../../models", "x" * 1500, "sk-secretsecret\r\nBcc: all@example.com", "Ω"]
    for object_id in odd:
        stack.expect("response", object_id, due_in=-60, age=HOUR)
    table = stack.outputs["TableName"]
    stack.emulator.client("dynamodb").put_item(
        TableName=table,
        Item={"pk": {"S": "mine"}, "sk": {"S": "x"}, "waiting": {"S": "batch"}, "due_at": {"N": "1.5"}},
    )
    stack.expect("fine-tuning", "ftjob-1", due_in=-60)

    result = expectations(stack)

    assert result["overdue"] == len(odd) + 1, "an item that is not an expectation is left alone"
    alerts = wait_until("people are alerted", lambda: len(watch.alerts()) == len(odd) + 1 and watch.alerts())
    assert not any("secretsecret" in alert.message + alert.subject or "\n" in alert.subject for alert in alerts)
    assert expectations(stack)["overdue"] == 0


def test_one_run_sends_no_more_alerts_than_people_read(stack: Stack, watch: Watch) -> None:
    for number in range(60):
        stack.expect("batch", f"batch_{number}", due_in=-60 - number)

    assert [expectations(stack)["overdue"] for _ in range(3)] == [50, 10, 0]
