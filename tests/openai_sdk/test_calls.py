"""The official SDK with the stand-in instead of OpenAI: phone calls."""

import pytest
from openai import BadRequestError, ConflictError, NotFoundError, OpenAI
from openai.types.webhooks import LiveTransportIncomingWebhookEvent, RealtimeCallIncomingWebhookEvent

from infra.local.stand_in import StandIn
from tests.openai_sdk.conftest import Receiver

SECRET = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="


def test_a_realtime_call_is_accepted_once_and_hung_up(openai: StandIn, client: OpenAI) -> None:
    call_id = openai.call_in()["call"]["call_id"]
    client.realtime.calls.accept(call_id, type="realtime", model="gpt-realtime-2.1", instructions="Be brief.")
    call = openai.call(call_id)
    assert (call["state"], call["by"]) == ("accepted", "realtime")
    assert call["request"] == {"type": "realtime", "model": "gpt-realtime-2.1", "instructions": "Be brief."}
    with pytest.raises(ConflictError):
        client.realtime.calls.accept(call_id, type="realtime", model="gpt-realtime-2.1")
    client.realtime.calls.hangup(call_id)
    assert openai.call(call_id)["state"] == "ended"
    with pytest.raises(NotFoundError):
        client.realtime.calls.hangup(call_id)


def test_a_realtime_call_is_rejected_or_referred(openai: StandIn, client: OpenAI) -> None:
    rejected = openai.call_in()["call"]["call_id"]
    client.realtime.calls.reject(rejected, status_code=486)
    assert openai.call(rejected)["state"] == "rejected"
    referred = openai.call_in()["call"]["call_id"]
    client.realtime.calls.refer(referred, target_uri="tel:+14155550123")
    assert openai.call(referred)["request"] == {"target_uri": "tel:+14155550123"}
    with pytest.raises(BadRequestError):
        client.realtime.calls.refer(openai.call_in()["call"]["call_id"], target_uri="+1")


def test_a_live_session_is_accepted_rejected_referred_and_hung_up(openai: StandIn, client: OpenAI) -> None:
    accepted = openai.call_in()["call"]["session_id"]
    client.live.sessions.accept(accepted, session={"type": "live", "model": "gpt-live-1"})
    call = openai.call(accepted)
    assert (call["state"], call["by"], call["request"]) == (
        "accepted",
        "live",
        {"type": "live", "model": "gpt-live-1"},
    )
    client.live.sessions.hangup(accepted)
    rejected = openai.call_in()["call"]["session_id"]
    client.live.sessions.reject(rejected, status_code=603)
    assert openai.call(rejected)["state"] == "rejected"
    referred = openai.call_in()["call"]["session_id"]
    client.live.sessions.refer(referred, target_uri="sip:desk@example.com")
    assert openai.call(referred)["state"] == "referred"


def test_a_call_is_announced_by_events_that_unwrap(openai: StandIn, client: OpenAI, receiver: Receiver) -> None:
    openai.register(receiver.url, SECRET)
    call = openai.call_in(events=["realtime.call.incoming", "live.transport.incoming"], sip_call_id="abc")["call"]
    events = {}
    for delivery in receiver.wait_for(2):
        event = client.webhooks.unwrap(delivery.body, delivery.headers, secret=SECRET)
        events[event.type] = event
    realtime, live = events["realtime.call.incoming"], events["live.transport.incoming"]
    assert isinstance(realtime, RealtimeCallIncomingWebhookEvent)
    assert isinstance(live, LiveTransportIncomingWebhookEvent)
    assert (realtime.data.call_id, live.data.session_id) == (call["call_id"], call["session_id"])
    assert [header.value for header in realtime.data.sip_headers if header.name == "Call-ID"] == ["abc"]
