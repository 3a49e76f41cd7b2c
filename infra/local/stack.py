"""Deployed stack: its resources and their contents."""

import base64
import json
import os
import platform
import secrets
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from infra.local.deploy import BINARIES, deploy, template
from infra.local.emulator import ACCESS_KEY, REGION, Emulator
from infra.local.stand_in import API_KEY, StandIn

Secret = Literal["project", "organization", "api-key"]
Item = dict[str, Any]

CATEGORIES: tuple[str, ...] = tuple(
    json.loads(
        template()["Resources"]["VerifierFunction"]["Properties"]["Environment"]["Variables"]["QUEUE_URLS"]["Fn::Sub"]
    )
)
"""Categories, in the order of the verifier's queues in the template."""

PREFIXES: Mapping[str, str] = {name.replace("-", "_"): name for name in CATEGORIES if name != "archive"} | {
    "fine_tune": "fine-tuning",
    "live": "realtime",
    "safety_identifier": "safety",
}
"""First parts of event types, each with its category. All others belong to the archive."""

_SECRET_OUTPUTS: Mapping[Secret, str] = {
    "project": "ProjectSigningSecretArn",
    "organization": "OrganizationSigningSecretArn",
    "api-key": "OpenAIApiKeySecretArn",
}


class FunctionError(Exception):
    """An invoked function failed."""


@dataclass(frozen=True)
class Message:
    """Message in a queue."""

    body: str
    attributes: dict[str, str]
    """Message attributes, all of them text: `webhook-id`, `failure-reason` and so on."""
    receives: int
    visible: bool

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Stack:
    """Stack on the emulator. Methods that read change nothing."""

    emulator: Emulator
    name: str
    outputs: dict[str, str]
    signing_secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """Signing secrets that `fill_secrets` made, by endpoint."""

    def url(self, endpoint: str = "project") -> str:
        """Webhook URL of `endpoint` on this machine."""
        return f"{self.base_url()}/webhooks/{endpoint}"

    def base_url(self) -> str:
        """URL of the HTTP API on this machine."""
        return f"{self.emulator.endpoint_url}/_aws/execute-api/{self.outputs['ApiId']}"

    # Secrets ---------------------------------------------------------------------------------------------------------

    def secret_id(self, which: Secret) -> str:
        """ARN of a secret."""
        return self.outputs[_SECRET_OUTPUTS[which]]

    def set_secret(self, which: Secret, value: str) -> None:
        """Set a secret; its old value becomes `AWSPREVIOUS`."""
        self.emulator.client("secretsmanager").put_secret_value(SecretId=self.secret_id(which), SecretString=value)

    def fill_secrets(self) -> None:
        """Set all three: a signing secret per endpoint as OpenAI makes them, and the stand-in's API key."""
        for endpoint in ("project", "organization"):
            self.signing_secrets[endpoint] = new_signing_secret()
            self.set_secret(endpoint, self.signing_secrets[endpoint])
        self.set_secret("api-key", API_KEY)

    def subscribe(self, openai: StandIn) -> None:
        """Register both endpoints with the stand-in, with the secrets that `fill_secrets` made."""
        for endpoint, secret in self.signing_secrets.items():
            openai.register(self.url(endpoint), secret, endpoint)

    def set_call_policy(self, policy: str) -> None:
        """Store a policy for calls in the SSM parameter that the stack reads by default."""
        ssm, name = self.emulator.client("ssm"), f"/{self.name}/call-policy"
        ssm.put_parameter(Name=name, Value=policy, Type="String", Overwrite=True)

    # Queues ----------------------------------------------------------------------------------------------------------

    def queue_url(self, category: str) -> str:
        """URL of a category's queue, such as of `fine-tuning`."""
        return self.outputs[f"{logical(category)}QueueUrl"]

    def dead_letter_queue_url(self, category: str) -> str:
        """URL of a category's dead-letter queue."""
        return self.outputs[f"{logical(category)}DeadLetterQueueUrl"]

    def messages(self, category: str) -> list[Message]:
        """Messages in a category's queue, those in flight included."""
        return messages_in(self.emulator, self.queue_url(category))

    def dead_letters(self, category: str) -> list[Message]:
        """Messages in a category's dead-letter queue."""
        return messages_in(self.emulator, self.dead_letter_queue_url(category))

    def send(self, category: str, body: str, attributes: Mapping[str, str]) -> None:
        """Send a message to a category's queue, without the verifier."""
        self.emulator.client("sqs").send_message(
            QueueUrl=self.queue_url(category),
            MessageBody=body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )

    # The ledger ------------------------------------------------------------------------------------------------------

    def event(self, webhook_id: str, endpoint: str = "project") -> Item | None:
        """Record of a delivery with its history, or `None`."""
        return _event(self._item(f"event#{endpoint}#{webhook_id}", "event"))

    def job(self, category: str, object_id: str) -> Item | None:
        """Record of an object, such as a batch, or `None`."""
        return self._item(f"job#{category}#{object_id}", "job")

    def record(self, key: str) -> Item | None:
        """Record of an idempotency key, such as `batch.completed/batch_1`, or `None`."""
        return self._item(f"idempotency#{key}", "record")

    def expect(
        self, category: str, object_id: str, *, due_in: float | None = None, age: float = 0, **attributes: str
    ) -> None:
        """Record an expectation, as the program does that created the object. docs/expectations.md has the item.

        With `due_in` (seconds) it has a deadline, and was recorded `age` seconds ago.
        """
        values = {name: {"S": value} for name, value in attributes.items()}
        if due_in is not None:
            now = int(time.time())
            values |= {"category": {"S": category}, "object_id": {"S": object_id}, "waiting": {"S": category}}
            numbers = {"due_at": now + due_in, "created_at": now - age, "expires_at": now + due_in + 30 * 24 * 3600}
            values |= {name: {"N": str(value)} for name, value in numbers.items()}
        self.emulator.client("dynamodb").update_item(
            TableName=self.outputs["TableName"],
            Key={"pk": {"S": f"job#{category}#{object_id}"}, "sk": {"S": "job"}},
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
            ExpressionAttributeNames={f"#{name}": name for name in values},
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
        )

    def ledger(self, kind: Literal["event", "record", "job", "alerts"] | None = None) -> list[Item]:
        """All items, or those of a kind."""
        pages = self.emulator.client("dynamodb").get_paginator("scan").paginate(TableName=self.outputs["TableName"])
        items = [_plain(item) for page in pages for item in page["Items"]]
        found = [item for item in items if kind in (None, item["sk"])]
        return [_event(item) or item for item in found] if kind == "event" else found

    # The bucket ------------------------------------------------------------------------------------------------------

    def artifact(self, key: str) -> bytes | None:
        """Content of an object in the bucket, or `None`."""
        s3 = self.emulator.client("s3")
        try:
            return s3.get_object(Bucket=self.outputs["BucketName"], Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return None

    def artifacts(self, prefix: str = "") -> dict[str, int]:
        """Keys in the bucket with their sizes in bytes."""
        pages = self.emulator.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.outputs["BucketName"], Prefix=prefix)
        return {entry["Key"]: entry["Size"] for page in found for entry in page.get("Contents", [])}

    def unfinished_uploads(self) -> list[str]:
        """Keys of multipart uploads that were neither completed nor aborted."""
        found = self.emulator.client("s3").list_multipart_uploads(Bucket=self.outputs["BucketName"])
        return [upload["Key"] for upload in found.get("Uploads", [])]

    # The functions ---------------------------------------------------------------------------------------------------

    def invoke(self, function: str, payload: Any) -> Any:
        """Invoke a function and return its result. Raises `FunctionError` with its error message."""
        name = f"{self.name}-{function}"
        answer = self.emulator.client("lambda").invoke(FunctionName=name, Payload=json.dumps(payload).encode())
        result = json.load(answer["Payload"])
        if "FunctionError" in answer:
            raise FunctionError(result["errorMessage"])
        return result

    def logs(self, function: str) -> list[str]:
        """Log lines of a function, oldest first. A line appears when its invocation has ended."""
        pages = self.emulator.client("logs").get_paginator("filter_log_events")
        try:
            found = pages.paginate(logGroupName=f"/aws/lambda/{self.name}-{function}")
            return [event["message"] for page in found for event in page["events"]]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return []
            raise

    def set_timeouts(self, function: str, *, seconds: int, visibility: int) -> None:
        """Set a consumer's timeout and its queue's visibility timeout, in seconds.

        The template's are too long for a test of what happens after them.
        """
        sqs, functions = self.emulator.client("sqs"), self.emulator.client("lambda")
        functions.update_function_configuration(FunctionName=f"{self.name}-{function}", Timeout=seconds)
        sqs.set_queue_attributes(QueueUrl=self.queue_url(function), Attributes={"VisibilityTimeout": str(visibility)})

    def set_environment(self, function: str, **variables: str) -> None:
        """Change environment variables of a function, which restarts its processes."""
        functions, name = self.emulator.client("lambda"), f"{self.name}-{function}"
        current = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": {**current, **variables}})

    def processes(self, function: str, endpoint_url: str | None = None) -> list[int]:
        """Ids of the function's running processes, on Linux. Those behind a proxy are found by its URL."""
        wanted = f"AWS_LAMBDA_FUNCTION_NAME={self.name}-{function}".encode()
        endpoint = f"AWS_ENDPOINT_URL={endpoint_url or self.emulator.endpoint_url}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            # A process may end meanwhile.
            with suppress(OSError):
                environment = (entry / "environ").read_bytes().split(b"\0")
                if wanted in environment and endpoint in environment:
                    found.append(int(entry.name))
        return found

    def kill(self, function: str, endpoint_url: str | None = None) -> int:
        """Kill the function's running processes, as a crash would, and return their number."""
        killed = 0
        for process in self.processes(function, endpoint_url):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
                killed += 1
        return killed

    # The whole -------------------------------------------------------------------------------------------------------

    def command_environment(self) -> dict[str, str]:
        """Environment in which the command line works on this stack, and with nothing of this process's own."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "AWS_EC2_METADATA_DISABLED": "true",
            "OPENAI_WEBHOOKS_STACK": self.name,
            "AWS_ENDPOINT_URL": self.emulator.endpoint_url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        }

    def delete(self) -> None:
        """Delete the stack."""
        self.emulator.client("cloudformation").delete_stack(StackName=self.name)

    def _item(self, pk: str, sk: str) -> Item | None:
        found = self.emulator.client("dynamodb").get_item(
            TableName=self.outputs["TableName"], Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True
        )
        return _plain(found["Item"]) if "Item" in found else None


def create(
    emulator: Emulator,
    name: str,
    openai_base_url: str,
    parameters: Mapping[str, str] | None = None,
    *,
    template: dict[str, Any] | None = None,
    binaries: Path = BINARIES,
) -> Stack:
    """Deploy a stack for this machine's processor that calls `openai_base_url`. Its secrets are unset."""
    architecture = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    given = {"Architecture": architecture, "OpenAIBaseUrl": openai_base_url, **(parameters or {})}
    return Stack(emulator, name, deploy(emulator, name, given, template=template, binaries=binaries))


def unhandled(*categories: str) -> dict[str, str]:
    """Parameters that disable these categories, by default all: their events wait in the queues."""
    return {f"{logical(category)}Enabled": "false" for category in categories or CATEGORIES}


def category_of(event_type: str) -> str:
    """Category of an event type, known or not."""
    prefix, dot, _ = event_type.partition(".")
    return PREFIXES.get(prefix, "archive") if dot else "archive"


def logical(category: str) -> str:
    """Prefix of a category's logical ids in the template, such as `FineTuning`."""
    return "".join(word.capitalize() for word in category.split("-"))


def new_signing_secret() -> str:
    """New signing secret in OpenAI's form."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def messages_in(emulator: Emulator, queue_url: str) -> list[Message]:
    """Messages in a queue, without receiving them."""
    return [
        Message(
            body=message["Body"],
            attributes={
                name: value.get("StringValue", "") for name, value in (message["MessageAttributes"] or {}).items()
            },
            receives=message["ReceiveCount"],
            visible=message["IsVisible"],
        )
        for message in emulator.messages(queue_url)
    ]


def _event(item: Item | None) -> Item | None:
    """Group what an event's item says: `outcome`, `error`, the number of `attempts`, and the `history` of them."""
    if item is None:
        return None
    found = {name: item[name] for name in ("artifacts", "summary", "note") if name in item}
    event = {name: value for name, value in item.items() if name not in {*found, "result", "reason", "message"}}
    event["history"] = item["attempts"]
    event["attempts"] = sum(attempt["result"] not in ("duplicate", "kept") for attempt in item["attempts"])
    if "result" in item:
        event["outcome"] = {"status": item["result"], **found}
    if "reason" in item:
        event["error"] = {"reason": item["reason"], "message": item["message"]}
    return event


def _plain(item: Mapping[str, Any]) -> Item:
    read = TypeDeserializer().deserialize
    return {name: _number(read(value)) for name, value in item.items()}


def _number(value: Any) -> Any:
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {name: _number(inner) for name, inner in value.items()}
        case list():
            return [_number(inner) for inner in value]
        case _:
            return value
