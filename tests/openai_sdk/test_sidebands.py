"""The official SDK with the stand-in instead of OpenAI: control connections to calls, and created sessions."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import NotFoundError, OpenAI, PermissionDeniedError
from openai.types.live import ErrorEvent, SessionClosedEvent
from websockets.exceptions import ConnectionClosed, InvalidStatus

from infra.local.stand_in import Json, StandIn
from tests.openai_sdk.conftest import Receiver

SECRET = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="
BACKEND = {"type": "responses", "responses": {"model": "gpt-6-luna"}}
LIVE = {"type": "live", "model": "gpt-live-1", "store": True, "delegation": BACKEND}
PLAN = {"speed": 50, "replay_ms": 3_000_000, "expires_ms": 30_000_000}
"""Fast calls that lose nothing until the client is connected, and that last, however slow the machine is."""
TOOL = {"tool": {"name": "look_up", "arguments": {"id": 7}, "call_id": "call_7", "then": "It is blue."}}


@pytest.fixture
def script() -> list[Json | str]:
    """A call in which both speak, a key is pressed, a tool is called, and the caller hangs up."""
    return [{"await": "attach"}, {"caller": "Hello there"}, {"dtmf": "5"}, TOOL, "hang_up"]


def accept_live(openai: StandIn, client: OpenAI, **plan: Any) -> str:
    call_id: str = openai.call_in(plan={**PLAN, **plan})["call"]["session_id"]
    client.live.sessions.accept(call_id, session=LIVE)  # type: ignore[arg-type]
    return call_id


def accept_realtime(openai: StandIn, client: OpenAI, **plan: Any) -> str:
    call_id: str = openai.call_in(plan={**PLAN, **plan})["call"]["call_id"]
    client.realtime.calls.accept(call_id, type="realtime", model="gpt-realtime-2.1")
    return call_id


def up_to(connection: Any, kind: str) -> list[Any]:
    """Events up to the first of this type; each is of a class that the SDK knows."""
    events = []
    for event in connection:
        assert type(event).__module__.startswith("openai.types"), event
        assert set(event.model_dump(exclude_unset=True)) <= set(type(event).model_fields), event
        events.append(event)
        if event.type == kind:
            return events
    raise AssertionError(f"no {kind} in {[event.type for event in events]}")


def types(events: list[Any]) -> Iterator[str]:
    return (event.type for event in events)


def test_a_live_call_is_controlled_to_its_end(openai: StandIn, client: OpenAI, script: list[Any]) -> None:
    call_id = accept_live(openai, client, script=script)
    with client.live.sideband.connect(session_id=call_id, graceful_close=True) as connection:
        events = up_to(connection, "session.delegation.created")
        assert events[0].type == "session.started"
        assert events[0].session.id == call_id
        heard = "".join(event.delta for event in events if event.type == "session.input_transcript.delta")
        assert heard == "Hello there"
        assert "transport.dtmf.received" in types(events)
        assert "session.input_audio.append" in types(events)
        item: Any = None
        while item is None:
            [*_, event] = up_to(connection, "response.event")
            item = event.event["item"] if event.event["type"] == "response.output_item.done" else None
        assert (item["call_id"], item["name"], json.loads(item["arguments"])) == ("call_7", "look_up", {"id": 7})

        connection.session.commentary.append(content="One moment.", delegation_id=None, event_id="wait")
        appended = up_to(connection, "session.commentary.appended")[-1]
        assert appended.client_event_id == "wait"
        connection.response.item.create(item={"type": "function_call_output", "call_id": "call_7", "output": "blue"})
        connection.response.create(event_id="go")
        closed = up_to(connection, "session.closed")[-1]
        assert isinstance(closed, SessionClosedEvent)
        assert (closed.reason, closed.session.id) == ("remote_hangup", call_id)
        with pytest.raises(ConnectionClosed) as end:
            connection.recv()
        assert end.value.rcvd is not None
        assert end.value.rcvd.code == 1000
    recording = client.live.sessions.download_recording(call_id).read()
    assert recording[:4] == b"RIFF"
    with pytest.raises(InvalidStatus) as gone:
        client.live.sideband.connect(session_id=call_id).enter()
    assert gone.value.response.status_code == 404


def test_a_realtime_call_is_controlled_to_its_end(openai: StandIn, client: OpenAI, script: list[Any]) -> None:
    call_id = accept_realtime(openai, client, script=script)
    with client.realtime.connect(call_id=call_id) as connection:
        events = up_to(connection, "response.done")
        assert events[0].type == "session.created"
        assert events[0].session.model == "gpt-realtime-2.1"
        order = [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.input_audio_transcription.completed",
            "input_audio_buffer.dtmf_event_received",
            "response.created",
            "response.function_call_arguments.done",
            "response.output_item.done",
        ]
        found = list(types(events))
        positions = [found.index(kind) for kind in order]
        assert positions == sorted(positions), found
        [call] = events[-1].response.output
        assert (call.type, call.call_id, call.arguments) == ("function_call", "call_7", '{"id":7}')

        connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
        assert up_to(connection, "session.updated")[-1].session.instructions == "Be brief."
        output = {"type": "function_call_output", "call_id": "call_7", "output": "blue"}
        connection.conversation.item.create(item=output)  # type: ignore[arg-type]
        connection.response.create(response={"metadata": {"asked_by": "test"}})
        done = up_to(connection, "response.done")[-1].response
        assert (done.status, done.metadata) == ("completed", {"asked_by": "test"})
        assert done.output[0].content[0].transcript == "It is blue."
        assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens
        assert "session.closed" not in types(list(connection)), "it ends with its connection"
        with pytest.raises(ConnectionClosed):
            connection.recv()


def test_refused_events_are_told_by_the_id_of_the_client_s(openai: StandIn, client: OpenAI) -> None:
    with client.live.sideband.connect(session_id=accept_live(openai, client)) as connection:
        connection.transport.dtmf.send(event="x", event_id="key")
        error = up_to(connection, "error")[-1]
        assert isinstance(error, ErrorEvent)
        assert error.error.client_event_id == "key"
    with client.realtime.connect(call_id=accept_realtime(openai, client)) as realtime:
        realtime.response.cancel(event_id="stop")
        refused = up_to(realtime, "error")[-1].error
        assert (refused.event_id, refused.code) == ("stop", "response_cancel_not_active")


def test_sessions_and_secrets_are_created(openai: StandIn, client: OpenAI, receiver: Receiver) -> None:
    openai.register(receiver.url, SECRET)
    openai.plan_next(script=[{"await": "attach"}, {"model": "Hello"}], **PLAN)
    created = client.live.create(session={"model": "gpt-live-1"}, transport={"type": "webrtc", "sdp": "v=0"})
    assert created.transport.sdp.startswith("v=0")
    [delivery] = receiver.wait_for(1)
    event = client.webhooks.unwrap(delivery.body, delivery.headers, secret=SECRET)
    assert event.type == "live.transport.connected"
    assert event.data.session_id == created.session.id
    with client.live.sideband.connect(session_id=created.session.id) as connection:
        assert up_to(connection, "session.output_transcript.delta")[-1].delta == "Hello"

    secret = client.realtime.client_secrets.create(session={"type": "realtime", "model": "gpt-realtime-2.1"})
    assert secret.value.startswith("ek_")
    assert secret.session.type == "realtime"


def test_an_outbound_call_rings_or_is_not_enabled(openai: StandIn, client: OpenAI) -> None:
    trunk = {
        "provider_url": "sips:sip.example.com:5061",
        "auth": {"type": "digest", "username": "u", "password": "p"},
        "caller_number": "+14155550100",
    }
    transport: Any = {"type": "sip", "destination": "+14155550123", "trunk": trunk}
    with pytest.raises(PermissionDeniedError) as refused:
        client.live.create(session={"model": "gpt-live-1"}, transport=transport)
    assert refused.value.code == "outbound_sip_not_enabled"
    states = [{"transport": {"state": "ringing"}}, {"transport": {"state": "answered"}}, {"close": "remote_hangup"}]
    openai.plan_next(outbound_sip=True, script=[{"await": "attach"}, *states], **PLAN)
    created = client.live.create(session={"model": "gpt-live-1"}, transport=transport)
    with client.live.sideband.connect(session_id=created.session.id) as connection:
        events = list(types(up_to(connection, "session.closed")))
    assert events.index("transport.ringing") < events.index("transport.answered")


def test_a_recording_that_was_not_stored_is_not_found(client: OpenAI) -> None:
    with pytest.raises(NotFoundError):
        client.live.sessions.download_recording("live_none")
