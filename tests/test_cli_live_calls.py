"""`calls list`, `show`, `follow`, `say`, `update`, `hangup`, `transfer`: live calls from the command line."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from infra.local.stack import Stack
from infra.local.stand_in import Json, StandIn
from tests.cli import Cli, Result
from tests.waiting import wait_until

BOTH = ["live", "realtime"]
EVENTS = {"live": "live.transport.incoming", "realtime": "realtime.call.incoming"}
SESSIONS: dict[str, Json] = {
    "live": {
        "model": "gpt-live-1",
        "delegation": {"type": "responses", "responses": {"model": "gpt-6-luna"}},
    },
    "realtime": {"model": "gpt-realtime-2.1"},
}
CHANGES: dict[str, Json] = {
    "live": {"delegation": {"type": "responses", "responses": {"instructions": "Be brief."}}},
    "realtime": {"instructions": "Be brief."},
}

Ring = Callable[..., str]


@pytest.fixture
def cli(stack: Stack, openai: StandIn) -> Cli:
    """The command line, with access to the stack and to OpenAI."""
    return Cli(stack, openai)


@pytest.fixture
def ring(stack: Stack, openai: StandIn, cli: Cli) -> Ring:
    """Accepts a call under supervision, and answers its id once its supervisor is attached."""

    def ring(api: str, *script: Json | str, **plan: Any) -> str:
        accept = {"session": SESSIONS[api], "supervise": {}}
        stack.set_call_policy(json.dumps({"answer_as": api, "default": {"accept": accept}}))
        plan = {"audio": False, "script": [{"await": "attach"}, *script], **plan}
        call = openai.call_in(events=[EVENTS[api]], plan=plan)["call"]
        call_id: str = call["session_id" if api == "live" else "call_id"]

        def is_active() -> bool:
            shown = cli.run("calls", "show", call_id, "--json")
            return shown.code == 0 and shown.json()["state"] == "active"

        wait_until("the call is supervised", is_active, timeout=60)
        return call_id

    return ring


def commands(openai: StandIn, call_id: str, kind: str) -> list[Json]:
    """Client events of this type that OpenAI got."""
    found = [command["event"] for command in openai.call(call_id)["commands"]]
    return [event for event in found if event["type"] == kind]


def succeeded(result: Result) -> Any:
    assert result.code == 0, result.err
    return result.json()


@pytest.mark.parametrize("api", BOTH)
def test_a_call_is_watched_and_steered_until_it_is_hung_up(openai: StandIn, cli: Cli, ring: Ring, api: str) -> None:
    call_id = ring(api, {"caller": "Hello there"}, speed=5)

    assert call_id in [
        call["id"] for call in map(json.loads, cli.run("calls", "list", "--open", "--json").out.splitlines())
    ]
    said = wait_until(
        "the caller is heard",
        lambda: [
            line
            for line in succeeded(cli.run("calls", "show", call_id, "--json"))["transcript"]
            if line["role"] == "caller"
        ],
    )
    assert "Hello" in said[0]["text"]

    update = cli.run("calls", "update", call_id, "-", "--json", stdin=json.dumps(CHANGES[api]), USER="anna")
    assert succeeded(update) == {"id": call_id, "asked": "update", "confirmed": True, "reason": None}
    assert "Be brief." in json.dumps(commands(openai, call_id, "session.update"))
    refused = cli.run("calls", "update", call_id, "-", "--json", stdin='{"model": "gpt-other"}', USER="anna")
    assert refused.code == 1
    assert refused.json()["confirmed"] is False
    assert succeeded(cli.run("calls", "say", call_id, "One moment please.", "--json"))["confirmed"] is True
    spoken = "session.commentary.append" if api == "live" else "response.create"
    wait_until("it is said", lambda: "One moment please." in json.dumps(commands(openai, call_id, spoken)))

    shown = succeeded(cli.run("calls", "show", call_id, "--json"))
    asked = [(entry["kind"], entry["asked_by"], entry["confirmed"]) for entry in shown["asked"]]
    assert asked[:2] == [("update", "anna", True), ("update", "anna", False)]
    text = cli.run("calls", "show", call_id).out
    assert "Transcript" in text
    assert "update  by anna  confirmed" in text

    beginning = call_id[:-2]
    assert succeeded(cli.run("calls", "show", beginning, "--json"))["id"] == call_id
    assert succeeded(cli.run("calls", "hangup", beginning, "--dry-run", "--json"))["id"] == call_id
    assert openai.call(call_id)["state"] == "accepted"
    assert succeeded(cli.run("calls", "hangup", call_id, "--yes", "--json"))["dry_run"] is False
    assert openai.call(call_id)["ended"] == "close_requested"

    followed = cli.run("calls", "follow", call_id, "--json")
    assert followed.code == 0
    assert any(json.loads(line)["role"] == "caller" for line in followed.out.splitlines())
    late = cli.run("calls", "say", call_id, "Anybody?", "--json")
    assert late.code == 1
    assert "has ended" in late.error()["error"]
    assert "has ended" in cli.run("calls", "hangup", call_id, "--yes", "--json").error()["error"]
    assert call_id not in cli.run("calls", "list", "--open", "--json").out
    assert call_id in cli.run("calls", "list").out


@pytest.mark.parametrize("api", BOTH)
def test_a_caller_is_transferred(openai: StandIn, cli: Cli, ring: Ring, api: str) -> None:
    call_id = ring(api)
    bad = cli.run("calls", "transfer", call_id, "https://example.com", "--yes")
    assert bad.code == 2
    succeeded(cli.run("calls", "transfer", call_id, "tel:+4930123456", "--yes", "--json"))
    call = openai.call(call_id)
    assert (call["state"], call["request"]) == ("referred", {"target_uri": "tel:+4930123456"})


def test_a_call_that_nobody_supervises_is_named_and_can_be_hung_up(openai: StandIn, cli: Cli) -> None:
    call_id = openai.call_in()["call"]["call_id"]
    for command in (["show"], ["follow"], ["say"], ["update"]):
        more = {"say": ["Hello"], "update": ["-"]}.get(command[0], [])
        result = cli.run("calls", *command, call_id, *more, "--json", stdin="{}")
        assert result.code == 1, result.err
        assert "supervises no call" in result.error()["error"]
    succeeded(cli.run("calls", "hangup", call_id, "--yes", "--json"))
    assert openai.call(call_id)["state"] == "ended"
    gone = cli.run("calls", "hangup", call_id, "--yes", "--json")
    assert gone.code == 1
    assert "OpenAI has no call" in gone.error()["error"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "../x"],
        ["say", "live_1", " "],
        ["say", "live_1", "x" * 2001],
        ["say", "live_1", "Hello", "--message", "--instruction"],
        ["transfer", "live_1", "tel:"],
        ["list", "--limit", "0"],
    ],
)
def test_unusable_arguments_are_refused(arguments: list[str]) -> None:
    assert Cli().run("calls", *arguments).code == 2


@pytest.mark.parametrize("change", ["", "[]", "{", '"text"'])
def test_a_change_that_is_no_object_is_refused(change: str) -> None:
    assert Cli().run("calls", "update", "live_1", "-", stdin=change).code == 2
