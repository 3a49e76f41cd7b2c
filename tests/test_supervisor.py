"""Live sessions under a supervisor: greeted, served, steered, handed over, ended and recorded, in both APIs."""

import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.emulator import Emulator
from infra.local.stack import Stack
from infra.local.stand_in import Json, StandIn
from infra.local.watch import Watch
from tests.conftest import MakeStack
from tests.waiting import wait_until

BOTH = ["live", "realtime"]
_EVENTS = {"live": "live.transport.incoming", "realtime": "realtime.call.incoming"}
_SESSIONS: dict[str, Json] = {
    "live": {
        "model": "gpt-live-1",
        "store": True,
        "delegation": {"type": "responses", "responses": {"model": "gpt-6-luna"}},
    },
    "realtime": {"model": "gpt-realtime-2.1"},
}
_TOOL = """
import json, os, time

def handler(event, context):
    with open(os.environ["RUNS"], "a") as runs:
        runs.write(json.dumps(event) + "\\n")
    time.sleep(float(os.environ["SECONDS"]))
    if os.environ["FAILS"] == "yes":
        raise ValueError("no")
    return {"state": "sent"}
"""


class Tools:
    """Lambda functions that the model may call, and what they were called with."""

    def __init__(self, emulator: Emulator, directory: Path) -> None:
        """Make none yet."""
        self._lambda = emulator.client("lambda")
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = emulator.client("iam").create_role(RoleName=f"tool-{time.time_ns()}", AssumeRolePolicyDocument=policy)
        self._role = role["Role"]["Arn"]
        self._runs = directory / "runs"
        self.arns: list[str] = []

    def make(self, name: str, *, seconds: float = 0, fails: bool = False) -> str:
        """Make a function that takes so long, and return its ARN."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("tool.py", _TOOL)
        environment = {"RUNS": str(self._runs), "SECONDS": str(seconds), "FAILS": "yes" if fails else "no"}
        made = self._lambda.create_function(
            FunctionName=f"{name}-{time.time_ns()}",
            Runtime="python3.12",
            Handler="tool.handler",
            Role=self._role,
            Timeout=30,
            Code={"ZipFile": packed.getvalue()},
            Environment={"Variables": environment},
        )
        self.arns.append(made["FunctionArn"])
        return made["FunctionArn"]

    def runs(self) -> list[Json]:
        """What the functions were called with, in order."""
        return [json.loads(line) for line in self._runs.read_text().splitlines()] if self._runs.exists() else []


class Call:
    """A supervised call."""

    def __init__(self, stack: Stack, openai: StandIn, api: str, plan: Json) -> None:
        """Let it ring."""
        answer = openai.call_in(events=[_EVENTS[api]], plan=plan)
        self._stack, self._openai, self.api = stack, openai, api
        self.id: str = answer["call"]["session_id" if api == "live" else "call_id"]

    def items(self, kind: str) -> list[Json]:
        """Items of the session in the ledger, such as `line`, in order."""
        pk = f"session#{self.api}#{self.id}"
        found = [item for item in self._stack.ledger() if item["pk"] == pk and item["sk"].split("#")[0] == kind]
        return sorted(found, key=lambda item: item["sk"])

    def record(self) -> Json | None:
        """The session's record, or `None`."""
        return next(iter(self.items("session")), None)

    def state(self) -> str | None:
        """State of the session, or `None`."""
        record = self.record()
        return record["state"] if record else None

    def tools(self) -> dict[str, Json]:
        """Tool calls by the name of the tool."""
        return {item["name"]: item for item in self.items("tool")}

    def ask(self, kind: str, argument: Any) -> Json:
        """Ask something of the session and wait for the answer."""
        now = int(time.time() * 1000)
        key = {"pk": {"S": f"session#{self.api}#{self.id}"}, "sk": {"S": f"control#{now:014}-{time.time_ns()}"}}
        item = {
            "kind": {"S": kind},
            "argument": {"S": json.dumps(argument)},
            "asked_by": {"S": "anna"},
            "asked_at": {"N": str(now)},
        }
        dynamodb, table = self._stack.emulator.client("dynamodb"), self._stack.outputs["TableName"]
        dynamodb.put_item(TableName=table, Item={**key, **item})

        def answered() -> Json | None:
            asked = next(item for item in self.items("control") if item["sk"] == key["sk"]["S"])
            return asked if "confirmed" in asked else None

        return wait_until(f"{kind} is answered", answered)

    def commands(self, kind: str | None = None) -> list[Json]:
        """Client events that OpenAI got, all or of one type."""
        found = [entry["event"] for entry in self._openai.call(self.id)["commands"] if "event" in entry]
        return [event for event in found if kind in (None, event["type"])]

    def said(self) -> str:
        """Everything that the supervisor had the model say."""
        return json.dumps(self.commands("session.commentary.append") + self.commands("response.create"))

    def play(self, *steps: Any) -> None:
        """Go on with these steps."""
        self._openai.command("POST", f"calls/{self.id}/play", list(steps))

    def ended(self, timeout: float = 60) -> Json:
        """Wait until everything about the call is written, and return its job."""
        wait_until("the session is recorded", lambda: self.state() == "ended", timeout=timeout)
        job = self._stack.job("realtime", self.id)
        assert job is not None
        return job

    def artifact(self, name: str) -> bytes:
        """An artifact of the call."""
        found = self._stack.artifact(f"call/{self.id}/{name}")
        assert found is not None
        return found

    def transcript(self) -> list[tuple[str, str]]:
        """Who said what."""
        lines = [json.loads(line) for line in self.artifact("transcript.jsonl").splitlines()]
        return [(line["role"], line["text"]) for line in lines]


@pytest.fixture
def tools(emulator: Emulator, tmp_path: Path) -> Iterator[Tools]:
    return Tools(emulator, tmp_path)


def deploy(make_stack: MakeStack, tools: Tools, api: str, supervise: Json, session: Json | None = None) -> Stack:
    """Deploy a stack that accepts calls of this API and supervises them."""
    stack = make_stack(CallToolFunctionArns=",".join(tools.arns))
    accept = {"session": {**_SESSIONS[api], **(session or {})}, "supervise": supervise}
    stack.set_call_policy(json.dumps({"answer_as": api, "default": {"accept": accept}}))
    return stack


@pytest.mark.parametrize("api", BOTH)
def test_a_call_is_greeted_served_steered_and_recorded(
    make_stack: MakeStack, openai: StandIn, tools: Tools, api: str
) -> None:
    supervise = {
        "greeting": "Welcome to Example.",
        "tools": [
            {"name": "orders", "lambda": tools.make("orders", seconds=2.5), "while_slow": "Let me look."},
            {"name": "broken", "lambda": tools.make("broken", fails=True)},
        ],
        "built_in": ["collect_digits", "leave_note"],
    }
    stack = deploy(make_stack, tools, api, supervise)
    watch = Watch(stack)
    script = [
        {"await": "attach"},
        {"caller": "Where is my order?"},
        {"tool": {"name": "orders", "arguments": {"order": 7}, "then": "It is on its way."}},
        {"tool": {"name": "broken", "then": "That did not work."}},
        {"tool": {"name": "collect_digits", "arguments": {"length": 4}, "go_on": True, "then": "Thank you."}},
        {"wait": 1000},
        {"dtmf": "1234"},
        {"tool": {"name": "leave_note", "arguments": {"note": "Call me back"}, "then": "I have told them."}},
    ]
    call = Call(stack, openai, api, {"script": script})

    wait_until("the last tool is run", lambda: call.tools().get("leave_note", {}).get("given_at"), timeout=60)
    assert call.ask("message", {"text": "The order is number 7."})["confirmed"] == 1
    refused = call.ask("send_dtmf" if api == "realtime" else "cancel", {"key": "1"})
    assert refused["confirmed"] == 0
    assert "no command" in refused["reason"]
    call.play({"caller": "Goodbye"}, {"wait": 1500}, "hang_up")
    job = call.ended()

    assert (job["status"], job["summary"]["reason"]) == ("ended", "remote_hangup")
    assert job["summary"]["generations"] == 1
    said = call.said()
    assert "Welcome to Example." in said
    assert "Let me look." in said
    assert [run["name"] for run in tools.runs()] == ["orders", "broken"]
    assert tools.runs()[0]["arguments"] == {"order": 7}
    found = call.tools()
    assert json.loads(found["orders"]["result"]) == {"state": "sent"}
    assert "The function failed" in found["broken"]["result"]
    assert json.loads(found["collect_digits"]["result"]) == {"digits": "1234"}
    assert any("Call me back" in alert.message for alert in watch.alerts())
    transcript = call.transcript()
    assert ("caller", "Where is my order?") in transcript
    assert ("tool", "orders: done") in transcript
    assert ("tool", "broken: failed") in transcript
    assert any(role == "person" and "anna asked for message: confirmed" in text for role, text in transcript)
    assert "1234" not in json.dumps(transcript)
    summary = json.loads(call.artifact("summary.json"))
    assert {tool["name"] for tool in summary["tools"]} == set(found)
    assert [asked["asked_by"] for asked in summary["asked"]] == ["anna", "anna"]
    if api == "live":
        assert call.artifact("recording.wav").startswith(b"RIFF")
        assert job["summary"]["cost_usd"] >= 0
    kinds = [outcome.detail_type for outcome in watch.outcomes()]
    assert kinds.count("call.started") == kinds.count("call.ended") == 1
    assert kinds.count("call.tool_run") == 4
    assert not any("4255550123" in line for line in stack.logs("supervisor"))


@pytest.mark.parametrize("api", BOTH)
def test_a_call_is_handed_over_by_plan_while_a_tool_runs(
    make_stack: MakeStack, openai: StandIn, tools: Tools, api: str
) -> None:
    slow = {"name": "orders", "lambda": tools.make("orders", seconds=8), "timeout_seconds": 30}
    stack = deploy(make_stack, tools, api, {"greeting": "Welcome.", "tools": [slow]})
    # The hand-over begins 90 seconds before the end.
    functions = stack.emulator.client("lambda")
    functions.update_function_configuration(FunctionName=f"{stack.name}-supervisor", Timeout=96)
    script = [
        {"await": "attach"},
        {"wait": 3000},
        {"tool": {"name": "orders", "then": "It is on its way."}},
        {"wait": 2000},
        {"caller": "Thank you"},
        {"wait": 2000},
        "hang_up",
    ]
    call = Call(stack, openai, api, {"script": script})

    job = call.ended(timeout=90)

    assert job["summary"]["reason"] == "remote_hangup"
    assert job["summary"]["generations"] >= 2
    assert len(tools.runs()) == 1
    (orders,) = call.items("tool")
    assert (json.loads(orders["result"]), "given_at" in orders) == ({"state": "sent"}, True)
    results = [event for event in call.commands() if event.get("item", {}).get("type") == "function_call_output"]
    assert [event["item"]["output"] for event in results] == ['{"state": "sent"}'], "told once"
    assert call.said().count("Welcome.") == 1
    transcript = call.transcript()
    assert transcript.count(("caller", "Thank you")) == 1
    assert not any(role == "supervisor" for role, _ in transcript), "nothing was missed"


@pytest.mark.parametrize("api", BOTH)
def test_a_killed_supervisor_is_replaced_and_no_tool_runs_twice(
    make_stack: MakeStack, openai: StandIn, tools: Tools, api: str
) -> None:
    once = {"name": "orders", "lambda": tools.make("orders", seconds=5), "timeout_seconds": 6}
    stack = deploy(make_stack, tools, api, {"greeting": "Welcome.", "tools": [once]})
    script = [
        {"await": "attach"},
        {"caller": "Where is my order?"},
        {"tool": {"name": "orders", "then": "I do not know."}},
        {"wait": 2000},
        "hang_up",
    ]
    call = Call(stack, openai, api, {"script": script})
    wait_until("the tool runs", tools.runs)
    wait_until("what was said is kept", lambda: call.items("line"))
    assert stack.kill("supervisor") >= 1

    wait_until("another supervisor has it", lambda: (record := call.record()) and record["generation"] == 2)
    job = call.ended(timeout=90)

    assert (job["summary"]["reason"], job["summary"]["generations"]) == ("remote_hangup", 2)
    assert len(tools.runs()) == 1
    (orders,) = call.items("tool")
    assert "its result was lost" in orders["result"]
    assert "given_at" in orders
    assert call.said().count("Welcome.") == 1
    assert ("caller", "Where is my order?") in call.transcript()


@pytest.mark.parametrize("api", BOTH)
def test_a_transfer_that_does_not_happen_falls_back(
    make_stack: MakeStack, openai: StandIn, tools: Tools, api: str
) -> None:
    transfer = {
        "targets": [{"name": "sales", "target_uri": "tel:+498005550111"}],
        "confirm_seconds": 2,
        "fallback": {"say": "Nobody is there. May I take a message?"},
    }
    stack = deploy(make_stack, tools, api, {"built_in": ["transfer", "hang_up"], "transfer": transfer})
    watch = Watch(stack)
    script = [
        {"await": "attach"},
        {"tool": {"name": "transfer", "arguments": {"target": "sales"}, "then": "What shall I write?"}},
        {"tool": {"name": "hang_up", "go_on": True}},
    ]
    call = Call(stack, openai, api, {"script": script, "refer": "stays"})

    job = call.ended()

    assert job["summary"]["reason"] == "hung_up"
    assert "Nobody is there." in call.said()
    assert "did not happen" in call.tools()["transfer"]["result"]
    assert any(alert.subject == "A caller could not be transferred" for alert in watch.alerts())
    assert not any("8005550111" in line for line in stack.logs("supervisor"))


@pytest.mark.parametrize("api", BOTH)
def test_a_transfer_ends_the_session(make_stack: MakeStack, openai: StandIn, tools: Tools, api: str) -> None:
    transfer = {"targets": [{"name": "sales", "target_uri": "tel:+498005550111"}]}
    stack = deploy(make_stack, tools, api, {"built_in": ["transfer"], "transfer": transfer})
    watch = Watch(stack)
    script = [{"await": "attach"}, {"tool": {"name": "transfer", "arguments": {"target": "sales"}}}]
    call = Call(stack, openai, api, {"script": script})

    job = call.ended()

    assert job["summary"]["reason"] == "transferred"
    assert openai.call(call.id)["request"] == {"target_uri": "tel:+498005550111"}
    assert len(watch.outcomes("call.transferred")) == 1


@pytest.mark.parametrize("api", BOTH)
def test_a_call_that_is_accepted_but_dead_is_told(
    make_stack: MakeStack, openai: StandIn, tools: Tools, api: str
) -> None:
    stack = deploy(make_stack, tools, api, {"greeting": "Welcome."})
    watch = Watch(stack)
    call = Call(stack, openai, api, {"accept": "dead"})

    job = call.ended()

    assert job["summary"]["reason"] == "dead"
    (alert,) = watch.alerts()
    assert alert.attributes["severity"] == "critical"
    assert "OpenAI answered that the call is accepted, and there is no session" in alert.message


@pytest.mark.parametrize("api", BOTH)
def test_a_session_that_takes_one_connection_is_handed_over_all_the_same(
    make_stack: MakeStack, openai: StandIn, tools: Tools, api: str
) -> None:
    stack = deploy(make_stack, tools, api, {"greeting": "Welcome."})
    functions = stack.emulator.client("lambda")
    functions.update_function_configuration(FunctionName=f"{stack.name}-supervisor", Timeout=94)
    script = [{"await": "attach"}, {"wait": 9000}, {"caller": "Are you there?"}, {"wait": 2000}, "hang_up"]
    call = Call(stack, openai, api, {"script": script, "second_attach": "refused"})

    job = call.ended(timeout=60)

    assert job["summary"]["generations"] >= 2
    assert ("caller", "Are you there?") in call.transcript()


def test_silence_is_asked_about_and_then_ends_the_call(make_stack: MakeStack, openai: StandIn, tools: Tools) -> None:
    limits = {"idle_seconds": 5, "idle_warning": "Is anybody there?", "farewell": "Goodbye then."}
    stack = deploy(make_stack, tools, "live", {"limits": limits})
    watch = Watch(stack)
    call = Call(stack, openai, "live", {"script": [{"await": "attach"}, {"caller": "Hello"}]})

    job = call.ended()

    assert job["summary"]["reason"] == "idle"
    said = call.said()
    assert said.index("Is anybody there?") < said.index("Goodbye then.")
    (alert,) = watch.alerts()
    assert alert.attributes["severity"] == "warning"


def test_a_connected_session_is_supervised(make_stack: MakeStack, openai: StandIn, tools: Tools) -> None:
    stack = deploy(make_stack, tools, "live", {"greeting": "Welcome."})
    created = openai.sdk().post(
        "/live/sessions",
        body={"session": {"type": "live", **_SESSIONS["live"]}, "transport": {"type": "webrtc", "sdp": "v=0"}},
        cast_to=object,
    )
    session_id = created["session"]["id"]  # type: ignore[index]

    def active() -> bool:
        return any(i["pk"] == f"session#live#{session_id}" and i.get("state") == "active" for i in stack.ledger())

    wait_until("it is supervised", active)
    assert "Welcome." in json.dumps(openai.call(session_id)["commands"])
