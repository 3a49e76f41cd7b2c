"""The official SDK with the stand-in instead of OpenAI: background responses."""

from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from openai.types.responses import Response, ResponseOutputMessage, ResponseOutputRefusal
from openai.types.webhooks import ResponseCancelledWebhookEvent, ResponseCompletedWebhookEvent

from infra.local.stand_in import StandIn
from tests.openai_sdk.conftest import Receiver

SECRET = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="


def create(client: OpenAI, **options: Any) -> Response:
    return client.responses.create(model="gpt-6-luna", input="Hi", **{"background": True, **options})


def test_a_background_response_is_created_retrieved_and_completed(openai: StandIn, client: OpenAI) -> None:
    created = create(client, instructions="Be brief.", metadata={"team": "night shift"})
    assert (created.status, created.output_text, created.usage) == ("queued", "", None)
    assert (created.instructions, created.metadata) == ("Be brief.", {"team": "night shift"})
    assert client.responses.retrieve(created.id) == created

    openai.finish_response(created.id, text="Good morning!")
    response = client.responses.retrieve(created.id)
    assert (response.status, response.output_text) == ("completed", "Good morning!")
    assert response.completed_at is not None
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 0
    # OpenAI answers `store`, which the SDK's type lacks. Any other unknown field would be an error of the stand-in.
    assert response.model_extra == {"store": True}


def test_a_response_in_the_foreground_is_completed_at_once(client: OpenAI) -> None:
    response = create(client, background=False)
    assert (response.status, response.output_text) == ("completed", "Hello!")


def test_a_refusal_is_a_part_of_the_message(openai: StandIn, client: OpenAI) -> None:
    created = create(client)
    openai.finish_response(created.id, text=None, refusal="I can't help with that.")
    response = client.responses.retrieve(created.id)
    [message] = response.output
    assert isinstance(message, ResponseOutputMessage)
    [part] = message.content
    assert isinstance(part, ResponseOutputRefusal)
    assert (part.refusal, response.output_text) == ("I can't help with that.", "")


def test_a_failed_response_says_why(openai: StandIn, client: OpenAI) -> None:
    created = create(client)
    openai.finish_response(created.id, "failed", error={"code": "rate_limit_exceeded", "message": "Too many."})
    response = client.responses.retrieve(created.id)
    assert response.error is not None
    assert (response.status, response.error.code, response.output) == ("failed", "rate_limit_exceeded", [])


def test_an_incomplete_response_says_why(openai: StandIn, client: OpenAI) -> None:
    created = create(client)
    openai.finish_response(created.id, "incomplete", text="Once upon a")
    response = client.responses.retrieve(created.id)
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert (response.status, response.output_text) == ("incomplete", "Once upon a")


def test_a_finished_response_can_not_be_finished_again(openai: StandIn, client: OpenAI) -> None:
    created = create(client)
    openai.finish_response(created.id)
    with pytest.raises(ValueError, match="409"):
        openai.finish_response(created.id, "failed")


def test_a_response_is_cancelled_once_and_says_so_again(openai: StandIn, client: OpenAI, receiver: Receiver) -> None:
    openai.register(receiver.url, SECRET)
    created = create(client)
    cancelled = client.responses.cancel(created.id)
    assert cancelled.status == "cancelled"
    assert client.responses.cancel(created.id) == cancelled
    [delivery] = receiver.wait_for(1)
    event = client.webhooks.unwrap(delivery.body, delivery.headers, secret=SECRET)
    assert isinstance(event, ResponseCancelledWebhookEvent)
    assert event.data.id == created.id


def test_only_a_background_response_can_be_cancelled(client: OpenAI) -> None:
    with pytest.raises(BadRequestError):
        client.responses.cancel(create(client, background=False).id)


def test_a_deleted_response_is_not_found(client: OpenAI) -> None:
    created = create(client)
    client.responses.delete(created.id)
    with pytest.raises(NotFoundError, match=f"Response with id '{created.id}' not found."):
        client.responses.retrieve(created.id)


def test_a_bad_parameter_is_named(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as refused:
        create(client, metadata={"team": 1})
    assert refused.value.param == "metadata"


def test_a_finished_response_delivers_an_event_that_unwraps(
    openai: StandIn, client: OpenAI, receiver: Receiver
) -> None:
    openai.register(receiver.url, SECRET)
    created = create(client)
    [announced] = openai.finish_response(created.id)["deliveries"]
    [delivery] = receiver.wait_for(1)
    assert delivery.headers["webhook-id"] == announced["webhook_id"]
    event = client.webhooks.unwrap(delivery.body, delivery.headers, secret=SECRET)
    assert isinstance(event, ResponseCompletedWebhookEvent)
    assert event.data.id == created.id


def test_a_lost_webhook_is_not_delivered(openai: StandIn, client: OpenAI, receiver: Receiver) -> None:
    openai.register(receiver.url, SECRET)
    created = create(client)
    assert openai.finish_response(created.id, deliver=False)["deliveries"] == []
    assert openai.deliveries() == []
    assert client.responses.retrieve(created.id).status == "completed"
