"""Live calls from the command line: every command of `calls` but those of the policy."""

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

CONTROLS = {
    "mute": "session.input_audio.mute",
    "unmute": "session.input_audio.unmute",
    "commit-audio": "input_audio_buffer.commit",
    "clear-audio": "input_audio_buffer.clear",
    "cancel": "response.cancel",
}
"""What `calls control` asks for, each with the client event that OpenAI gets."""
CONTROLS_OF = {"live": {"mute", "unmute"}, "realtime": {"commit-audio", "clear-audio", "cancel"}}

Ring = Callable[..., str]


@pytest.fixture
def cli(stack: Stack, openai: StandIn) -> Cli:
    """The command line, with access to the stack and to OpenAI."""
    return Cli(stack, openai)


@pytest.fixture
def ring(stack: Stack, openai: StandIn, cli: Cli) -> Ring:
    """Accepts a call under supervision, and answers its id once its supervisor is attached."""

    def ring(api: str, *script: Json | str, session: Json | None = None, **plan: Any) -> str:
        accept = {"session": SESSIONS[api] | (session or {}), "supervise": {}}
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
def test_each_control_is_confirmed_in_its_api_and_refused_in_the_other(
    openai: StandIn, cli: Cli, ring: Ring, api: str
) -> None:
    # Nobody but `commit-audio` ends the caller's turn.
    session = {"audio": {"input": {"turn_detection": None}}} if api == "realtime" else {}
    call_id = ring(api, {"caller": "One two"}, {"model": " ".join(["word"] * 90)}, session=session)
    if api == "realtime":
        wait_until("the model speaks", lambda: "response.created" in openai.call(call_id)["events"])
    for control, event in CONTROLS.items():
        result = cli.run("calls", "control", call_id, control, "--json", USER="anna")
        is_of_api = control in CONTROLS_OF[api]
        answer = result.json()
        reason = answer.pop("reason")
        assert answer == {"id": call_id, "asked": control.replace("-", "_"), "confirmed": is_of_api}, reason
        assert (result.code, reason is None) == ((0, True) if is_of_api else (1, False))
        assert is_of_api or "no command" in reason
        assert len(commands(openai, call_id, event)) == is_of_api
    known, other = ("unmute", "cancel") if api == "live" else ("clear-audio", "mute")
    assert cli.run("calls", "control", call_id, known).out == "Confirmed.\n"
    assert cli.run("calls", "control", call_id, other).out.startswith("Refused: ")
    asked = succeeded(cli.run("calls", "show", call_id, "--json"))["asked"]
    assert [entry["kind"].replace("_", "-") for entry in asked] == [*CONTROLS, known, other]
    assert all(entry["asked_by"] == "anna" for entry in asked[: len(CONTROLS)])


@pytest.mark.parametrize("api", BOTH)
def test_the_result_of_a_tool_that_people_run_is_given_once(openai: StandIn, cli: Cli, ring: Ring, api: str) -> None:
    call_id = ring(api, {"tool": {"name": "unlisted", "call_id": "call_7", "go_on": True}})
    wait_until("the tool waits", lambda: succeeded(cli.run("calls", "show", call_id, "--json"))["tools"])

    given = cli.run("calls", "result", call_id, "call_7", '{"state": "sent"}', "--json")
    assert succeeded(given) == {"id": call_id, "asked": "function_result", "confirmed": True, "reason": None}
    create = "response.item.create" if api == "live" else "conversation.item.create"

    def outputs() -> list[str]:
        items = [event["item"] for event in commands(openai, call_id, create)]
        return [item["output"] for item in items if item["type"] == "function_call_output"]

    wait_until("the model has it", outputs)
    again = cli.run("calls", "result", call_id, "call_7", "Another one", "--json")
    assert (again.code, again.json()["confirmed"]) == (1, False)
    assert "has a result already" in again.json()["reason"]
    other = cli.run("calls", "result", call_id, "call_8", "sent", "--json")
    assert (other.code, other.json()["reason"]) == (1, "there is no such call")
    assert outputs() == ['{"state": "sent"}']


@pytest.mark.parametrize("api", BOTH)
def test_a_change_is_asked_of_all_live_calls(openai: StandIn, cli: Cli, ring: Ring, api: str) -> None:
    told = "session.instructions.append" if api == "live" else "session.update"
    change = '{"instructions": "We close in ten minutes."}'
    listening, deaf = ring(api), ring(api, ignore=[told])

    would = succeeded(cli.run("calls", "broadcast", "-", "--dry-run", "--json", stdin=change))
    assert (would["dry_run"], set(would["calls"])) == (True, {listening, deaf})
    assert commands(openai, listening, told) == []
    asked = cli.run("calls", "broadcast", "-", "--yes", "--json", stdin=change, USER="anna")
    answers = {answer["id"]: answer["answer"] for answer in asked.json()["calls"]}
    assert (asked.code, asked.json()["dry_run"], answers[listening]) == (1, False, "confirmed")
    assert answers[deaf].startswith("refused: ")
    assert "We close in ten minutes." in json.dumps(commands(openai, listening, told))
    (entry,) = succeeded(cli.run("calls", "show", listening, "--json"))["asked"]
    assert (entry["kind"], entry["asked_by"], entry["confirmed"]) == ("update", "anna", True)

    end(cli, deaf)
    assert succeeded(cli.run("calls", "broadcast", "-", "--yes", "--json", stdin=change)) == {
        "dry_run": False,
        "calls": [{"id": listening, "answer": "confirmed"}],
    }
    end(cli, listening)
    assert succeeded(cli.run("calls", "broadcast", "-", "--yes", "--json", stdin=change))["calls"] == []
    assert cli.run("calls", "broadcast", "-", "--yes", stdin=change).out == "There is no live call.\n"


@pytest.mark.parametrize("api", BOTH)
def test_nothing_can_be_asked_of_a_call_that_has_ended_or_is_unknown(cli: Cli, ring: Ring, api: str) -> None:
    ended, unknown = ring(api), "live_unknown" if api == "live" else "rtc_unknown"
    end(cli, ended)
    for call_id, why in ((ended, "has ended"), (unknown, "supervises no call")):
        for command, *more in [*(["control", control] for control in CONTROLS), ["result", "call_7", "sent"]]:
            refused = cli.run("calls", command, call_id, *more, "--json")
            assert (refused.code, refused.out) == (1, ""), (command, more)
            assert why in refused.error()["error"], (command, more)


def end(cli: Cli, call_id: str) -> None:
    """Hang up, and wait until everything about the call is written."""
    succeeded(cli.run("calls", "hangup", call_id, "--yes", "--json"))
    state = lambda: succeeded(cli.run("calls", "show", call_id, "--json"))["state"]  # noqa: E731
    wait_until("the call has ended", lambda: state() == "ended", timeout=60)


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
        ["control", "live_1", "louder"],
        ["control", "../x", "mute"],
        ["result", "live_1", "call_7", "x" * 32_769],
    ],
)
def test_unusable_arguments_are_refused(arguments: list[str]) -> None:
    assert Cli().run("calls", *arguments).code == 2


@pytest.mark.parametrize("change", ["", "[]", "{", '"text"'])
@pytest.mark.parametrize("command", [["update", "live_1", "-"], ["broadcast", "-", "--yes"]])
def test_a_change_that_is_no_object_is_refused(command: list[str], change: str) -> None:
    assert Cli().run("calls", *command, stdin=change).code == 2
