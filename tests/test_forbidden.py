"""What no function may do, tried live with the credentials of each function's role."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.local.deploy import functions
from infra.local.emulator import REGION
from infra.local.stack import Stack, unhandled
from tests.conftest import MakeStack
from tests.forbidden import FORBIDDEN

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


def test_no_function_may_do_any_of_forty_things(make_stack: MakeStack) -> None:
    stack = make_stack(fill_secrets=False, **unhandled())
    assert len({it.what for it in FORBIDDEN}) == 40
    done = []
    for function in functions():
        role = stack.outputs.get("".join(word.capitalize() for word in function.split("-")) + "RoleArn")
        if role is None:
            # register and rotate are there with RegisterEndpoint only.
            assert function in ("register", "rotate")
            continue
        as_function = clients(stack, role)
        for forbidden in FORBIDDEN:
            if function in forbidden.except_for:
                continue
            try:
                forbidden.act(as_function, stack)
            except ClientError as error:
                if error.response["Error"]["Code"] not in DENIED:
                    done.append(f"{function} could {forbidden.what}: {error}")
            else:
                done.append(f"{function} could {forbidden.what}")

    assert done == []


@pytest.mark.parametrize("what", ["forge a job of the safety category", "queue a safety notice"])
def test_what_is_a_function_s_own_work_is_not_refused(make_stack: MakeStack, what: str) -> None:
    stack = make_stack(fill_secrets=False, **unhandled())
    (forbidden,) = [it for it in FORBIDDEN if it.what == what]

    for function in forbidden.except_for:
        forbidden.act(clients(stack, stack.outputs[f"{function.capitalize()}RoleArn"]), stack)
