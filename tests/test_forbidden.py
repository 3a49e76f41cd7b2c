"""What no function may do, tried live with the credentials of each function's role."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.local.deploy import functions
from infra.local.emulator import REGION, Emulator
from infra.local.stack import Stack, logical
from infra.local.stand_in import StandIn
from tests.forbidden import FORBIDDEN
from tests.needs import Stacks

DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}


def clients(stack: Stack, role_arn: str) -> Callable[[str], Any]:
    """Clients with the credentials that Lambda gives a function of this role."""
    given = stack.emulator.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="a-test")["Credentials"]

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=stack.emulator.endpoint_url,
            region_name=REGION,
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, proxies={}),
        )

    return client


@pytest.fixture(scope="module")
def stack(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack with every function, for all roles."""
    with StandIn(tmp_path_factory.mktemp("openai")) as openai:
        stacks = Stacks(emulator, openai, openai, tmp_path_factory.mktemp("tools"))
        with stacks.cloudformation:
            yield stacks.usual
            stacks.usual.delete()


@pytest.mark.parametrize("function", functions())
def test_no_function_may_do_any_of_forty_things(stack: Stack, function: str) -> None:
    as_function = clients(stack, stack.outputs[f"{logical(function)}RoleArn"])
    done = []
    for forbidden in FORBIDDEN:
        if function in forbidden.except_for:
            continue
        try:
            forbidden.act(as_function, stack)
        except ClientError as error:
            if error.response["Error"]["Code"] not in DENIED:
                done.append(f"{forbidden.what}: {error}")
        else:
            done.append(forbidden.what)

    assert done == []


def test_they_are_forty() -> None:
    assert len({it.what for it in FORBIDDEN}) == 40
    assert {name for it in FORBIDDEN for name in it.except_for} <= functions().keys()


@pytest.mark.parametrize("what", ["forge a job of the safety category", "queue a safety notice"])
def test_what_is_a_function_s_own_work_is_not_refused(stack: Stack, what: str) -> None:
    (forbidden,) = [it for it in FORBIDDEN if it.what == what]

    for function in forbidden.except_for:
        forbidden.act(clients(stack, stack.outputs[f"{logical(function)}RoleArn"]), stack)
