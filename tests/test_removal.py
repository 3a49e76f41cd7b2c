"""What stays of a stack that is deleted."""

from botocore.exceptions import ClientError

from infra.local.deploy import template
from infra.local.stack import Stack
from tests.conftest import MakeStack
from tests.waiting import wait_until


def status(stack: Stack) -> str:
    """The stack's status, or nothing when it is gone."""
    stacks = stack.emulator.client("cloudformation").describe_stacks()["Stacks"]
    return next((found["StackStatus"] for found in stacks if found["StackName"] == stack.name), "")


def has_bucket(stack: Stack) -> bool:
    try:
        stack.emulator.client("s3").head_bucket(Bucket=stack.outputs["BucketName"])
    except ClientError:
        return False
    return True


def test_the_data_of_a_deleted_stack_stay(make_stack: MakeStack) -> None:
    stack = make_stack(fill_secrets=False)
    stack.expect("batch", "batch_1", due_in=3600)

    stack.delete()

    wait_until("the stack is deleted", lambda: not status(stack))
    assert len(stack.ledger()) == 1
    assert has_bucket(stack)


def test_only_the_data_outlive_a_stack_and_not_a_first_deployment_that_fails() -> None:
    policies = {
        name: (resource["DeletionPolicy"], resource["UpdateReplacePolicy"])
        for name, resource in template()["Resources"].items()
        if "DeletionPolicy" in resource
    }

    # AWS refuses a function here, unless a transform is used with which other things break.
    kept = ("RetainExceptOnCreate", "Retain")
    assert policies == {"Ledger": kept, "Artifacts": kept}
