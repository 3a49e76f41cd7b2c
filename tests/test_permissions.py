"""Each function may do what it needs and nothing else: take one statement away, and its work stops there."""

import pytest
from samtranslator.yaml_helper import yaml_parse

from infra.local.deploy import TEMPLATE
from infra.local.stack import FunctionError
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import finish, new_batch
from tests.conftest import MakeStack
from tests.waiting import wait_until


# Not here: the statements about logs and those of the event source, which ministack doesn't check, and alerts, which
# the default policy of its topics lets everybody of the account publish.
@pytest.mark.parametrize(
    "sid",
    [
        "KeepLedger",
        "KeepArtifacts",
        "PublishOutcomes",
        "ReadApiKey",
        "PostponeEvents",
        "SendDeadLetters",
    ],
)
def test_a_consumer_without_a_permission_is_refused_and_loses_nothing(
    make_stack: MakeStack, openai: StandIn, sid: str
) -> None:
    template = yaml_parse(TEMPLATE.read_text())
    whole = template["Resources"]["BatchRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    left = [statement for statement in whole if statement["Sid"] != sid]
    assert len(left) == len(whole) - 1, f"there is no statement {sid}"
    whole[:] = left
    stack = make_stack(template=template)
    watch = Watch(stack)
    batch_id = new_batch(openai)
    match sid:
        case "PostponeEvents":
            openai.fault(f"GET /v1/batches/{batch_id}", "status", status=500)
        case "SendDeadLetters":
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
    ("sid", "task"),
    [
        ("LookIntoLedger", "reconcile"),
        ("KeepLedger", "reconcile"),
        ("QueueLostEvents", "reconcile"),
        ("ReadApiKey", "reconcile"),
        ("ListExpectations", "expectations"),
    ],
)
def test_reconciliation_without_a_permission_fails(make_stack: MakeStack, openai: StandIn, sid: str, task: str) -> None:
    template = yaml_parse(TEMPLATE.read_text())
    whole = template["Resources"]["ReconcileRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    left = [statement for statement in whole if statement["Sid"] != sid]
    assert len(left) == len(whole) - 1, f"there is no statement {sid}"
    whole[:] = left
    stack = make_stack(template=template)
    openai.advance(new_batch(openai), "completed", deliver=False, age_seconds=3600)

    with pytest.raises(FunctionError, match="AccessDenied"):
        stack.invoke("reconcile", {"task": task})
