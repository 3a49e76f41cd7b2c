"""One call with everything in it, in both APIs, on a deployed stack."""

import json

import pytest

from infra.local.console import served
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.conftest import MakeStack
from tests.test_console_calls import Api
from tests.test_supervisor import BOTH, Call, Tools, deploy, tools  # noqa: F401
from tests.waiting import wait_until


@pytest.mark.parametrize("api", BOTH)
def test_a_call_with_everything_in_it_ends_with_a_right_record(
    make_stack: MakeStack,
    openai: StandIn,
    tools: Tools,  # noqa: F811
    api: str,
) -> None:
    supervise = {
        "greeting": "Welcome to Example.",
        "tools": [
            {"name": "orders", "lambda": tools.make("orders", seconds=2.5), "while_slow": "Let me look."},
            {"name": "broken", "lambda": tools.make("broken", fails=True)},
        ],
        "built_in": ["collect_digits", "transfer", "hang_up"],
        "transfer": {
            "targets": [{"name": "sales", "target_uri": "tel:+498005550111"}],
            "confirm_seconds": 2,
            "fallback": {"say": "Nobody is there."},
        },
    }
    stack = deploy(make_stack, tools, api, supervise)
    watch = Watch(stack)
    # The hand-over begins 90 seconds before the end.
    functions = stack.emulator.client("lambda")
    functions.update_function_configuration(FunctionName=f"{stack.name}-supervisor", Timeout=102)
    script = [
        {"await": "attach"},
        {"caller": "Where is my order?"},
        {"tool": {"name": "orders", "then": "It is on its way."}},
        {"tool": {"name": "broken", "then": "That did not work."}},
        {"tool": {"name": "collect_digits", "arguments": {"length": 2}, "go_on": True, "then": "Thank you."}},
        {"wait": 1000},
        {"dtmf": "47"},
    ]
    call = Call(stack, openai, api, {"script": script, "refer": "stays", "audio": False})
    with served(stack) as link:
        console = Api(link)
        wait_until("the digits are given", lambda: "given_at" in call.tools().get("collect_digits", {}), timeout=60)
        assert console.act(call.id, "message", {"text": "It is order 7."})[0] == 200

    def generation() -> int:
        return int((call.record() or {}).get("generation", 0))

    wait_until("it is handed over by plan", lambda: generation() >= 2, timeout=60)
    call.play({"caller": "Are you still there?"})
    wait_until("the successor hears", lambda: "there?" in json.dumps(call.items("line"), default=str))
    before = generation()
    assert stack.kill("supervisor") >= 1
    wait_until("another one has it after the kill", lambda: generation() > before, timeout=60)
    call.play(
        {"tool": {"name": "transfer", "arguments": {"target": "sales"}, "then": "What shall I write?"}},
        {"tool": {"name": "hang_up", "go_on": True}},
    )
    job = call.ended(timeout=90)

    summary = json.loads(call.artifact("summary.json"))
    assert (job["status"], job["summary"]["reason"]) == ("ended", "hung_up")
    assert job["summary"]["generations"] >= 3
    assert job["summary"]["usage"]["total_tokens"] > 0
    assert [run["name"] for run in tools.runs()] == ["orders", "broken"], "each tool ran once"
    runs = {tool["name"]: (tool["success"], tool["claims"]) for tool in summary["tools"]}
    assert runs["orders"] == (True, 1)
    assert runs["broken"] == (False, 1)
    assert runs["collect_digits"] == (True, 1)
    assert runs["transfer"][0] is False
    assert all(tool["given"] for tool in summary["tools"])
    assert [(asked["kind"], asked["asked_by"]) for asked in summary["asked"]] == [("message", "oncall")]
    said = call.said()
    assert said.count("Welcome to Example.") == 1
    assert said.index("Let me look.") < said.index("Nobody is there.")
    results = [event for event in call.commands() if event.get("item", {}).get("type") == "function_call_output"]
    ids = [event["item"]["call_id"] for event in results]
    assert len(ids) == len(set(ids)) == 4, "each result is told once; of hanging up none"
    transcript = call.transcript()
    for line in (
        ("caller", "Where is my order?"),
        ("caller", "Are you still there?"),
        ("tool", "orders: done"),
        ("tool", "broken: failed"),
        ("tool", "transfer: failed"),
    ):
        assert transcript.count(line) == 1, line
    assert any(alert.subject == "A caller could not be transferred" for alert in watch.alerts())
    kinds = [outcome.detail_type for outcome in watch.outcomes()]
    assert kinds.count("call.started") == kinds.count("call.ended") == 1
