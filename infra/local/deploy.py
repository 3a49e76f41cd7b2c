"""Deploys `template.yaml` to the emulator, as `sam deploy` would: code in S3, one change set.

The template is the one that AWS gets. Only each `CodeUri`, a local folder, is replaced by a location in S3, in memory;
`sam package` does the same.
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
    """The stack could not be deployed. The text has the reason of every resource that failed."""


def template() -> dict[str, Any]:
    """Content of `template.yaml`, for the caller to change."""
    return deepcopy(_parsed())


def functions(template: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """Function resources of a template, by the name of their folder and binary."""
    resources = (template or _parsed())["Resources"].values()
    found = [resource for resource in resources if resource["Type"] == "AWS::Serverless::Function"]
    return {Path(resource["Properties"]["CodeUri"]).name: resource for resource in found}


def deploy(
    emulator: Emulator,
    name: str,
    parameters: Mapping[str, str],
    *,
    template: dict[str, Any] | None = None,
    binaries: Path = BINARIES,
) -> dict[str, str]:
    """Create or update the stack `name` and return its outputs.

    `template` replaces the repository's, for tests of what happens when something in it is missing.
    Raises `DeployError` when the change set or a resource fails.
    """
    packaged = deepcopy(_parsed() if template is None else template)
    _ensure_bucket(emulator)
    for function, resource in functions(packaged).items():
        key = _upload(emulator, *_code(binaries / function), "zip")
        resource["Properties"]["CodeUri"] = {"Bucket": _BUCKET, "Key": key}
    body = json.dumps(packaged, default=str).encode()
    key = _upload(emulator, body, _digest(body), "template")
    _change(emulator, name, f"{emulator.endpoint_url}/{_BUCKET}/{key}", parameters)
    stack = emulator.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


@cache
def _parsed() -> dict[str, Any]:
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
        Capabilities=["CAPABILITY_IAM"],
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


def _code(binary: Path) -> tuple[bytes, str]:
    """Zip of a function, and its digest."""
    if not binary.is_file():
        raise DeployError(f"{binary} does not exist. Build it: cargo build --profile local --bin {binary.name}")
    return _zip(binary, binary.stat().st_mtime_ns)


@cache
def _zip(binary: Path, _modified: int) -> tuple[bytes, str]:
    """Zip with the binary as an executable `bootstrap`, as Lambda wants it. Equal binaries make equal zips."""
    entry = zipfile.ZipInfo("bootstrap", _ZIP_DATE)
    entry.external_attr = 0o100755 << 16
    packed = io.BytesIO()
    # Compressed, because the emulator hashes and copies it with every stack.
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
