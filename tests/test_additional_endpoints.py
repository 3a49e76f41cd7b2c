"""Endpoints beside the project's and the organization's, each with its own secret and scheme."""

import hashlib
import hmac
import json
import time
import uuid

from infra.local.emulator import Emulator
from infra.local.stack import new_signing_secret, unhandled
from tests.conftest import MakeStack
from tests.deliveries import Headers, event, send, signed


def new_secret(emulator: Emulator, text: str) -> str:
    secrets = emulator.client("secretsmanager")
    return secrets.create_secret(Name=f"additional-{uuid.uuid4().hex}", SecretString=text)["ARN"]


def timestamped_hex(secret: str, body: bytes) -> Headers:
    timestamp = str(int(time.time()))
    mac = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return [("x-openai-timestamp", timestamp), ("x-openai-signature", mac.hexdigest())]


def test_each_additional_endpoint_has_its_own_secret_and_scheme(make_stack: MakeStack, emulator: Emulator) -> None:
    secret, relay_secret = new_signing_secret(), uuid.uuid4().hex
    arns = [new_secret(emulator, text) for text in (secret, relay_secret)]
    endpoints = {"second-project": arns[0], "relay": {"secret": arns[1], "scheme": "timestamped-hex"}}
    stack = make_stack(
        AdditionalEndpoints=json.dumps(endpoints), AdditionalSecretArns=",".join(arns), **unhandled("batch")
    )
    body = event("batch.completed", "batch_1")

    assert send(stack.url("second-project"), body, signed(secret, body)).status == 200
    assert send(stack.url("relay"), body, timestamped_hex(relay_secret, body)).status == 200
    assert send(stack.url(), body, signed(secret, body)).json()["reason"] == "no_matching_signature"
    assert send(stack.url(), body, timestamped_hex(relay_secret, body)).json()["reason"] == "missing_header"
    assert send(stack.url("relay"), body, signed(secret, body)).json()["reason"] == "missing_header"

    queued = [message.attributes["endpoint"] for message in stack.messages("batch")]
    assert sorted(queued) == ["relay", "second-project"]
    url = stack.outputs["AdditionalWebhookUrls"]
    assert url == stack.outputs["ProjectWebhookUrl"].removesuffix("project") + "{name}"


def test_a_secret_that_is_not_listed_cannot_be_read(make_stack: MakeStack, emulator: Emulator) -> None:
    secret = new_signing_secret()
    stack = make_stack(AdditionalEndpoints=json.dumps({"second-project": new_secret(emulator, secret)}))
    body = event("batch.completed", "batch_1")

    answer = send(stack.url("second-project"), body, signed(secret, body))

    assert (answer.status, answer.json()["reason"]) == (503, "secret_unavailable")
