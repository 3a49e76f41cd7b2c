"""Account, the release that is deployed into it, and everything that has to be removed again."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra.local.processes import ROOT

_SAM = Path(sys.executable).with_name("sam")
_SAID = 2000
"""Characters of a failed command's output that are shown: its end."""
_DELETE_SECONDS = 1800.0
QUEUE_SECONDS = 61
"""SQS blocks the names of deleted queues for a minute."""


class StepError(Exception):
    """A step saw something else than it should."""


@dataclass(frozen=True)
class Release:
    """What `make dist` has packed, unpacked."""

    folders: dict[str, Path]
    """Folder that `sam deploy` takes, by processor."""
    command_line: Path

    @property
    def architecture(self) -> str:
        """Processor of most steps."""
        return "arm64" if "arm64" in self.folders else next(iter(self.folders))


@dataclass
class Account:
    """Account that the stack is deployed into."""

    session: boto3.Session
    environment: dict[str, str]
    release: Release
    parameters: dict[str, str]
    work: Path
    """Folder for what is made on the way."""
    is_local: bool
    openai_key: str | None = None
    domain: tuple[str, str] | None = None
    """Name and hosted zone of a domain."""
    name: str = field(default_factory=lambda: f"acceptance-{uuid.uuid4().hex[:8]}")
    _packaged: dict[str, Path] = field(default_factory=dict)
    _kept: dict[str, set[str]] = field(default_factory=lambda: {"TableName": set(), "BucketName": set()})

    def client(self, service: str) -> Any:
        """Client of a service."""
        return self.session.client(service, endpoint_url=self.environment.get("AWS_ENDPOINT_URL"))

    def deploy(self, *arguments: str, architecture: str | None = None, **parameters: str) -> str:
        """Run `sam deploy` on the release, and return its output. Raises `StepError`."""
        architecture = architecture or self.release.architecture
        overrides = [f"{name}={value}" for name, value in {**self.parameters, **parameters}.items()]
        given = ["--template-file", self._package(architecture), "--config-file", ROOT / "samconfig.toml"]
        given += ["--stack-name", self.name, "--region", self.session.region_name, "--no-confirm-changeset", *arguments]
        if overrides:
            given += ["--parameter-overrides", *overrides]
        said = self._run([_SAM, "deploy", *given], ROOT)
        self._remember()
        return said

    def _package(self, architecture: str) -> Path:
        """Upload the functions, once for all deployments, and return the template that names them."""
        if architecture not in self._packaged:
            packaged = self.work / f"{architecture}.yaml"
            given = ["--template-file", self.release.folders[architecture] / "template.yaml", "--resolve-s3"]
            given += ["--output-template-file", packaged, "--region", self.session.region_name]
            self._run([_SAM, "package", *given], ROOT)
            self._packaged[architecture] = packaged
        return self._packaged[architecture]

    def ask(self, *arguments: str) -> list[Any]:
        """Run the release's command line on the stack, and return its JSON documents. Raises `StepError`."""
        options = ["--stack", self.name, "--region", self.session.region_name, "--json"]
        said = self._run([self.release.command_line, *options, *arguments], self.release.command_line.parent)
        decoder, found = json.JSONDecoder(), []
        while said := said.lstrip():
            document, end = decoder.raw_decode(said)
            found.append(document)
            said = said[end:]
        return found

    def stack(self) -> dict[str, Any] | None:
        """Description of the stack; `None` if there is none."""
        return self._described(self.name)

    def status(self) -> str:
        """Status of the stack; `missing` if there is none."""
        return (self.stack() or {"StackStatus": "missing"})["StackStatus"]

    def outputs(self) -> dict[str, str]:
        """Outputs of the stack."""
        return {one["OutputKey"]: one["OutputValue"] for one in (self.stack() or {}).get("Outputs", [])}

    def delete(self, name: str | None = None) -> str:
        """Delete a stack, by default the account's, and return what became of it: `missing` or `DELETE_FAILED`."""
        name = name or self.name
        if self._described(name) is None:
            return "missing"
        self.client("cloudformation").delete_stack(StackName=name)

        def ended() -> str | None:
            status = (self._described(name) or {"StackStatus": "missing"})["StackStatus"]
            return None if status.endswith(("_IN_PROGRESS", "_COMPLETE")) else status

        return until(f"{name} is deleted", ended, _DELETE_SECONDS)

    def remove(self) -> list[str]:
        """Remove everything that the steps have made, and return what is left."""
        left = [f"stack {name}" for name in (f"{self.name}-domain", self.name) if self.delete(name) != "missing"]
        for table in sorted(self._kept["TableName"]):
            if not _gone(lambda name=table: self.client("dynamodb").delete_table(TableName=name)):
                left.append(f"table {table}")
        for bucket in sorted(self._kept["BucketName"]):
            if not _gone(lambda name=bucket: self._delete_bucket(name)):
                left.append(f"bucket {bucket}")
        logs = self.client("logs")
        groups = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"/aws/lambda/{self.name}-")
        for group in [group["logGroupName"] for page in groups for group in page["logGroups"]]:
            # A function that ended after its stack's group was deleted has made one of its own.
            if not _gone(lambda name=group: logs.delete_log_group(logGroupName=name)):
                left.append(f"log group {group}")
        return left

    def _delete_bucket(self, bucket: str) -> None:
        s3 = self.client("s3")
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
        s3.delete_bucket(Bucket=bucket)

    def _remember(self) -> None:
        """Note what a deletion of the stack will leave."""
        outputs = self.outputs()
        for output, names in self._kept.items():
            names.update({outputs[output]} if output in outputs else ())

    def _described(self, name: str) -> dict[str, Any] | None:
        try:
            (found,) = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return None if found["StackStatus"] == "DELETE_COMPLETE" else found

    def _run(self, command: list[str | Path], folder: Path) -> str:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StepError((done.stdout + done.stderr)[-_SAID:].strip())
        return done.stdout


def until(what: str, probe: Callable[[], Any], seconds: float) -> Any:
    """Call `probe` until its answer counts as true, and return that. Raises `StepError`."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise StepError(f"not within {seconds:.0f} s: {what}")
        time.sleep(1)
    return found


def _gone(delete: Callable[[], Any]) -> bool:
    """Whether it is deleted, or was already."""
    try:
        delete()
    except ClientError as error:
        return error.response["Error"]["Code"] in ("ResourceNotFoundException", "NoSuchBucket")
    return True
