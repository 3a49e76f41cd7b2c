"""Server events that no session of OpenAI sends: none of them ends a supervisor."""

import json
from pathlib import Path

import pytest

from infra.local.emulator import Emulator
from infra.local.stand_in import Json, StandIn
from tests.conftest import MakeStack
from tests.test_supervisor import BOTH, Call, Tools, deploy

_DEEP = 50_000
_WRONG: list[Json] = [
    {"type": "response.done", "response": {"id": [], "output": {"call_id": 7}, "usage": "many"}},
    {"type": "response.done", "response": 7},
    {"type": "response.output_item.done", "item": {"type": "function_call", "status": "completed", "call_id": {}}},
    {"type": "response.output_item.done", "item": {"type": "function_call", "call_id": "x" * 5000, "name": "order"}},
    {"type": "response.event", "event": [], "delegation_id": {}},
    {"type": "session.usage.updated", "usage": {"seconds": -1}},
    {"type": "session.updated", "session": {"store": "yes", "expires_at": 1e300}},
    {"type": "transport.dtmf.received", "event": ["1"]},
    {"type": "input_audio_buffer.dtmf_event_received", "event": {"key": 1}},
    {"type": "error", "error": 7},
    {"type": 7},
]


@pytest.mark.parametrize("api", BOTH)
def test_hostile_events_end_no_supervisor(
    make_stack: MakeStack, openai: StandIn, emulator: Emulator, tmp_path: Path, api: str
) -> None:
    tools = Tools(emulator, tmp_path)
    order = {"name": "order", "lambda": tools.make("order")}
    stack = deploy(make_stack, tools, api, {"greeting": "Welcome.", "tools": [order]})
    script = [
        {"await": "attach"},
        *({"event": event} for event in _WRONG),
        {"text": '{"type": "session.updated", "session": ' + "[" * _DEEP + "]" * _DEEP + "}"},
        {"text": "[" * _DEEP},
        {"text": "not JSON"},
        {"binary": 100_000},
        {"flood": {"event": {"type": "info", "message": "x" * 1000}, "count": 5000}},
        # Longer than any event may be: the connection is given up, and opened again.
        {"huge": 3_000_000},
        {"wait": 3000},
        {"caller": "Hello?"},
        {"tool": {"name": "order", "arguments": {"number": 7}, "then": "It was sent."}},
        {"wait": 1500},
        "hang_up",
    ]
    call = Call(stack, openai, api, {"script": script, "audio": False})

    job = call.ended()

    assert job["summary"]["generations"] == 1, "the supervisor died"
    assert ("caller", "Hello?") in call.transcript()
    assert [run["arguments"] for run in tools.runs()] == [{"number": 7}]
    assert "sent" in json.dumps(openai.call(call.id)["commands"])
    # A Live session repeats it to each connection of the next three seconds.
    assert 2 <= openai.call(call.id)["attached"] <= (10 if api == "live" else 2)
