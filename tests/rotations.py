"""Secrets Manager's part in a rotation, which ministack does not play: it never calls the function."""

import json
import uuid
from dataclasses import dataclass
from typing import Any

from infra.local.stack import Stack, unhandled
from infra.local.stand_in import StandIn
from tests.registering import Registering
from tests.waiting import wait_until

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")

EVENT_TYPE = "batch.completed"
"""What the endpoint subscribes to."""


class StepError(Exception):
    """A step failed, with the reason's name as its first argument and the message as its second."""


@dataclass(frozen=True)
class Rotated:
    """A stack that has registered its endpoint, and whose secret is to be rotated."""

    stack: Stack
    openai: StandIn
    endpoint_id: str

    def begin(self) -> str:
        """Begin a rotation as Secrets Manager does, with an empty pending version, and answer its id."""
        version, secret_id = str(uuid.uuid4()), self.stack.secret_id("project")
        secrets = self.stack.emulator.client("secretsmanager")
        # A stage has one version at AWS, always. ministack leaves it with the last one, too.
        for last, stages in secrets.describe_secret(SecretId=secret_id)["VersionIdsToStages"].items():
            if "AWSPENDING" in stages:
                secrets.update_secret_version_stage(
                    SecretId=secret_id, VersionStage="AWSPENDING", RemoveFromVersionId=last
                )
        secrets.put_secret_value(SecretId=secret_id, ClientRequestToken=version, VersionStages=["AWSPENDING"])
        return version

    def step(self, step: str, version: str) -> None:
        """Call the function as Secrets Manager does."""
        event = {"Step": step, "SecretId": self.stack.secret_id("project"), "ClientRequestToken": version}
        functions, name = self.stack.emulator.client("lambda"), self.stack.outputs["RotateFunctionName"]
        answer = functions.invoke(FunctionName=name, Payload=json.dumps(event).encode())
        said = json.loads(answer["Payload"].read() or b"null")
        if "FunctionError" in answer:
            raise StepError(said.get("errorType"), said.get("errorMessage"))

    def steps(self, version: str, *steps: str) -> None:
        """Do these steps of the rotation, by default all."""
        for step in steps or STEPS:
            self.step(step, version)

    def openai_signs_with(self) -> list[str]:
        """The secrets that OpenAI signs with, the newest first."""
        (endpoint,) = self.openai.endpoints()
        return endpoint["signing_secrets"]

    def in_use(self) -> str:
        """The secret that is `AWSCURRENT`."""
        secrets = self.stack.emulator.client("secretsmanager")
        return secrets.get_secret_value(SecretId=self.stack.secret_id("project"))["SecretString"]

    def let_a_day_pass(self) -> None:
        """Let OpenAI stop signing with the old secret."""
        self.openai.end_old_secret(self.endpoint_id)

    def delivered(self) -> int:
        """Have OpenAI deliver an event, and answer the status of its first attempt."""
        (delivery,) = self.openai.deliver(EVENT_TYPE, {"id": "batch_1"}, wait=True, retry=False)
        return delivery["attempts"][0]["status"]

    def attempts(self) -> list[Any]:
        """The statuses of all attempts at all deliveries, once each is accepted."""

        def ended() -> list[Any]:
            deliveries = self.openai.deliveries(type=EVENT_TYPE)
            return deliveries if all(delivery["state"] == "accepted" for delivery in deliveries) else []

        return [
            attempt["status"]
            for delivery in wait_until("every delivery is accepted", ended)
            for attempt in delivery["attempts"]
        ]


def rotated(registering: Registering) -> Rotated:
    """Deploy a stack that has registered its endpoint, and turn the rotation of its secret on."""
    stack = registering.deploy(EndpointEventTypes=EVENT_TYPE, **unhandled("batch"))
    # What rotation is turned on by. The version that ministack makes of it has the same value.
    stack.emulator.client("secretsmanager").rotate_secret(
        SecretId=stack.secret_id("project"), RotationLambdaARN=f"arn:aws:lambda:::function:{stack.name}-rotate"
    )
    return Rotated(stack, registering.openai, stack.outputs["EndpointId"])
