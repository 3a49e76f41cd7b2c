"""The sample events agree with the official SDK's types and with each other."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from openai import BaseModel, InvalidWebhookSignatureError, OpenAI
from openai.types.webhooks import SafetyIdentifierBlockedWebhookEvent, UnwrapWebhookEvent
from pydantic import TypeAdapter

from infra.local.processes import ROOT
from infra.local.stack import CATEGORIES, category_of

EVENTS = ROOT / "events"
BODIES = {path.stem: path for path in sorted((EVENTS / "bodies").glob("*.json"))}
QUEUED = {path.stem: path for path in sorted((EVENTS / "sqs").glob("*.json"))}

UNION: tuple[type[BaseModel], ...] = get_args(get_args(UnwrapWebhookEvent)[0])

# Types without a place in the SDK's union, and why.
NOT_IN_THE_UNION = {
    "safety_identifier.blocked": "the SDK has a class for it, and leaves it out of the union",
    "video.completed": "subscribable, but the Videos API is gone and the SDK has no class",
    "video.failed": "subscribable, but the Videos API is gone and the SDK has no class",
    "file.processed": "OpenAI sends no file event today; a sample for the category that waits for one",
}

ORGANIZATION_TYPES = {"safety.warning_issued", "safety.deactivation_issued"}
ATTRIBUTES = {"webhook-id", "webhook-timestamp", "endpoint", "event-type", "received-at", "source"}


def body(event_type: str) -> str:
    return BODIES[event_type].read_text().removesuffix("\n")


def unknown_fields(model: BaseModel) -> list[str]:
    """Fields that the SDK has no name for, here and below."""
    found = list(model.model_extra or {})
    for value in model.__dict__.values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, BaseModel):
                found += unknown_fields(inner)
    return found


def test_every_type_of_the_sdk_has_a_body() -> None:
    types = {get_args(model.model_fields["type"].annotation)[0] for model in UNION}
    assert len(types) == 31
    assert types | NOT_IN_THE_UNION.keys() == BODIES.keys()


@pytest.mark.parametrize("event_type", sorted(BODIES.keys() - NOT_IN_THE_UNION))
def test_a_body_has_its_type_in_the_sdk_and_no_unknown_field(event_type: str) -> None:
    event = TypeAdapter(UnwrapWebhookEvent).validate_json(body(event_type))
    assert event.type == event_type
    assert unknown_fields(event) == []


def test_a_blocked_safety_identifier_has_a_class_outside_the_union() -> None:
    event = SafetyIdentifierBlockedWebhookEvent.model_validate_json(body("safety_identifier.blocked"))
    assert unknown_fields(event) == []
    assert event.data.model_fields_set == set(type(event.data).model_fields)


@pytest.mark.parametrize("event_type", BODIES)
def test_a_body_is_one_line_with_openai_s_keys_in_openai_s_order(event_type: str) -> None:
    text = body(event_type)
    event = json.loads(text)
    assert text == json.dumps(event)
    assert list(event) == ["id", "object", "created_at", "type", "data"]
    assert (event["object"], event["type"]) == ("event", event_type)


def test_no_two_events_share_an_id() -> None:
    ids = [json.loads(body(event_type))["id"] for event_type in BODIES]
    assert len(set(ids)) == len(ids)


def test_one_phone_call_can_arrive_for_both_apis() -> None:
    def call_id(event_type: str) -> str:
        headers = json.loads(body(event_type))["data"]["sip_headers"]
        return next(header["value"] for header in headers if header["name"] == "Call-ID")

    assert call_id("realtime.call.incoming") == call_id("live.transport.incoming")


def test_every_category_has_a_queued_event() -> None:
    assert QUEUED.keys() == set(CATEGORIES)


@pytest.mark.parametrize("name", QUEUED)
def test_a_queued_event_carries_a_body_and_attributes_that_agree(name: str) -> None:
    [record] = json.loads(QUEUED[name].read_text())["Records"]
    attributes = {key: value["stringValue"] for key, value in record["messageAttributes"].items()}
    event_type = attributes["event-type"]
    assert category_of(event_type) == name
    if name != "archive":  # Its event is of a type that nobody has heard of, so that it stays the archive's.
        assert record["body"] == body(event_type)
    assert record["eventSourceARN"].endswith(f"-{name}")
    assert record["md5OfBody"] == hashlib.md5(record["body"].encode()).hexdigest()
    assert attributes.keys() == ATTRIBUTES
    assert all(value["dataType"] == "String" for value in record["messageAttributes"].values())
    assert attributes["endpoint"] == ("organization" if event_type in ORGANIZATION_TYPES else "project")
    assert attributes["source"] == "openai"
    created, delivered, received = (
        json.loads(record["body"])["created_at"] * 1000,
        int(attributes["webhook-timestamp"]) * 1000,
        int(attributes["received-at"]),
    )
    assert created <= delivered <= received <= int(record["attributes"]["SentTimestamp"])


# The command that makes HTTP API events ------------------------------------------------------------------------------

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


def http_api(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, EVENTS / "http-api.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, input=stdin, check=False)


def made(*arguments: str | Path) -> dict[str, Any]:
    done = http_api(*arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def sdk() -> OpenAI:
    return OpenAI(api_key="unused")


@pytest.mark.parametrize("event_type", ["batch.completed", "realtime.call.incoming"])
def test_an_http_api_event_is_signed_so_that_the_sdk_unwraps_it(sdk: OpenAI, event_type: str) -> None:
    event = made("--secret", SECRET, BODIES[event_type])
    assert event["body"] == body(event_type)
    assert sdk.webhooks.unwrap(event["body"], event["headers"], secret=SECRET).type == event_type


def test_a_forged_http_api_event_is_refused(sdk: OpenAI) -> None:
    event = made("--secret", SECRET, "--forge", BODIES["batch.completed"])
    with pytest.raises(InvalidWebhookSignatureError, match="does not match"):
        sdk.webhooks.unwrap(event["body"], event["headers"], secret=SECRET)


def test_an_http_api_event_names_its_endpoint_wherever_a_function_may_look() -> None:
    event = made("--endpoint", "organization", BODIES["safety.warning_issued"])
    assert event["pathParameters"] == {"endpoint": "organization"}
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/webhooks/organization"


def test_a_body_can_come_from_standard_input(sdk: OpenAI) -> None:
    event = json.loads(http_api("--secret", SECRET, "-", stdin="not JSON").stdout)
    sdk.webhooks.verify_signature(event["body"], event["headers"], secret=SECRET)
    assert event["body"] == "not JSON"


@pytest.mark.parametrize("secret", ["RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24", "whsec_", "whsec_??"])
def test_a_malformed_secret_is_refused_and_not_shown(secret: str) -> None:
    done = http_api("--secret", secret, BODIES["batch.completed"])
    assert done.returncode == 2
    assert "whsec_" in done.stderr
    assert "Rdva" not in done.stderr
    assert "??" not in done.stderr
