"""A stack that registers its endpoint at OpenAI."""

import json
import uuid
from collections.abc import Callable
from typing import Any

from infra.local.deploy import template
from infra.local.emulator import Emulator
from infra.local.stack import Stack, create
from infra.local.stand_in import API_KEY, Json, StandIn
from infra.local.web_server import DONE, Answer, Request, WebServer
from tests.waiting import wait_until


class Registering:
    """A stack that registers its endpoint, under a URL that is known before it is deployed."""

    def __init__(self, emulator: Emulator, openai: StandIn, make_stack: Callable[..., Stack]) -> None:
        """Nothing is deployed yet. `parameters` and `template` may be changed before and between deployments."""
        self.openai = openai
        self._emulator, self._make_stack = emulator, make_stack
        self.template = template()
        api_id = uuid.uuid4().hex[:8]
        self.template["Resources"]["Api"]["Properties"]["Tags"] = {"ms-custom-id": api_id}
        self.parameters = {
            "RegisterEndpoint": "true",
            "WebhookBaseUrl": f"{emulator.endpoint_url}/_aws/execute-api/{api_id}",
            "OpenAIApiKeySecretArn": self.new_secret(API_KEY),
            # ministack does not know schedules of rotations.
            "RotateSecretDays": "0",
        }
        self._stack: Stack | None = None

    def new_secret(self, text: str) -> str:
        """A secret of its own. Answers its ARN."""
        secrets = self._emulator.client("secretsmanager")
        return secrets.create_secret(Name=f"register-{uuid.uuid4().hex}", SecretString=text)["ARN"]

    def deploy(self, **changed: str) -> Stack:
        """Create the stack, or update it, with these parameters changed for good."""
        self.parameters |= changed
        if self._stack is None:
            self._stack = self._make_stack(fill_secrets=False, template=self.template, **self.parameters)
        else:
            name = self._stack.name
            self._stack = create(self._emulator, name, self.openai.base_url, self.parameters, template=self.template)
        return self._stack

    def delete(self) -> None:
        """Delete the stack, if there is one, and wait until it is gone."""
        if (stack := self._stack) is not None:
            stack.delete()
            wait_until("the stack is deleted", lambda: not _exists(stack))
            self._stack = None

    def endpoint(self) -> Json:
        """The one endpoint at OpenAI, as only the stand-in shows it."""
        (endpoint,) = self.openai.endpoints()
        return endpoint


def _exists(stack: Stack) -> bool:
    found = stack.emulator.client("cloudformation").describe_stacks()["Stacks"]
    return any(one["StackName"] == stack.name and one["StackStatus"] != "DELETE_COMPLETE" for one in found)


class CloudFormation(WebServer):
    """Sends requests to the function as CloudFormation does, and takes the answers."""

    def __init__(self) -> None:
        """Listen for answers."""
        self._answers: list[Json] = []
        super().__init__(self._take)

    def _take(self, request: Request) -> Answer:
        self._answers.append(json.loads(request.body))
        return DONE

    def ask(self, stack: Stack, kind: str, properties: Json, physical_id: str | None = None) -> Json:
        """Send a request and answer what it was answered."""
        event: dict[str, Any] = {
            "RequestType": kind,
            "RequestId": "c0ffee",
            "ResponseURL": f"{self.url}/answer",
            "StackId": f"arn:aws:cloudformation:us-east-1:000000000000:stack/{stack.name}/1",
            "LogicalResourceId": "ProjectEndpoint",
            "ResourceType": "Custom::OpenAIWebhookEndpoint",
            "ResourceProperties": properties,
        }
        if physical_id is not None:
            event["PhysicalResourceId"] = physical_id
        function = stack.outputs["RegisterFunctionName"]
        run = stack.emulator.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
        assert "FunctionError" not in run, run["Payload"].read()
        answer = self._answers.pop()
        same = ("RequestId", "StackId", "LogicalResourceId")
        assert {name: answer[name] for name in same} == {name: event[name] for name in same}
        return answer


def properties(stack: Stack) -> Json:
    """Properties of the stack's endpoint, as CloudFormation sends them."""
    secret = stack.secret_id("project")
    return {"Name": stack.name, "Url": stack.url(), "EventTypes": "", "SigningSecretArn": secret}
