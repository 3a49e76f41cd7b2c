"""Deploys `template.yaml` to the emulator, as `sam deploy` would: code and nested templates in S3, one change set.

The template is the one that AWS gets. Only where it names a local folder or file, as `CodeUri` and `TemplateURL` do,
the location in S3 is put in, which is what `sam package` does too. It happens in memory.
"""

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from samtranslator.yaml_helper import yaml_parse

from infra.local.emulator import Emulator
from infra.local.processes import ROOT

TEMPLATE = ROOT / "template.yaml"
BINARIES = ROOT / "target" / "local"
"""Where `cargo build --profile local` leaves the functions' binaries."""

_BUCKET = "deployments"
_TIMEOUT_SECONDS = 120.0
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


class DeployError(Exception):
    """The stack could not be deployed. The text has every resource's reason."""


def functions() -> list[str]:
    """The names of the functions that the template deploys, which are those of their folders and binaries."""
    resources = _template()["Resources"].values()
    return [_function_name(resource) for resource in resources if resource["Type"] == "AWS::Serverless::Function"]


def deploy(
    emulator: Emulator,
    name: str,
    parameters: Mapping[str, str],
    *,
    template: dict[str, Any] | None = None,
    binaries: Path = BINARIES,
) -> dict[str, str]:
    """Create or update the stack `name` and answer its outputs.

    `template` stands in for the one of the repository, for tests of what happens when something in it is missing.
    Raises `DeployError` when the change set or a resource fails.
    """
    template = deepcopy(_template()) if template is None else template
    _ensure_bucket(emulator)
    for resource in template["Resources"].values():
        match resource["Type"]:
            case "AWS::Serverless::Function":
                code = _code(binaries / _function_name(resource))
                resource["Properties"]["CodeUri"] = {"Bucket": _BUCKET, "Key": _upload(emulator, *code, "zip")}
            case "AWS::CloudFormation::Stack":
                nested = (ROOT / resource["Properties"]["TemplateURL"]).read_bytes()
                key = _upload(emulator, nested, _digest(nested), "template")
                resource["Properties"]["TemplateURL"] = _url(emulator, key)
    body = json.dumps(template, default=str).encode()
    _change(emulator, name, _url(emulator, _upload(emulator, body, _digest(body), "template")), parameters)
    stack = emulator.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


@cache
def _template() -> dict[str, Any]:
    return yaml_parse(TEMPLATE.read_text())


def _change(emulator: Emulator, name: str, template_url: str, parameters: Mapping[str, str]) -> None:
    cloudformation = emulator.client("cloudformation")
    try:
        cloudformation.describe_stacks(StackName=name)
        kind = "UPDATE"
    except ClientError:
        kind = "CREATE"
    change_set = f"change-{time.time_ns()}"
    cloudformation.create_change_set(
        StackName=name,
        ChangeSetName=change_set,
        ChangeSetType=kind,
        TemplateURL=template_url,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    deadline = time.monotonic() + _TIMEOUT_SECONDS

    def described() -> dict[str, Any]:
        return cloudformation.describe_change_set(StackName=name, ChangeSetName=change_set)

    while (made := described())["Status"] in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
        _pause(deadline, name)
    if made["Status"] == "FAILED":
        if "didn't contain changes" in made.get("StatusReason", ""):
            return
        raise DeployError(f"The change set of {name} failed: {made.get('StatusReason')}")
    cloudformation.execute_change_set(StackName=name, ChangeSetName=change_set)
    while (status := cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]).endswith("_PROGRESS"):
        _pause(deadline, name)
    if status != f"{kind}_COMPLETE":
        raise DeployError(f"Deploying {name} ended as {status}:{_reasons(cloudformation, name)}")


def _reasons(cloudformation: Any, name: str) -> str:
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=name)
    events = [event for page in pages for event in page["StackEvents"]]
    return "".join(
        f"\n    {event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
        for event in reversed(events)
        if event["ResourceStatus"].endswith("_FAILED")
    )


def _pause(deadline: float, name: str) -> None:
    if time.monotonic() > deadline:
        raise DeployError(f"Deploying {name} took longer than {_TIMEOUT_SECONDS:.0f} s")
    time.sleep(0.05)


def _function_name(resource: Mapping[str, Any]) -> str:
    return Path(resource["Properties"]["CodeUri"]).name


def _code(binary: Path) -> tuple[bytes, str]:
    """The zip of a function, and its digest."""
    if not binary.is_file():
        raise DeployError(f"{binary} does not exist. Build it: cargo build --profile local -p {binary.name}")
    return _zip(binary, binary.stat().st_mtime_ns)


@cache
def _zip(binary: Path, _modified: int) -> tuple[bytes, str]:
    """The binary as Lambda wants it: an executable `bootstrap`. The same binary always makes the same zip."""
    entry = zipfile.ZipInfo("bootstrap", _ZIP_DATE)
    entry.external_attr = 0o100755 << 16
    packed = io.BytesIO()
    # Packed once and deployed with every stack: the emulator hashes and copies it each time.
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(entry, binary.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=1)
    return packed.getvalue(), _digest(packed.getvalue())


def _ensure_bucket(emulator: Emulator) -> None:
    s3 = emulator.client("s3")
    try:
        s3.head_bucket(Bucket=_BUCKET)
    except ClientError:
        s3.create_bucket(Bucket=_BUCKET)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _upload(emulator: Emulator, content: bytes, digest: str, suffix: str) -> str:
    key, s3 = f"{digest}.{suffix}", emulator.client("s3")
    try:
        s3.head_object(Bucket=_BUCKET, Key=key)
    except ClientError:
        s3.put_object(Bucket=_BUCKET, Key=key, Body=content)
    return key


def _url(emulator: Emulator, key: str) -> str:
    return f"{emulator.endpoint_url}/{_BUCKET}/{key}"
