"""Each function may do what it needs and nothing else: without one of its actions, its work stops there."""

import json

import pytest

from infra.local import deploy
from infra.local.stack import FunctionError
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import finish, new_batch
from tests.conftest import MakeStack
from tests.permissions import take_away
from tests.waiting import wait_until


# Not here: actions on logs and those of the event source, which ministack does not check, and alerts, which the default
# policy of its topics lets the whole account publish.
@pytest.mark.parametrize(
    "action",
    [
        "dynamodb:UpdateItem",
        "s3:PutObject",
        "events:PutEvents",
        "secretsmanager:GetSecretValue",
        "sqs:ChangeMessageVisibility",
        "sqs:SendMessage",
    ],
)
def test_a_consumer_without_a_permission_is_refused_and_loses_nothing(
    make_stack: MakeStack, openai: StandIn, action: str
) -> None:
    template = deploy.template()
    take_away(template, "BatchRole", action)
    stack = make_stack(template=template)
    watch = Watch(stack)
    batch_id = new_batch(openai)
    match action:
        case "sqs:ChangeMessageVisibility":
            openai.fault(f"GET /v1/batches/{batch_id}", "status", status=500)
        case "sqs:SendMessage":
            openai.fault(f"GET /v1/batches/{batch_id}", "status", status=403)
        case _:
            pass

    delivery = finish(openai, batch_id)

    def refused() -> list[str]:
        return [line for line in stack.logs("batch") if "AccessDenied" in line]

    wait_until("the function was refused", refused)
    event = stack.event(delivery["webhook_id"])
    assert event is None or event["state"] == "in_progress"
    assert len(stack.messages("batch")) == 1
    assert watch.outcomes() == []


@pytest.mark.parametrize(
    ("action", "task"),
    [
        ("dynamodb:GetItem", "reconcile"),
        ("dynamodb:UpdateItem", "reconcile"),
        ("sqs:SendMessage", "reconcile"),
        ("secretsmanager:GetSecretValue", "reconcile"),
        ("dynamodb:Query", "expectations"),
    ],
)
def test_reconciliation_without_a_permission_fails(
    make_stack: MakeStack, openai: StandIn, action: str, task: str
) -> None:
    template = deploy.template()
    take_away(template, "ReconcileRole", action)
    stack = make_stack(template=template)
    openai.advance(new_batch(openai), "completed", deliver=False, age_seconds=3600)

    with pytest.raises(FunctionError, match="AccessDenied"):
        stack.invoke("reconcile", {"task": task})


@pytest.mark.parametrize(
    ("role", "action"),
    [
        ("RealtimeRole", "lambda:InvokeFunction"),
        ("SupervisorRole", "dynamodb:Query"),
        ("SupervisorRole", "dynamodb:UpdateItem"),
        ("SupervisorRole", "s3:PutObject"),
        ("SupervisorRole", "events:PutEvents"),
    ],
)
def test_supervision_without_a_permission_is_refused_and_the_call_goes_on(
    make_stack: MakeStack, openai: StandIn, role: str, action: str
) -> None:
    template = deploy.template()
    take_away(template, role, action)
    stack = make_stack(template=template)
    session = {"model": "gpt-realtime-2.1"}
    policy = {"answer_as": "realtime", "default": {"accept": {"session": session, "supervise": {"greeting": "Hi."}}}}
    stack.set_call_policy(json.dumps(policy))
    script = [{"wait": 2000}, {"caller": "Hello"}, {"wait": 1000}, "hang_up"]
    call = openai.call_in(plan={"script": script})["call"]

    def refused() -> list[str]:
        functions = ["realtime", "supervisor"]
        return [line for name in functions for line in stack.logs(name) if "AccessDenied" in line]

    wait_until("the function was refused", refused, timeout=60)
    assert openai.call(call["call_id"])["state"] in ("accepted", "ended")
