"""What stays of a stack that is deleted, by the parameter `RetainData`."""

from botocore.exceptions import ClientError

from infra.local.deploy import deploy
from infra.local.emulator import Emulator
from infra.local.stack import Stack
from tests.conftest import MakeStack
from tests.waiting import wait_until


def status(stack: Stack) -> str:
    """The stack's status, or nothing when it is gone."""
    stacks = stack.emulator.client("cloudformation").describe_stacks()["Stacks"]
    return next((found["StackStatus"] for found in stacks if found["StackName"] == stack.name), "")


def has_table(stack: Stack) -> bool:
    return stack.outputs["TableName"] in stack.emulator.client("dynamodb").list_tables()["TableNames"]


def has_bucket(stack: Stack) -> bool:
    try:
        stack.emulator.client("s3").head_bucket(Bucket=stack.outputs["BucketName"])
    except ClientError:
        return False
    return True


def redeploy(emulator: Emulator, stack: Stack, **parameters: str) -> None:
    """Deploy the stack once more with other parameters."""
    assert deploy(emulator, stack.name, parameters) == stack.outputs


def test_the_data_of_a_deleted_stack_stay(make_stack: MakeStack) -> None:
    stack = make_stack(fill_secrets=False)
    stack.expect("batch", "batch_1")

    stack.delete()

    wait_until("the stack is deleted", lambda: not status(stack))
    assert len(stack.ledger()) == 1
    assert has_bucket(stack)


def test_without_retain_data_table_and_bucket_go_with_their_stack(make_stack: MakeStack) -> None:
    stack = make_stack(fill_secrets=False, RetainData="false")

    stack.delete()

    wait_until("the stack is deleted", lambda: not status(stack))
    assert not has_table(stack)
    assert not has_bucket(stack)


def test_changing_retain_data_deletes_nothing_and_counts_from_then_on(make_stack: MakeStack) -> None:
    stack = make_stack(fill_secrets=False, RetainData="false")
    stack.expect("batch", "batch_1")

    for retain in ("true", "false", "true"):
        redeploy(stack.emulator, stack, RetainData=retain)
        assert len(stack.ledger()) == 1
        assert has_bucket(stack)

    stack.delete()
    wait_until("the stack is deleted", lambda: not status(stack))
    assert len(stack.ledger()) == 1
    assert has_bucket(stack)
