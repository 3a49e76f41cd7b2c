"""Steps: what is confirmed, in this order, each with a sentence of what was seen."""

import base64
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infra.acceptance.account import QUEUE_SECONDS, Account, StepError, until

_LOG_SECONDS, _METRIC_SECONDS, _ROTATION_SECONDS = 120.0, 600.0, 300.0
_ALARM_SECONDS = 2400.0
"""Dead letters are counted every 15 minutes, and CloudWatch looks at the number once it is there."""
_COLD_MILLISECONDS = 1000
_POLICY = json.dumps({"default": {"reject": {"status_code": 486}}})
_EVENT = "video.completed"
"""Type whose events the archive handles, without a call to OpenAI."""


@dataclass(frozen=True)
class Step:
    """Something that is confirmed."""

    title: str
    play: Callable[[Account], str]
    """Does it, and returns what it saw. Raises `StepError`."""
    not_local: str | None = None
    """Why the local stack cannot show it."""
    needs: str | None = None
    """Option of the run without which it is left out: `openai_key` or `domain`."""
    needs_stack: bool = True

    def left_out(self, account: Account) -> str | None:
        """Why it is not played in this run."""
        if account.is_local and self.not_local is not None:
            return f"not on the local stack: {self.not_local}"
        if self.needs is not None and getattr(account, self.needs) is None:
            return f"not asked for: {_ASK[self.needs]}"
        if self.needs_stack and account.status() not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            return f"no stack to look at: it is {account.status()}"
        return None


_ASK = {"openai_key": "set OPENAI_API_KEY", "domain": "give DOMAIN and ZONE"}


def change_set(account: Account) -> str:
    """Create a change set alone."""
    said = account.deploy("--no-execute-changeset")
    if "hangeset created" not in said:
        raise StepError(said[-500:])
    if (status := account.delete()) != "missing":
        raise StepError(f"the stack is {status}")
    return "created, and not executed"


def wrong_key(account: Account) -> str:
    """Fail the first deployment by a wrong key, and delete what is left."""
    secretsmanager = account.client("secretsmanager")
    secret = secretsmanager.create_secret(Name=f"{account.name}-wrong-key", SecretString="sk-wrong")["ARN"]
    try:
        account.deploy(RegisterEndpoint="true", RotateSecretDays="0", OpenAIApiKeySecretArn=secret)
    except StepError:
        status = account.status()
    else:
        raise StepError("the deployment did not fail")
    finally:
        secretsmanager.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
    if status != "ROLLBACK_COMPLETE":
        raise StepError(f"the stack is {status}, and not ROLLBACK_COMPLETE")
    _delete(account)
    return "ROLLBACK_COMPLETE, then deleted"


def created(account: Account) -> str:
    """Create the stack, under the name of one that was deleted."""
    begun = time.monotonic()
    account.deploy()
    return f"{account.status()} in {time.monotonic() - begun:.0f} s"


def created_again(account: Account) -> str:
    """Delete and create the stack three times more."""
    seconds = []
    for _ in range(3):
        _delete(account)
        begun = time.monotonic()
        account.deploy()
        seconds.append(f"{time.monotonic() - begun:.0f} s")
    return f"created in {', '.join(seconds)}, without a concurrent modification"


def unchanged(account: Account) -> str:
    """Deploy again with nothing to change."""
    if "No changes to deploy" not in account.deploy():
        raise StepError("the second deployment changed something")
    return "no changes to deploy"


def quota(account: Account) -> str:
    """Read the account's quota."""
    limit = account.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    return f"{limit} concurrent executions"


def first_answer(account: Account) -> str:
    """Make the first delivery, which finds no instance of the verifier."""
    # Before it, since the verifier looks for a missing secret every 30 seconds only.
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    secret_id = account.outputs()["ProjectSigningSecretArn"]
    account.client("secretsmanager").put_secret_value(SecretId=secret_id, SecretString=secret)
    (delivery,) = account.ask("send", _EVENT)
    if delivery["status"] != 200:
        raise StepError(f"the delivery was answered {delivery['status']}: {delivery['answer']}")
    took = delivery["milliseconds"]
    if took > _COLD_MILLISECONDS and not account.is_local:
        raise StepError(f"{took} ms, TLS and the way included, is more than {_COLD_MILLISECONDS}")
    return f"{took} ms, TLS and the way included"


def log_lines(account: Account) -> str:
    """Find the delivery's line in both logs: an object of its own, not a text in another one."""
    seen = []
    for function, outcome in (("verifier", "accepted"), ("archive", "completed")):

        def lines(function: str = function, outcome: str = outcome) -> list[dict[str, Any]]:
            group = f"/aws/lambda/{account.name}-{function}"
            found = account.client("logs").filter_log_events(logGroupName=group)["events"]
            objects = (_object(event["message"]) for event in found)
            return [line for line in objects if line.get("outcome") == outcome]

        (line, *_) = until(f"the log of {function} has {outcome}", lines, _LOG_SECONDS)
        missing = {"level", "timestamp", "message"} - line.keys()
        if missing or isinstance(line["message"], dict):
            raise StepError(f"a line of {function} lacks {', '.join(sorted(missing)) or 'a text'}")
        seen.append(f"{function}: {line['level']} {line['message']}")
    return "; ".join(seen)


def metrics(account: Account) -> str:
    """Find the delivery's metrics in CloudWatch, with the stack in their dimensions."""
    cloudwatch = account.client("cloudwatch")

    def names() -> set[str]:
        own = [{"Name": "stack", "Value": account.name}]
        pages = cloudwatch.get_paginator("list_metrics").paginate(Namespace="OpenAIWebhooks", Dimensions=own)
        return {metric["MetricName"] for page in pages for metric in page["Metrics"]}

    found = until(
        "Deliveries and Handled are there",
        lambda: names() if {"Deliveries", "Handled"} <= names() else None,
        _METRIC_SECONDS,
    )
    return ", ".join(sorted(found))


def settings(account: Account) -> str:
    """Change settings of the batch consumer."""
    account.deploy(BatchMaximumConcurrency="3", BatchTimeout="120")
    return _has_settings(account, (3, 120))


def settings_back(account: Account) -> str:
    """Change the settings back."""
    account.deploy(BatchMaximumConcurrency="0", BatchTimeout="900")
    return _has_settings(account, (None, 900))


def policy_outlives_tags(account: Account) -> str:
    """Change the tags of the stack, and find the policy for calls as it was stored."""
    ssm, name = account.client("ssm"), f"/{account.name}/call-policy"
    ssm.put_parameter(Name=name, Value=_POLICY, Type="String", Overwrite=True)
    account.deploy("--tags", "acceptance=changed")
    value = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    if value != _POLICY:
        raise StepError(f"the policy is {value}")
    return "the policy is as it was stored"


def registration(account: Account) -> str:
    """Have the stack register its endpoint at OpenAI, rotate its secret, and delete the endpoint."""
    secretsmanager, outputs = account.client("secretsmanager"), account.outputs()
    secretsmanager.put_secret_value(SecretId=outputs["OpenAIApiKeySecretArn"], SecretString=account.openai_key)
    account.deploy(RegisterEndpoint="true")
    arn = outputs["ProjectSigningSecretArn"]

    def version() -> str:
        return secretsmanager.get_secret_value(SecretId=arn)["VersionId"]

    before = version()
    secretsmanager.rotate_secret(SecretId=arn)
    until("the secret is rotated", lambda: version() != before, _ROTATION_SECONDS)
    account.deploy(RegisterEndpoint="false")
    return "registered, rotated in four steps, and deleted at OpenAI"


def alarm(account: Account) -> str:
    """Wait for the alarm of a dead letter."""
    url = account.outputs()["ArchiveDeadLetterQueueUrl"]
    account.client("sqs").send_message(QueueUrl=url, MessageBody="{}")
    begun, cloudwatch = time.monotonic(), account.client("cloudwatch")
    name = f"{account.name}-dead-letters"

    def rings() -> bool:
        (found,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return found["StateValue"] == "ALARM"

    until(f"{name} rings", rings, _ALARM_SECONDS)
    return f"{name} rang after {(time.monotonic() - begun) / 60:.1f} minutes"


def architectures(account: Account) -> str:
    """Deploy the functions for the other processor, and go back."""
    own = account.release.architecture
    for architecture in (*(other for other in account.release.folders if other != own), own):
        account.deploy(architecture=architecture)
        found = account.client("lambda").get_function_configuration(FunctionName=f"{account.name}-verifier")
        if found["Architectures"] != [architecture]:
            raise StepError(f"the verifier is for {found['Architectures']}, and not for {architecture}")
        (delivery,) = account.ask("send", _EVENT)
        if delivery["status"] != 200:
            raise StepError(f"on {architecture} a delivery was answered {delivery['status']}")
    return f"{' and '.join(account.release.folders)}, each with a delivery answered 200"


def domain(account: Account) -> str:
    """Put a domain before the stack, and see that it keeps the stack from being deleted."""
    if account.domain is None:
        raise StepError("no domain was given")
    name, (host, zone) = f"{account.name}-domain", account.domain
    given = {"ApiId": account.outputs()["ApiId"], "DomainName": host, "HostedZoneId": zone}
    cloudformation = account.client("cloudformation")
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=(account.release.folders[account.release.architecture] / "infra/custom-domain.yaml").read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
    status = account.delete()
    account.delete(name)
    if status != "DELETE_FAILED":
        raise StepError(f"with its domain mapped the stack is {status}, and not DELETE_FAILED")
    return "DELETE_FAILED while the domain is mapped; the domain is deleted"


def _delete(account: Account) -> None:
    if (status := account.delete()) != "missing":
        raise StepError(f"the stack is {status}")
    if not account.is_local:
        time.sleep(QUEUE_SECONDS)


def _has_settings(account: Account, expected: tuple[int | None, int]) -> str:
    functions, name = account.client("lambda"), f"{account.name}-batch"
    (mapping,) = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    concurrency = mapping.get("ScalingConfig", {}).get("MaximumConcurrency")
    found = (
        None if concurrency is None else int(concurrency),
        functions.get_function_configuration(FunctionName=name)["Timeout"],
    )
    if found != expected:
        raise StepError(f"maximum concurrency and timeout are {found}, and not {expected}")
    return f"maximum concurrency {found[0] or 'of the account'}, timeout {found[1]} s"


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


STEPS = [
    Step("Change set", change_set, needs_stack=False),
    Step("First deployment with a wrong key", wrong_key, needs_stack=False),
    Step("Creation", created, needs_stack=False),
    Step(
        "Creation again and again",
        created_again,
        not_local="ministack creates one resource after the other, so that no modification is concurrent",
    ),
    Step("Deployment with nothing to change", unchanged),
    Step("Concurrency quota", quota, not_local="ministack has no quotas"),
    Step("First answer after a cold start", first_answer),
    Step("Log lines", log_lines),
    Step("Metrics", metrics, not_local="ministack reads no metrics out of logs"),
    Step("Settings of the batch consumer", settings),
    Step(
        "Settings changed back",
        settings_back,
        not_local="ministack keeps a maximum concurrency that the template has no longer",
    ),
    Step(
        "Policy for calls after a change of tags",
        policy_outlives_tags,
        not_local="ministack writes a parameter anew when its tags change; whether AWS does is the question",
    ),
    Step(
        "Registration and rotation",
        registration,
        not_local="ministack starts no rotation; tests/test_register.py and tests/test_rotate.py play the functions",
        needs="openai_key",
    ),
    Step("Alarm of a dead letter", alarm, not_local="ministack's alarms do not follow what functions log"),
    Step("Other processor, and back", architectures, not_local="the functions are built for this machine's alone"),
    Step("Deletion with a domain", domain, not_local="ministack has no domains", needs="domain"),
]
"""Steps in their order. The last one leaves a stack that is half deleted."""
