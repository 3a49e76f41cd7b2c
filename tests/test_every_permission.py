"""Each permission of each function is needed: taken away alone, the function is refused and says so.

The cases are made from the template, so a permission that is added is tested, or listed here with the reason why not.
`make permissions` plays all of them, `make test` those of three functions.
"""

import os
from collections.abc import Iterator

import pytest

from infra.local import deploy
from infra.local.emulator import Emulator
from infra.local.stack import logical
from infra.local.stand_in import StandIn
from tests.console_needs import REFUSED
from tests.needs import Stacks
from tests.permissions import actions, statements, without
from tests.waiting import wait_until

ALL = os.environ.get("PERMISSIONS") == "all"
SHORT = ("verifier", "file", "register")

NOT_SHOWN = {
    "WriteLogs": "the emulator writes a function's log without its role",
    "ReceiveEvents": "the emulator's event source works without the role, except for what the function calls itself",
    "ReceiveWatchdogs": "the same",
    "UseKey": "with KmsKeyArn only; the emulator's services use a key without permission",
    "SendTraces": "with Tracing only; the emulator has no X-Ray",
    "InvokeReconcile": "the emulator's Scheduler invokes without the role",
    "ReadMetrics": "the emulator checks no permission for a request in CBOR, which CloudWatch's are",
    "SwitchConsumers": "the emulator checks no permission for a change of an event source",
    "ReadClientSecret": "with OidcClientSecretArn only; tests/test_console_provider.py signs in by it",
}
"""Statements that this test says nothing about, and why."""

BY_THE_FUNCTION = "sqs:ChangeMessageVisibility"
"""Of the event source's actions the one that the function calls itself."""

RARE = {
    ("supervisor", "s3:AbortMultipartUpload"): "a recording of more than 8 MiB that breaks off",
    ("console", "sqs:DeleteMessage"): "of many messages at once, which the emulator checks as sqs:DeleteMessageBatch",
    ("console", "sqs:ChangeMessageVisibility"): "the same; and letters that are not given back come back by themselves",
}


def roles() -> dict[str, str]:
    """Logical ids of the template's roles, each with the name of its function."""
    resources = deploy.template()["Resources"]
    named = {f"{logical(function)}Role": function for function in deploy.functions()}
    return {name: named.get(name, name) for name, it in resources.items() if it["Type"] == "AWS::IAM::Role"}


def cases() -> list[tuple[str, str, str]]:
    """Function, statement and action of every permission that a play can show."""
    template = deploy.template()
    return [
        (function, statement["Sid"], action)
        for role, function in roles().items()
        for statement in statements(template, role)
        for action in actions(statement)
        if (statement["Sid"] not in NOT_SHOWN or action == BY_THE_FUNCTION) and (function, action) not in RARE
    ]


@pytest.fixture(scope="module")
def openai(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn(tmp_path_factory.mktemp("openai")) as started:
        yield started


@pytest.fixture(scope="module")
def stacks(emulator: Emulator, openai: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stacks]:
    of_console = StandIn(tmp_path_factory.mktemp("openai-of-console"))
    made = Stacks(emulator, openai, of_console, tmp_path_factory.mktemp("tools"))
    with of_console, made.cloudformation:
        yield made
        for stack in made.made:
            stack.delete()


def is_keyless(sid: str, action: str) -> bool:
    """Whether the permission is one of the stack with workload identity and the policy in S3."""
    return (sid, action) in (("GetIdentityToken", "sts:GetWebIdentityToken"), ("ReadCallPolicy", "s3:GetObject"))


@pytest.mark.parametrize(
    ("function", "sid", "action"),
    [
        pytest.param(*case, id="-".join(case))
        for case in cases()
        if ALL or (case[0] in SHORT and not is_keyless(*case[1:]))
    ],
)
def test_without_a_permission_the_function_is_refused(stacks: Stacks, function: str, sid: str, action: str) -> None:
    stack = stacks.keyless if is_keyless(sid, action) else stacks.filled if function == "console" else stacks.usual
    if function == "console":
        stacks.user(stack)
    before, seen = len(stack.logs(function)), len(stacks.seen)

    def told() -> list[str]:
        return refusals([*stack.logs(function)[before:], *stacks.seen[seen:]], action)

    try:
        with without(stack, f"{logical(function)}Role", sid, action):
            stacks.play(stack, function, sid, action)
            wait_until(f"{function} is refused {action}", told)
    finally:
        stacks.clean_up(stack, function)


def refusals(lines: list[str], action: str) -> list[str]:
    """Lines that say that AWS has refused this action, or has refused one and did not say which."""
    denied = [line for line in lines if REFUSED.search(line)]
    return [line for line in denied if "not authorized to perform" not in line or f"perform: {action} " in line]


@pytest.mark.parametrize("function", [it for it in deploy.functions() if it != "console" and (ALL or it in SHORT)])
def test_with_all_its_permissions_the_function_is_refused_nothing(stacks: Stacks, function: str) -> None:
    # Of the console tests/test_console_deployed.py shows it.
    stack = stacks.usual
    before = len(stack.logs(function))
    wanted = [it for it in cases() if it[0] == function and not is_keyless(*it[1:]) and it[2] != BY_THE_FUNCTION]
    # A rotation is all that the function does, and takes half a minute.
    for _, sid, action in wanted[:1] if function == "rotate" else wanted:
        stacks.play(stack, function, sid, action)
    wait_until("it has done something", lambda: len(stack.logs(function)) > before)

    assert not [line for line in stack.logs(function)[before:] if "AccessDenied" in line]
    stacks.clean_up(stack, function)


def test_every_statement_is_shown_or_has_a_reason() -> None:
    template = deploy.template()
    sids = {it["Sid"] for role in roles() for it in statements(template, role)}
    assert {sid for _, sid, _ in cases()} | NOT_SHOWN.keys() >= sids
    assert NOT_SHOWN.keys() <= sids
    assert {function for function, _, _ in cases()} == set(deploy.functions())
    assert len(cases()) >= 90
