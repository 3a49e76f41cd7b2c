"""The official SDK checks and unwraps the stand-in's deliveries."""

import hashlib
import hmac

import openai as sdk
import pytest
from openai import OpenAI
from openai.types.webhooks import BatchCompletedWebhookEvent, RealtimeCallIncomingWebhookEvent

from infra.local.stand_in import StandIn
from tests.openai_sdk.conftest import Receiver

SECRET = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="
NEXT_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@pytest.fixture(autouse=True)
def registered(openai: StandIn, receiver: Receiver) -> None:
    """The receiver gets the project's events."""
    openai.register(receiver.url, SECRET)


def test_a_finished_batch_delivers_an_event_that_unwraps(openai: StandIn, client: OpenAI, receiver: Receiver) -> None:
    file = client.files.create(file=b'{"custom_id": "r0"}', purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/responses", completion_window="24h")
    openai.advance(batch.id, "completed")
    [delivery] = receiver.wait_for(1)
    event = client.webhooks.unwrap(delivery.body, delivery.headers, secret=SECRET)
    assert isinstance(event, BatchCompletedWebhookEvent)
    assert event.data.id == batch.id


def test_a_delivery_signed_with_two_secrets_unwraps_with_either(
    openai: StandIn, client: OpenAI, receiver: Receiver
) -> None:
    openai.register(receiver.url, [NEXT_SECRET, SECRET])
    openai.deliver("batch.completed", {"id": "batch_1"})
    [delivery] = receiver.wait_for(1)
    for secret in (SECRET, NEXT_SECRET):
        client.webhooks.verify_signature(delivery.body, delivery.headers, secret=secret)
    with pytest.raises(sdk.InvalidWebhookSignatureError):
        client.webhooks.verify_signature(delivery.body, delivery.headers, secret="whsec_c29tZXRoaW5nIGVsc2U=")


def test_nested_data_unwraps_into_its_type(openai: StandIn, client: OpenAI, receiver: Receiver) -> None:
    headers = [{"name": "Call-ID", "value": "03782086@example.com"}]
    openai.deliver("realtime.call.incoming", {"call_id": "rtc_1", "sip_headers": headers})
    [delivery] = receiver.wait_for(1)
    event = client.webhooks.unwrap(delivery.body, delivery.headers, secret=SECRET)
    assert isinstance(event, RealtimeCallIncomingWebhookEvent)
    assert event.data.sip_headers[0].value == "03782086@example.com"


def test_a_retry_unwraps_and_has_the_same_id(openai: StandIn, client: OpenAI, receiver: Receiver) -> None:
    receiver.statuses = [503, 307]
    openai.deliver("batch.completed", {"id": "batch_1"})
    deliveries = receiver.wait_for(3)
    for delivery in deliveries:
        client.webhooks.verify_signature(delivery.body, delivery.headers, secret=SECRET)
    assert len({delivery.headers["webhook-id"] for delivery in deliveries}) == 1


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ({"forged": True}, "does not match"),
        ({"timestamp": 1_500_000_000}, "too old"),
        ({"timestamp": 4_000_000_000}, "too new"),
        ({"timestamp": "soon"}, "timestamp format"),
        ({"headers": {"webhook-id": "wh_other"}}, "does not match"),
    ],
)
def test_the_sdk_refuses_an_invalid_delivery(
    openai: StandIn, client: OpenAI, receiver: Receiver, command: dict, complaint: str
) -> None:
    openai.deliver("batch.completed", {"id": "batch_1"}, **command)
    [delivery] = receiver.wait_for(1)
    with pytest.raises(sdk.InvalidWebhookSignatureError, match=complaint):
        client.webhooks.unwrap(delivery.body, delivery.headers, secret=SECRET)


def test_a_relay_signs_in_hex_and_gets_only_what_is_sent_to_its_name(openai: StandIn, receiver: Receiver) -> None:
    secret = "a shared text of some length"
    openai.register(f"{receiver.url}?relay", secret, "relay", scheme="timestamped-hex")
    [relayed] = openai.deliver("batch.completed", {"id": "batch_1"}, endpoint="relay", wait=True)
    assert (relayed["endpoint"], relayed["url"]) == ("relay", f"{receiver.url}?relay")
    [delivery] = receiver.deliveries
    signed = delivery.headers["x-openai-timestamp"].encode() + b"." + delivery.body
    assert delivery.headers["x-openai-signature"] == hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    assert not [name for name in delivery.headers if name.startswith("webhook-")]

    openai.deliver("batch.completed", {"id": "batch_2"}, wait=True)
    assert [delivery["endpoint"] for delivery in openai.deliveries()] == ["relay", "project"]
