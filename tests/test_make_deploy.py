"""`make deploy`, as a user runs it: the real `sam deploy` of the real template, into the emulator."""

import fcntl
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from samcli.cli.types import CfnParameterOverridesType

from infra import before_deploy
from infra.local.deploy import template
from infra.local.docker import ARCHITECTURE
from infra.local.emulator import ACCESS_KEY, Emulator
from infra.local.processes import ROOT
from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from tests.waiting import wait_until

NAME = "openai-webhooks"
"""What samconfig.toml calls the default environment's stack."""

_THERE = ("--old-file=local", f"--old-file={sys.prefix}/stamp")
_DEPLOY_SECONDS = 580
ACCOUNT = "000000000000"

Deploy = Callable[..., str]


def made(targets: list[str], environment: dict[str, str], code: int = 0) -> str:
    """Run `make` for the debug build, and answer what it said.

    The build and the tools are there, or no test would run: make is told so. Test processes take turns, since all
    packages lie in one place.
    """
    turns = os.open(ROOT / "target", os.O_RDONLY)
    fcntl.flock(turns, fcntl.LOCK_EX)
    try:
        ended = subprocess.run(
            ["make", *targets, "PROFILE=local", f"VENV={sys.prefix}", *_THERE],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_DEPLOY_SECONDS,
            check=False,
        )
    finally:
        os.close(turns)
    assert (ended.returncode == 0) == (code == 0), ended.stdout
    return ended.stdout


@pytest.fixture
def make_deploy(emulator: Emulator, tmp_path: Path) -> Iterator[Deploy]:
    """Runs `make deploy` of the debug build and answers what it said; the stacks are deleted afterwards."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
        "AWS_ENDPOINT_URL": emulator.endpoint_url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
    }

    def make_deploy(*arguments: str, code: int = 0) -> str:
        return made(["deploy", f"SAM_ARGS={' '.join(arguments)}"], environment, code)

    yield make_deploy
    for name in (NAME, f"{NAME}-staging"):
        emulator.client("cloudformation").delete_stack(StackName=name)


def found(emulator: Emulator, name: str = NAME) -> dict[str, Any]:
    return emulator.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]


def stack_of(emulator: Emulator, name: str = NAME) -> Stack:
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found(emulator, name)["Outputs"]}
    return Stack(emulator, name, outputs)


def retention_days(stack: Stack) -> int:
    (group,) = stack.emulator.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{stack.name}-batch")[
        "logGroups"
    ]
    return group["retentionInDays"]


def test_a_deployed_stack_handles_events_and_is_upgraded_in_place(
    emulator: Emulator, openai: StandIn, make_deploy: Deploy
) -> None:
    make_deploy("--no-confirm-changeset")
    stack = stack_of(emulator)
    functions = emulator.client("lambda")
    assert functions.get_function(FunctionName=f"{NAME}-batch")["Configuration"]["Architectures"] == [ARCHITECTURE]

    stack.fill_secrets()
    stack.subscribe(openai)
    delivery = openai.deliver("video.completed", {"id": "video_1"}, wait=True)[0]

    def handled() -> bool:
        return (stack.event(delivery["webhook_id"]) or {}).get("state") == "completed"

    wait_until("the event is handled", handled)

    # Again, with nothing new.
    deployed = found(emulator)
    assert "No changes to deploy" in make_deploy("--no-confirm-changeset")
    assert found(emulator) == deployed

    # With another parameter: the same resources, the same secrets, the same data.
    assert retention_days(stack) == 30
    make_deploy("--no-confirm-changeset", "--parameter-overrides", "LogRetentionDays=7")
    assert found(emulator)["StackStatus"] == "UPDATE_COMPLETE"
    assert stack_of(emulator).outputs == stack.outputs
    assert retention_days(stack) == 7
    assert openai.deliver("video.completed", {"id": "video_2"}, wait=True)[0]["attempts"][0]["status"] == 200
    assert handled()


def test_another_environment_is_another_stack_with_its_own_parameters(emulator: Emulator, make_deploy: Deploy) -> None:
    make_deploy("--config-env", "staging")

    staging = stack_of(emulator, f"{NAME}-staging")
    assert {"Key": "environment", "Value": "staging"} in found(emulator, staging.name)["Tags"]
    assert retention_days(staging) == 7


def test_parameters_arrive_as_the_docs_write_them_into_samconfig(
    emulator: Emulator, make_deploy: Deploy, tmp_path: Path
) -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    chosen: dict[str, Any] = {}
    for page in ("deploy", "endpoint"):
        for block in re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(), re.DOTALL):
            chosen |= tomllib.loads(block)["default"]["deploy"]["parameters"]["parameter_overrides"]
    config["default"]["deploy"]["parameters"]["parameter_overrides"] = chosen
    (tmp_path / "samconfig.toml").write_text(tomlkit.dumps(config))

    make_deploy("--no-confirm-changeset", "--config-file", str(tmp_path / "samconfig.toml"))

    has = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in found(emulator)["Parameters"]}
    expected = {name: ",".join(it) if isinstance(it, list) else str(it) for name, it in chosen.items()}
    assert {name: has[name] for name in chosen} == expected
    assert {"ReconcileSchedule", "SmokeTestPrompt", "AdditionalEndpoints"} <= chosen.keys()


def test_parameters_arrive_as_the_docs_write_them_on_the_command_line() -> None:
    pages = [path.read_text() for path in (ROOT / "docs").glob("*.md")]
    lines = [line for page in pages for line in page.splitlines() if 'SAM_ARGS="--parameter-overrides' in line]
    given = [re.search(r'SAM_ARGS=".*?(?<!\\)"', line) for line in lines]
    assert all(given)

    chosen: dict[str, str] = {}
    for found in filter(None, given):
        # Once for the shell that starts make, once for the one that make starts.
        (argument,) = shlex.split(found[0])
        _, *overrides = shlex.split(argument.removeprefix("SAM_ARGS="))
        chosen |= CfnParameterOverridesType().convert(tuple(overrides), None, None)

    assert chosen.keys() <= template()["Parameters"].keys()
    assert chosen["SmokeTestPrompt"] == "Say hello in one word."
    assert chosen["ReconcileSchedule"] == ""


def test_what_would_fail_is_told_before_anything_is_built(make_deploy: Deploy, emulator: Emulator) -> None:
    for arguments, told in {
        ("--config-env", "production"): "has no environment production. It has: default, staging, prod",
        ("--stack-name", "aws-webhooks"): "begins with a word that Systems Manager reserves",
        ("--stack-name", "a" * 52): "has 52 characters, and at most 51 fit",
        ("--stack-name", "my_stack"): "is not a stack name",
        ("--parameter-overrides", "AlertMail=ops@example.com"): "no parameter AlertMail",
        ("--parameter-overrides", "BatchEnabled=no"): "BatchEnabled is one of true, false",
    }.items():
        said = make_deploy(*arguments, code=2)
        assert told in said
        assert "sam deploy" not in said


def test_a_stack_that_cannot_be_updated_is_told_before_anything_is_built(
    make_deploy: Deploy, emulator: Emulator
) -> None:
    missing = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:none"
    resource = {"Type": "AWS::CloudFormation::CustomResource", "Properties": {"ServiceToken": missing}}
    body = json.dumps({"Resources": {"Failing": resource}})
    emulator.client("cloudformation").create_stack(StackName=NAME, TemplateBody=body)
    wait_until("it has failed", lambda: found(emulator)["StackStatus"] in ("ROLLBACK_COMPLETE",))

    said = make_deploy("--no-confirm-changeset", code=2)

    assert "cannot update it. Delete it first: .venv/bin/sam delete --stack-name openai-webhooks" in said


def test_access_and_costs_are_told_first(make_deploy: Deploy) -> None:
    said = make_deploy("--no-confirm-changeset", "--no-execute-changeset")
    assert f"Deploying the stack openai-webhooks (new) into us-east-1 of the account {ACCOUNT}" in said
    costs = (ROOT / "docs" / "costs.md").read_text()
    assert f"**{before_deploy.IDLE_USD}**" in costs
    first, further = re.search(r"makes (\w+) of them, each further one (\w+)", " ".join(costs.split())).groups()
    count = {"four": 4, "seven": 7}
    assert f"{count[first] * 0.3:.2f}" == before_deploy.FIRST_CATEGORY_USD
    assert f"{count[further] * 0.3:.2f}" == before_deploy.FURTHER_CATEGORY_USD
    assert before_deploy.IDLE_USD in said
