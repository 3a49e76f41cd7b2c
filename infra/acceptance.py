"""`make acceptance`: what only an AWS account can confirm, step by step, in a stack of a throw-away name.

    python -m infra.acceptance [--local] [--packages target/lambda] [--region us-east-1]

It uses the credentials at hand, and costs a few cents. With `OPENAI_API_KEY` it also registers an endpoint at OpenAI,
and has its secret rotated. Each line says what was seen; the exit code is 1 if one failed. In the end everything is
removed.

With `--local` AWS is ministack, and OpenAI the stand-in. Steps that these cannot play say so.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra.local.emulator import ACCESS_KEY, REGION, Emulator
from infra.local.execution import new_directory
from infra.local.processes import ROOT
from infra.local.stand_in import API_KEY, StandIn

_SAM = Path(sys.executable).with_name("sam")
_QUEUE_SECONDS = 61
"""SQS blocks the names of deleted queues for a minute."""
_METRIC_SECONDS, _ALARM_SECONDS = 600.0, 1200.0
_POLICY = json.dumps({"default": {"reject": {"status_code": 486}}})


class StepError(Exception):
    """A step that saw something else than it should."""


class NotPlayedError(Exception):
    """A step that cannot run here. The text says why."""


@dataclass
class Account:
    """Account that the stacks are deployed into."""

    session: boto3.Session
    environment: dict[str, str]
    packages: Path
    parameters: dict[str, str]
    openai_key: str | None
    local: bool
    name: str = field(default_factory=lambda: f"acceptance-{uuid.uuid4().hex[:8]}")

    def client(self, service: str) -> Any:
        """Client of a service."""
        return self.session.client(service, endpoint_url=self.environment.get("AWS_ENDPOINT_URL"))

    def deploy(self, *arguments: str, **parameters: str) -> str:
        """Run `sam deploy` as `make deploy` does, and return what it says. Raises `StepError`."""
        given = {**self.parameters, **parameters}
        overrides = ["--parameter-overrides", *(f"{name}={value}" for name, value in given.items())] if given else []
        command = [_SAM, "deploy", "--template-file", self.packages / "template.yaml"]
        command += ["--config-file", ROOT / "samconfig.toml", "--stack-name", self.name, "--no-confirm-changeset"]
        done = subprocess.run(
            [*map(str, command), "--region", self.session.region_name, *overrides, *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StepError(done.stdout[-2000:])
        return done.stdout

    def stack(self) -> dict[str, Any] | None:
        """Description of the stack, or `None`."""
        try:
            (found,) = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        except ClientError:
            return None
        return None if found["StackStatus"] == "DELETE_COMPLETE" else found

    def outputs(self) -> dict[str, str]:
        """Outputs of the stack."""
        return {one["OutputKey"]: one["OutputValue"] for one in (self.stack() or {}).get("Outputs", [])}

    def delete(self) -> None:
        """Delete the stack, and the table, the bucket and the log groups that it leaves."""
        if self.stack() is None:
            return
        outputs = self.outputs()
        self.client("cloudformation").delete_stack(StackName=self.name)
        until("the stack is deleted", lambda: self.stack() is None, 900)
        with suppress(ClientError, KeyError):
            self.client("dynamodb").delete_table(TableName=outputs["TableName"])
        with suppress(ClientError, KeyError):
            self._empty(outputs["BucketName"])
            self.client("s3").delete_bucket(Bucket=outputs["BucketName"])

    def _empty(self, bucket: str) -> None:
        s3 = self.client("s3")
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                s3.delete_object(Bucket=bucket, Key=entry["Key"])


def change_set(account: Account) -> str:
    """Change set is created."""
    said = account.deploy("--no-execute-changeset")
    if "hangeset created" not in said:
        raise StepError(said[-500:])
    return "a change set was created, and not executed"


def created_again_and_again(account: Account) -> str:
    """Created and deleted under the same name, without a concurrent modification."""
    times = 1 if account.local else 4
    seconds = []
    for last in range(1, times + 1):
        begun = time.monotonic()
        account.deploy()
        seconds.append(f"{time.monotonic() - begun:.0f} s")
        if last < times:
            account.delete()
            time.sleep(_QUEUE_SECONDS)
    return f"created in {', '.join(seconds)}, deleted in between"


def unchanged(account: Account) -> str:
    """Deployed again with nothing to change."""
    if "No changes to deploy" not in account.deploy():
        raise StepError("the second deployment changed something")
    return "no changes to deploy"


def quota(account: Account) -> str:
    """Concurrency quota."""
    if account.local:
        raise NotPlayedError("ministack has no quotas")
    limit = account.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    return f"{limit} concurrent executions"


def cold_start(account: Account) -> str:
    """First answer after a cold start in less than a second."""
    url = account.outputs()["ProjectWebhookUrl"]
    request = urllib.request.Request(url, data=b"{}", headers={"content-type": "application/json"})
    begun = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            raise StepError(f"an unsigned delivery was answered {answer.status}")
    except urllib.error.HTTPError as error:
        took, reason = time.monotonic() - begun, json.load(error).get("reason")
    if reason != "missing_header":
        raise StepError(f"an unsigned delivery was refused as {reason}")
    if took > 1.0 and not account.local:
        raise StepError(f"{took * 1000:.0f} ms, TLS and the way included")
    return f"{took * 1000:.0f} ms, TLS and the way included"


def log_lines(account: Account) -> str:
    """Log lines are objects of their own, not texts in another object."""
    group = f"/aws/lambda/{account.name}-verifier"

    def lines() -> list[dict[str, Any]]:
        found = account.client("logs").filter_log_events(logGroupName=group)["events"]
        texts = (event["message"] for event in found)
        return [line for line in map(_object, texts) if line.get("outcome") == "missing_header"]

    (line, *_) = until("the refused delivery is in the log", lines, 120)
    missing = {"level", "timestamp", "message"} - line.keys()
    if missing or isinstance(line["message"], dict):
        raise StepError(f"the line lacks {sorted(missing)}")
    return f"{line['level']}: {line['message']}"


def metrics(account: Account) -> str:
    """Metrics appear, with a dot in a dimension's name."""
    if account.local:
        raise NotPlayedError("ministack extracts no metrics from logs")
    cloudwatch = account.client("cloudwatch")

    def names() -> set[str]:
        pages = cloudwatch.get_paginator("list_metrics").paginate(Namespace="OpenAIWebhooks", RecentlyActive="PT3H")
        return {metric["MetricName"] for page in pages for metric in page["Metrics"]}

    found = until("Deliveries is there", lambda: names() if "Deliveries" in names() else None, _METRIC_SECONDS)
    return ", ".join(sorted(found))


def settings_back_and_forth(account: Account) -> str:
    """Settings of the batch consumer, changed and changed back."""
    functions = account.client("lambda")

    def concurrency() -> int | None:
        (mapping,) = functions.list_event_source_mappings(FunctionName=f"{account.name}-batch")["EventSourceMappings"]
        return mapping.get("ScalingConfig", {}).get("MaximumConcurrency")

    account.deploy(BatchMaximumConcurrency="3", BatchTimeout="120")
    if concurrency() != 3:
        raise StepError(f"the maximum concurrency is {concurrency()} and not 3")
    account.deploy(BatchMaximumConcurrency="0", BatchTimeout="900")
    if concurrency() is not None:
        raise StepError(f"the maximum concurrency is {concurrency()} and not the account's")
    return "3 and 120 s, then none and 900 s"


def tags_and_policy(account: Account) -> str:
    """Policy for calls outlives a change of the stack's tags."""
    ssm, name = account.client("ssm"), f"/{account.name}/call-policy"
    ssm.put_parameter(Name=name, Value=_POLICY, Type="String", Overwrite=True)
    account.deploy("--tags", "acceptance=changed")
    value = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    if value != _POLICY:
        raise StepError(f"the policy is {value}")
    return "the policy is as it was"


def registration(account: Account) -> str:
    """Endpoint at OpenAI is registered by the deployment, and its secret rotated in four steps."""
    if account.local:
        raise NotPlayedError("tests/test_register.py and tests/test_rotate.py do it; ministack calls no rotation")
    if account.openai_key is None:
        raise NotPlayedError("OPENAI_API_KEY is not set")
    secrets, outputs = account.client("secretsmanager"), account.outputs()
    secrets.put_secret_value(SecretId=outputs["OpenAIApiKeySecretArn"], SecretString=account.openai_key)
    account.deploy(RegisterEndpoint="true")
    arn = outputs["ProjectSigningSecretArn"]
    before = secrets.get_secret_value(SecretId=arn)["VersionId"]
    secrets.rotate_secret(SecretId=arn)
    until("the secret is rotated", lambda: secrets.get_secret_value(SecretId=arn)["VersionId"] != before, 300)
    account.deploy(RegisterEndpoint="false")
    return "registered, rotated, and deleted at OpenAI"


def alarm(account: Account) -> str:
    """Time from a dead letter until its alarm."""
    if account.local:
        raise NotPlayedError("ministack's alarms do not follow its queues")
    url = account.outputs()["ArchiveDeadLetterQueueUrl"]
    account.client("sqs").send_message(QueueUrl=url, MessageBody="{}")
    begun, cloudwatch = time.monotonic(), account.client("cloudwatch")

    def alarms() -> list[str]:
        found = cloudwatch.describe_alarms(AlarmNamePrefix=account.name, StateValue="ALARM")["MetricAlarms"]
        return [one["AlarmName"] for one in found]

    (name, *_) = until("an alarm goes off", alarms, _ALARM_SECONDS)
    return f"{name} after {(time.monotonic() - begun) / 60:.1f} minutes"


def wrong_key(account: Account) -> str:
    """First deployment that fails by a wrong key; then deleted, and deployed again."""
    account.delete()
    secrets = account.client("secretsmanager")
    secret = secrets.create_secret(Name=f"{account.name}-wrong-key", SecretString="sk-wrong")["ARN"]
    try:
        account.deploy(RegisterEndpoint="true", RotateSecretDays="0", OpenAIApiKeySecretArn=secret)
    except StepError:
        status = (account.stack() or {}).get("StackStatus")
    else:
        raise StepError("the deployment did not fail")
    finally:
        secrets.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
    if status != "ROLLBACK_COMPLETE":
        raise StepError(f"the stack is {status} and not ROLLBACK_COMPLETE")
    account.delete()
    if not account.local:
        time.sleep(_QUEUE_SECONDS)
    account.deploy()
    return "ROLLBACK_COMPLETE, deleted, and CREATE_COMPLETE"


def architectures(_: Account) -> str:
    """Other processor, and back."""
    raise NotPlayedError("make deploy ARCH=x86_64, then make deploy: each needs a build")


def domain(_: Account) -> str:
    """Deleted with a domain mapped."""
    raise NotPlayedError("it needs a domain: docs/deploy.md has the steps")


STEPS: list[Callable[[Account], str]] = [
    change_set,
    created_again_and_again,
    unchanged,
    quota,
    cold_start,
    log_lines,
    metrics,
    settings_back_and_forth,
    tags_and_policy,
    registration,
    alarm,
    wrong_key,
    architectures,
    domain,
]


def run(account: Account) -> int:
    """Run all steps, print a line for each, remove everything, and return the exit code."""
    failures = 0
    try:
        for step in STEPS:
            title = (step.__doc__ or "").strip().rstrip(".")
            try:
                print(f"ok      {title}: {step(account)}", flush=True)
            except NotPlayedError as reason:
                print(f"-       {title}: not run, {reason}", flush=True)
            except (StepError, ClientError, TimeoutError) as error:
                failures += 1
                print(f"FAILED  {title}: {error}", flush=True)
    finally:
        account.delete()
        print(
            f"ok      Everything of {account.name} is removed" if account.stack() is None else "FAILED  The stack stays"
        )
    return 1 if failures else 0


def until(what: str, probe: Callable[[], Any], seconds: float) -> Any:
    """Call `probe` until its answer counts as true, and return that. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(1)
    return found


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


@contextmanager
def _local(packages: Path) -> Iterator[Account]:
    with ExitStack() as running, tempfile.TemporaryDirectory() as home:
        directory = new_directory("acceptance-")
        running.callback(shutil.rmtree, directory, ignore_errors=True)
        emulator = running.enter_context(Emulator(directory))
        openai = running.enter_context(StandIn(directory))
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": home,
            "LC_ALL": "C.UTF-8",
            "SAM_CLI_TELEMETRY": "0",
            "AWS_ENDPOINT_URL": emulator.endpoint_url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        }
        session = boto3.Session(ACCESS_KEY, ACCESS_KEY, region_name=REGION)
        yield Account(session, environment, packages, {"OpenAIBaseUrl": openai.base_url}, API_KEY, local=True)


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.acceptance")
    parser.add_argument("--local", action="store_true", help="on this machine: ministack and the OpenAI stand-in")
    parser.add_argument("--packages", type=Path, default=ROOT / "target" / "lambda", help="built functions")
    parser.add_argument("--region", default="us-east-1")
    options = parser.parse_args(arguments)
    if options.local:
        with _local(options.packages) as account:
            return run(account)
    session = boto3.Session(region_name=options.region)
    identity = session.client("sts").get_caller_identity()
    print(f"In the account {identity['Account']}, region {options.region}, as {identity['Arn']}.")
    environment = dict(os.environ)
    key = environment.pop("OPENAI_API_KEY", None)
    return run(Account(session, environment, options.packages, {}, key, local=False))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
