"""Limits of a call, and what is looked up for it, on a deployed stack in both APIs."""

import datetime
import json
from typing import Any

import pytest

from infra.local.emulator import Emulator
from infra.local.stand_in import Json, StandIn
from infra.local.watch import Watch
from tests.conftest import MakeStack
from tests.test_supervisor import BOTH, Call, Tools, deploy, tools  # noqa: F401

CLOSED = [["mon", "tue", "wed", "thu", "fri", "sat", "sun"][(datetime.datetime.now(datetime.UTC).weekday() + 3) % 7]]
"""A day that is neither today nor one beside it, in any zone."""

SPOKEN = {
    "type": "response.done",
    "response": {
        "id": "resp_spoken",
        "status": "completed",
        "output": [],
        "usage": {
            "input_tokens": 400,
            "output_tokens": 0,
            "total_tokens": 400,
            "input_token_details": {"text_tokens": 0, "audio_tokens": 400},
        },
    },
}
"""400 tokens of audio, for 0.0128 dollars."""

LIMITS: dict[str, tuple[Json, list[Any]]] = {
    "maximum_duration": ({"max_duration_seconds": 10}, []),
    "working_hours": ({"hours": {"zone": "UTC", "open": [{"days": CLOSED, "from": "10:00", "to": "11:00"}]}}, []),
    # Of a Realtime call each token costs, of a Live call each second.
    "cost_limit": ({"cost_usd": 0.01}, [{"usage": 15}, {"event": SPOKEN}]),
}


@pytest.mark.parametrize("api", BOTH)
@pytest.mark.parametrize("reason", LIMITS)
def test_a_limit_ends_a_call_after_a_farewell(
    make_stack: MakeStack,
    openai: StandIn,
    tools: Tools,  # noqa: F811
    api: str,
    reason: str,
) -> None:
    limits, script = LIMITS[reason]
    stack = deploy(make_stack, tools, api, {"limits": {**limits, "farewell": "It is time to stop."}})
    watch = Watch(stack)
    call = Call(stack, openai, api, {"script": [{"await": "attach"}, *script], "audio": False})

    job = call.ended()

    assert job["summary"]["reason"] == reason
    assert "It is time to stop." in call.said()
    assert ("supervisor", f"A limit ends the call: {reason}.") in call.transcript()
    (alert,) = watch.alerts()
    assert alert.attributes["severity"] == "warning"
    if reason == "cost_limit":
        assert job["summary"]["cost_usd"] >= limits["cost_usd"]
        assert job["summary"]["usage"]["unpriced_responses"] == 0


@pytest.mark.parametrize("api", BOTH)
def test_the_caller_is_looked_up_in_a_table_of_the_team(
    make_stack: MakeStack,
    openai: StandIn,
    tools: Tools,  # noqa: F811
    emulator: Emulator,
    api: str,
) -> None:
    dynamodb, name = emulator.client("dynamodb"), f"customers-{api}"
    made = dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "phone", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "phone", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName=name, Item={"phone": {"S": "+14255550123"}, "name": {"S": "Anna"}})
    supervise = {"built_in": ["look_up", "hang_up"], "look_up": {"table": name, "key": "phone"}}

    def make(**parameters: str) -> Any:
        return make_stack(**parameters, CallLookUpTableArn=made["TableDescription"]["TableArn"])

    stack = deploy(make, tools, api, supervise)  # type: ignore[arg-type]
    script = [
        {"await": "attach"},
        {"tool": {"name": "look_up", "then": "Hello Anna."}},
        {"tool": {"name": "look_up", "call_id": "call_other", "arguments": {"number": "+1999"}, "then": "Not known."}},
        {"tool": {"name": "hang_up", "go_on": True}},
    ]
    call = Call(stack, openai, api, {"script": script})

    call.ended()

    results = {item["call_id"]: item["result"] for item in call.items("tool") if item["name"] == "look_up"}
    other = results.pop("call_other")
    assert json.loads(next(iter(results.values())))["name"] == "Anna"
    assert "Anna" not in other
    assert not any("4255550123" in line for line in stack.logs("supervisor"))
