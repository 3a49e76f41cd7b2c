"""A stack that registers its endpoint at OpenAI."""

import uuid
from collections.abc import Callable

from infra.local.deploy import template
from infra.local.emulator import Emulator
from infra.local.stack import Stack, create
from infra.local.stand_in import API_KEY, Json, StandIn
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
