"""What `make deploy` checks before it builds for a quarter of an hour, and what it tells of the costs.

    python -m infra.before_deploy [--built] -- [arguments of sam deploy]

The exit code is 1 if the deployment would fail, with all reasons.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from samcli.cli.types import CfnParameterOverridesType
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[1]
COSTS = """\
About {idle} USD a month while nothing happens. CloudWatch metrics in use: {first} USD for the first
category, {further} for each further one. An event costs 0.001 to 0.005 cent. docs/costs.md has the list."""
IDLE_USD, FIRST_CATEGORY_USD, FURTHER_CATEGORY_USD = "3.81", "2.10", "1.20"
LONGEST_NAME = 51
"""EventBridge Scheduler allows 64 characters, and names of its schedules begin with the stack's."""
LOW_QUOTA = 100
"""Concurrent executions below which the verifier may be throttled; new accounts have 10."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_DEAD = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")


@dataclass
class Settings:
    """Settings of a deployment: those of `samconfig.toml`, and of the command line, which has precedence."""

    environment: str
    stack: str
    region: str | None
    profile: str | None
    overrides: dict[str, str]

    @classmethod
    def read(cls, arguments: list[str]) -> "Settings":
        """Read them as `sam deploy` does. Raises `ValueError` if the file or the environment does not exist."""
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        parser.add_argument("--config-env", default="default")
        parser.add_argument("--config-file", type=Path, default=ROOT / "samconfig.toml")
        for name in ("--stack-name", "--region", "--profile"):
            parser.add_argument(name)
        parser.add_argument("--parameter-overrides", nargs="*")
        given, _ = parser.parse_known_args(arguments)
        if not given.config_file.is_file():
            raise ValueError(f"{given.config_file} does not exist.")
        config = tomllib.loads(given.config_file.read_text())
        if given.config_env not in config:
            there = ", ".join(name for name, section in config.items() if isinstance(section, dict))
            raise ValueError(f"{given.config_file.name} has no environment {given.config_env}. It has: {there}.")
        section = config[given.config_env]
        has = section.get("global", {}).get("parameters", {}) | section.get("deploy", {}).get("parameters", {})
        overrides = given.parameter_overrides or has.get("parameter_overrides") or {}
        if not isinstance(overrides, Mapping):
            words = [overrides] if isinstance(overrides, str) else overrides
            overrides = CfnParameterOverridesType().convert(tuple(words), None, None)
        return cls(
            environment=given.config_env,
            stack=given.stack_name or has.get("stack_name", ""),
            region=given.region or has.get("region") or os.environ.get("AWS_REGION"),
            profile=given.profile or has.get("profile"),
            overrides={name: str(value) for name, value in overrides.items()},
        )


@dataclass
class Findings:
    """Problems that make a deployment fail, and what else a person should know."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.before_deploy")
    parser.add_argument("--built", action="store_true", help="the functions are built already")
    parser.add_argument("sam", nargs="*", help="arguments of sam deploy, after --")
    options = parser.parse_args(arguments)
    found = Findings()
    if not options.built:
        check_toolchain(found)
    try:
        settings = Settings.read(options.sam)
    except ValueError as error:
        found.problems.append(str(error))
    else:
        check_name(settings.stack, found)
        check_parameters(settings.overrides, found)
        check_account(settings, found)
    for note in found.notes:
        print(note)
    for problem in found.problems:
        print(f"error: {problem}", file=sys.stderr)
    if found.problems:
        return 1
    print(COSTS.format(idle=IDLE_USD, first=FIRST_CATEGORY_USD, further=FURTHER_CATEGORY_USD))
    return 0


def check_toolchain(found: Findings) -> None:
    """Check that Rust is there, new enough, and can build for the functions' processor."""
    needed = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    if shutil.which("cargo") is None:
        found.problems.append(f"cargo is not on the PATH. Install Rust {needed} or newer from https://rustup.rs.")
        return
    said = subprocess.run(["cargo", "--version"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    version = re.search(r"\d+(\.\d+)+", said)
    if version is None or _version(version[0]) < _version(needed):
        found.problems.append(
            f"Rust {needed} is needed, and this is {said.strip() or 'none'}. Update it: rustup update"
        )
    if shutil.which("rustup") is None:
        found.problems.append(
            "rustup is not on the PATH, which fetches the standard library of the functions' processor. "
            "Install it from https://rustup.rs."
        )


def check_name(stack: str, found: Findings) -> None:
    """Check what CloudFormation would notice only while it creates the stack."""
    if not _NAME.fullmatch(stack):
        found.problems.append(f"{stack!r} is not a stack name: letters, digits and hyphens, beginning with a letter.")
    elif len(stack) > LONGEST_NAME:
        found.problems.append(f"The stack name {stack} has {len(stack)} characters, and at most {LONGEST_NAME} fit.")
    elif stack.lower().startswith(("aws", "ssm")):
        found.problems.append(f"The stack name {stack} begins with a word that Systems Manager reserves (aws, ssm).")


def check_parameters(overrides: Mapping[str, str], found: Findings) -> None:
    """Check that the template has these parameters."""
    parameters = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]
    for name, value in overrides.items():
        if name not in parameters:
            found.problems.append(f"template.yaml has no parameter {name}. It describes all that there are.")
        elif (allowed := parameters[name].get("AllowedValues")) and value not in map(_as_text, allowed):
            found.problems.append(f"{name} is one of {', '.join(map(_as_text, allowed))}, and not {value!r}.")


def check_account(settings: Settings, found: Findings) -> None:
    """Check credentials, region, the stack's status and the concurrency quota."""
    if settings.region is None:
        found.problems.append("No region. Set it in samconfig.toml, or by AWS_REGION.")
        return
    try:
        session = boto3.Session(profile_name=settings.profile, region_name=settings.region)
        # One attempt within seconds: this is before the work, and can be repeated.
        quick = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
        identity = session.client("sts", config=quick).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        found.problems.append(
            f"No access to AWS: {error} Sign in (aws sso login), set AWS_PROFILE, or set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY."
        )
        return
    status = _status(session, settings.stack, quick)
    kind = "new" if status is None else status
    found.notes.append(
        f"Deploying the stack {settings.stack} ({kind}) into {settings.region} of the account {identity['Account']},\n"
        f"as {identity['Arn']}."
    )
    if status in _DEAD:
        found.problems.append(
            f"{settings.stack} is {status}, and CloudFormation cannot update it. Delete it first: "
            f".venv/bin/sam delete --stack-name {settings.stack} --region {settings.region}"
        )
    elif status is not None and status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
        found.problems.append(f"{settings.stack} is {status}. Wait until that is over.")
    quota = _quota(session, quick)
    if quota is not None and quota < LOW_QUOTA:
        found.notes.append(
            f"warning: this account may run {quota} functions at once. A few long batches take all of them, and "
            "deliveries\nare refused until they end. docs/deploy.md says how to ask for more."
        )


def _status(session: boto3.Session, stack: str, quick: Config) -> str | None:
    """Status of the stack; `None` if there is none, or if it may not be seen."""
    try:
        return session.client("cloudformation", config=quick).describe_stacks(StackName=stack)["Stacks"][0][
            "StackStatus"
        ]
    except (BotoCoreError, ClientError):
        return None


def _quota(session: boto3.Session, quick: Config) -> int | None:
    """Concurrent executions of the account; `None` if they may not be seen."""
    try:
        return session.client("lambda", config=quick).get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    except (BotoCoreError, ClientError, KeyError):
        return None


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
