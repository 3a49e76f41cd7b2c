"""Each permission of each consumer is needed: taken away alone, the function says that it was refused.

The cases are made from the template, so a permission that is added is tested, or listed here with the reason why not.
`make permissions` plays all of them, `make test` those of two categories.
"""

import os
from collections.abc import Callable

import pytest

from bench.python.plays import CALL_POLICY, PLAYS
from infra.local import deploy
from infra.local.stack import CATEGORIES, Stack, logical
from infra.local.stand_in import StandIn
from tests.conftest import MakeStack
from tests.permissions import actions, statements, take_away
from tests.waiting import wait_until

ALL = os.environ.get("PERMISSIONS") == "all"

NOT_SHOWN = {
    "WriteLogs": "the emulator writes a function's log without its role",
    "ReceiveEvents": "the emulator's event source works without the role, except for what the function calls itself",
    "UseKey": "with KmsKeyArn only; the emulator's services use a key without permission",
    "SendTraces": "with Tracing only; the emulator has no X-Ray",
    "GetIdentityToken": "tests/test_workload_identity.py",
    "SendWatchdogs": "with a policy that has a supervisor only; tests of the supervisor",
    "StartSupervisors": "with a policy that has a supervisor only; tests of the supervisor",
}
"""Statements that this test says nothing about, and why."""

BY_THE_FUNCTION = "sqs:ChangeMessageVisibility"
"""Of the event source's actions the one that the function calls itself."""

RARE = {"s3:AbortMultipartUpload": "after an upload of several parts that failed; tests/test_batch.py"}


def cases() -> list[tuple[str, str, str]]:
    """Category, statement and action of every permission of a consumer that a play can show."""
    template = deploy.template()
    found = []
    for category in CATEGORIES:
        for statement in statements(template, f"{logical(category)}Role"):
            for action in actions(statement):
                shown = statement["Sid"] not in NOT_SHOWN or action == BY_THE_FUNCTION
                # The archive calls nobody, so nothing of it waits; S3 as the policy's place is another parameter.
                other = (category, action) in (("archive", BY_THE_FUNCTION), ("realtime", "s3:GetObject"))
                if shown and not other and action not in RARE:
                    found.append((category, statement["Sid"], action))
    return found


SHORT = ("file", "archive")


@pytest.mark.parametrize(
    ("category", "sid", "action"), [case for case in cases() if ALL or case[0] in SHORT], ids="-".join
)
def test_without_a_permission_the_function_is_refused(
    make_stack: MakeStack, openai: StandIn, category: str, sid: str, action: str
) -> None:
    template = deploy.template()
    take_away(template, f"{logical(category)}Role", action, sid)
    stack = make_stack(template=template)
    stack.set_call_policy(CALL_POLICY)

    _scenario(action)(stack, openai, category)

    def refused() -> list[str]:
        return [line for line in stack.logs(category) if "AccessDenied" in line or "AuthorizationError" in line]

    assert wait_until("the function was refused", refused)


def test_every_statement_is_shown_or_has_a_reason() -> None:
    template = deploy.template()
    sids = {it["Sid"] for category in CATEGORIES for it in statements(template, f"{logical(category)}Role")}
    assert {sid for _, sid, _ in cases()} | NOT_SHOWN.keys() >= sids
    assert NOT_SHOWN.keys() <= sids
    assert len(cases()) >= 50


def _scenario(action: str) -> Callable[[Stack, StandIn, str], None]:
    match action:
        # What cannot be read is given up at once, and people are told.
        case "sqs:SendMessage" | "sns:Publish":
            return lambda stack, _, category: stack.send(category, "no JSON", {"webhook-id": "wh_1"})
        case "sqs:ChangeMessageVisibility":
            return _without_a_key
        case _:
            return lambda _, openai, category: PLAYS[category][1](openai)() and None


def _without_a_key(stack: Stack, openai: StandIn, category: str) -> None:
    """An event that is tried again later."""
    stack.set_secret("api-key", "unset")
    openai.fault("GET /v1/files/{id}", "status", status=500)
    PLAYS[category][1](openai)()
