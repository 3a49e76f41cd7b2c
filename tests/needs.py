"""What makes each function use each of its permissions, on stacks that have everything switched on."""

import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from itertools import islice
from pathlib import Path

from bench.python.plays import CALL_POLICY, PLAYS
from infra.local.console import play as fill
from infra.local.emulator import Emulator
from infra.local.stack import CATEGORIES, FunctionError, Stack, create, new_signing_secret
from infra.local.stand_in import Json, StandIn
from infra.local.watch import Watch
from tests.batches import new_batch
from tests.console_needs import ConsoleUser
from tests.deliveries import event, send, signed
from tests.registering import CloudFormation, properties
from tests.rotations import Rotated, StepError
from tests.test_reconcile import lost_batch, promoted
from tests.test_supervisor import Tools
from tests.test_workload_identity import IDENTITY, set_up

_EVENT_TYPE = "batch.expired"
"""What the endpoints subscribe to that the stacks register: nothing that is played."""

_LINE = '{"id": "batch_req_1", "custom_id": "r", "response": {"status_code": 200, "body": {}}, "error": null}'


class Stacks:
    """Two stacks with what one alone cannot have, deployed when they are first needed."""

    def __init__(self, emulator: Emulator, openai: StandIn, openai_of_console: StandIn, directory: Path) -> None:
        """Deploy nothing yet."""
        self.emulator, self.openai, self._openai_of_console = emulator, openai, openai_of_console
        self.cloudformation = CloudFormation()
        self.tools = Tools(emulator, directory)
        self.table = f"directory-{uuid.uuid4().hex[:8]}"
        self.made: list[Stack] = []
        self.seen: list[str] = []
        """Answers of the console that tell a refusal."""
        self._users: dict[str, ConsoleUser] = {}
        self.undo: Callable[[], None] = lambda: None
        """Undoes what a play has changed for good."""

    @cached_property
    def usual(self) -> Stack:
        """With an API key, secrets of its own, and the call policy in SSM."""
        secret, additional = new_signing_secret(), self.emulator.client("secretsmanager")
        arn = additional.create_secret(Name=f"more-{uuid.uuid4().hex}", SecretString=secret)["ARN"]
        made = self.emulator.client("dynamodb").create_table(
            TableName=self.table,
            KeySchema=[{"AttributeName": "number", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "number", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        parameters = {
            "AdditionalEndpoints": json.dumps({"more": arn}),
            "AdditionalSecretArns": arn,
            "SignCallTools": "true",
            "CallToolFunctionArns": self.tools.make("orders"),
            "CallLookUpTableArn": made["TableDescription"]["TableArn"],
        }
        # The key is there before the endpoint is registered.
        first = self._deploy(parameters)
        first.fill_secrets()
        stack = self._deploy({**parameters, **_REGISTER}, first.name)
        stack.signing_secrets["more"] = secret
        return stack

    @cached_property
    def keyless(self) -> Stack:
        """With workload identity, and the call policy in S3."""
        s3, bucket = self.emulator.client("s3"), f"policies-{uuid.uuid4().hex[:8]}"
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="calls.json", Body=CALL_POLICY.encode())
        set_up(self.openai)
        stack = self._deploy({**IDENTITY, **_REGISTER, "CallPolicyS3Uri": f"s3://{bucket}/calls.json"})
        stack.set_secret("organization", new_signing_secret())
        return stack

    @cached_property
    def filled(self) -> Stack:
        """With something of everything that the console shows, and an OpenAI that delivers to nobody else."""
        openai = self._openai_of_console
        stack = create(self.emulator, f"t-needs-{uuid.uuid4().hex[:8]}", openai.base_url, {})
        self.made.append(stack)
        stack.fill_secrets()
        stack.subscribe(openai)
        Watch(stack)
        self._users[stack.name] = ConsoleUser.of(stack, openai, fill(stack, openai))
        return stack

    def user(self, stack: Stack) -> ConsoleUser:
        """Somebody who has signed in to the console of a stack."""
        if stack.name not in self._users:
            self._users[stack.name] = ConsoleUser.of(stack, self.openai, {})
        return self._users[stack.name]

    def _deploy(self, parameters: dict[str, str], name: str | None = None) -> Stack:
        name = name or f"t-needs-{uuid.uuid4().hex[:8]}"
        stack = create(self.emulator, name, self.openai.base_url, parameters)
        self.made.append(stack)
        if "RegisterEndpoint" in parameters:
            secrets, arn = self.emulator.client("secretsmanager"), f"arn:aws:lambda:::function:{name}-rotate"
            secrets.rotate_secret(SecretId=stack.secret_id("project"), RotationLambdaARN=arn)
        return stack

    def play(self, stack: Stack, function: str, sid: str, action: str) -> None:
        """Have a new process of a function do what it needs this action for."""
        secrets = stack.emulator.client("secretsmanager")
        for endpoint in ("project", "organization"):
            found = secrets.get_secret_value(SecretId=stack.secret_id(endpoint))  # type: ignore[arg-type]
            stack.signing_secrets[endpoint] = found["SecretString"]
        openai = self._openai_of_console if function == "console" else self.openai
        openai.command("DELETE", "webhooks")
        stack.subscribe(openai)
        stack.kill(function)
        if action == "sns:Publish":
            # An alert like one that was told of just now would wait.
            _forget(stack, "alerts#")
        with suppress(FunctionError, StepError):
            _PLAYS.get(function, _consumer)(self, stack, function, sid, action)

    def clean_up(self, stack: Stack, function: str) -> None:
        """Undo what was played, and take away what the function would try again."""
        self.undo()
        self.undo = lambda: None
        self.openai.clear_faults()
        stack.kill(function)
        queues = {"supervisor": [stack.outputs["SupervisorQueueUrl"]]}
        queues["realtime"] = [*queues["supervisor"], stack.queue_url("realtime")]
        for url in queues.get(function, [stack.queue_url(function)] if function in CATEGORIES else []):
            stack.emulator.client("sqs").purge_queue(QueueUrl=url)


_REGISTER = {"RegisterEndpoint": "true", "EndpointEventTypes": _EVENT_TYPE, "RotateSecretDays": "0"}
"""The emulator knows no schedules of rotations."""


def _forget(stack: Stack, prefix: str) -> None:
    dynamodb, table = stack.emulator.client("dynamodb"), stack.outputs["TableName"]
    for item in stack.ledger():
        if item["pk"].startswith(prefix):
            dynamodb.delete_item(TableName=table, Key={"pk": {"S": item["pk"]}, "sk": {"S": item["sk"]}})


# The functions --------------------------------------------------------------------------------------------------------


def _verifier(stacks: Stacks, stack: Stack, _function: str, sid: str, _action: str) -> None:
    endpoint, body = "more" if sid == "ReadAdditionalSecrets" else "project", event("file.processed", "file-1")
    send(stack.url(endpoint), body, signed(stack.signing_secrets[endpoint], body))


def _consumer(stacks: Stacks, stack: Stack, category: str, sid: str, action: str) -> None:
    match sid, action:
        # What cannot be read is given up at once, and people are told.
        case ("SendDeadLetters" | "PublishAlerts", _):
            stack.send(category, "no JSON", {"webhook-id": "wh_1"})
        case (_, "sqs:ChangeMessageVisibility"):
            _waits(stacks, stack, category)
        case (_, "s3:AbortMultipartUpload"):
            _breaks_off(stacks.openai)
        case _:
            if category == "realtime" and sid != "ReadCallPolicy":
                stack.set_call_policy(CALL_POLICY)
            PLAYS[category][1](stacks.openai)()


def _waits(stacks: Stacks, stack: Stack, category: str) -> None:
    """An event that is tried again later: without a key, or without a bus for the archive, which calls nobody."""
    variables = {"OPENAI_API_KEY_SECRET": "none", "BUS_NAME": "none"}
    functions = stack.emulator.client("lambda")
    found = functions.get_function_configuration(FunctionName=f"{stack.name}-{category}")
    before = {name: value for name, value in found["Environment"]["Variables"].items() if name in variables}
    stacks.undo = lambda: stack.set_environment(category, **before)
    stack.set_environment(category, **variables)
    PLAYS[category][1](stacks.openai)()


def _breaks_off(openai: StandIn) -> None:
    """A result whose transfer ends after its first part."""
    file = openai.put_file(line=_LINE, lines=200_000)
    openai.fault(f"GET /v1/files/{file['id']}/content", "cut", after_bytes=12 * 1024 * 1024)
    openai.advance(new_batch(openai), "completed", output_file_id=file["id"])


def _realtime(stacks: Stacks, stack: Stack, category: str, sid: str, action: str) -> None:
    if sid not in ("SendWatchdogs", "StartSupervisors"):
        return _consumer(stacks, stack, category, sid, action)
    stack.set_call_policy(_supervised({"greeting": "Welcome."}))
    stacks.openai.call_in(events=["realtime.call.incoming"], plan={"script": [{"await": "attach"}, "hang_up"]})
    return None


def _supervised(supervise: Json) -> str:
    accept = {"session": {"model": "gpt-realtime-2.1"}, "supervise": supervise}
    return json.dumps({"answer_as": "realtime", "default": {"accept": accept}})


def _supervisor(stacks: Stacks, stack: Stack, function: str, sid: str, action: str) -> None:
    queue = {"QueueUrl": stack.outputs["SupervisorQueueUrl"]}
    unknown = {"api": "realtime", "id": f"rtc_{uuid.uuid4().hex}"}
    start = {**unknown, "generation": 1, "accepted": True}
    match sid, action:
        case ("ReceiveWatchdogs", _) | (_, "dynamodb:GetItem") if sid != "LookUpNumbers":
            stack.emulator.client("sqs").send_message(**queue, MessageBody=json.dumps(unknown))
        case ("StartSuccessors", _):
            stack.emulator.client("sqs").send_message(**queue, MessageBody=json.dumps(start))
        case (_, "dynamodb:UpdateItem") | ("ReadApiKey" | "GetIdentityToken", _):
            stack.invoke(function, start)
        case _:
            stack.kill("realtime")
            stack.set_call_policy(_supervised(_tools(stacks)))
            script = [
                {"await": "attach"},
                {"caller": "Hello."},
                *({"tool": it} for it in _calls()),
                {"wait": 500},
                "hang_up",
            ]
            stacks.openai.call_in(events=["realtime.call.incoming"], plan={"script": script})


def _tools(stacks: Stacks) -> Json:
    return {
        "tools": [
            {"name": "orders", "lambda": stacks.tools.arns[0]},
            {"name": "prices", "url": "https://localhost:1/prices", "timeout_seconds": 2},
        ],
        "built_in": ["look_up", "leave_note"],
        "look_up": {"table": stacks.table, "key": "number"},
    }


def _calls() -> list[Json]:
    arguments = {"look_up": {"number": "+4930123456"}, "leave_note": {"note": "Call back."}}
    return [
        {"name": it, "arguments": arguments.get(it, {}), "then": "Done."}
        for it in ("orders", "prices", "look_up", "leave_note")
    ]


def _register(stacks: Stacks, stack: Stack, _function: str, _sid: str, _action: str) -> None:
    stacks.cloudformation.ask(stack, "Create", properties(stack))


def _rotate(stacks: Stacks, stack: Stack, _function: str, _sid: str, _action: str) -> None:
    rotated = Rotated(stack, stacks.openai, stack.outputs["EndpointId"])
    version = rotated.begin()
    stacks.undo = lambda: rotated.steps(rotated.begin())
    rotated.steps(version)


def _reconcile(stacks: Stacks, stack: Stack, function: str, sid: str, _action: str) -> None:
    expectations = sid in ("ListExpectations", "CountDeadLetters") or sid.startswith("SeeUnset")
    # Once all secrets are set, nobody asks again.
    _forget(stack, "told#secrets")
    lost_batch(stacks.openai)
    promoted(stack, uuid.uuid4().hex[:8], "ft:gpt-4.1-mini:acme:soon:B1", 25.5)
    stack.invoke(function, {"task": "expectations" if expectations else "reconcile"})


def _console(stacks: Stacks, stack: Stack, _function: str, sid: str, action: str) -> None:
    stacks.seen.extend(islice(stacks.user(stack).refusals(sid, action), 1))


_PLAYS: dict[str, Callable[[Stacks, Stack, str, str, str], None]] = {
    "verifier": _verifier,
    "realtime": _realtime,
    "supervisor": _supervisor,
    "register": _register,
    "rotate": _rotate,
    "reconcile": _reconcile,
    "console": _console,
}
