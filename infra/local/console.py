"""The console on this machine: started as a person would, on a stack with something of everything."""

import datetime
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local import scenario
from infra.local.processes import ROOT
from infra.local.stack import Stack
from infra.local.stand_in import Json, StandIn

COMMAND = ROOT / "target" / "local" / "openai-webhooks"
PRICES = {scenario.MODEL: {"input": 0.4, "cached": 0.1, "output": 1.6}}
"""Price table: dollars for a million tokens."""

_NAMESPACE = "OpenAIWebhooks"
_TIMEOUT_SECONDS = 60.0


@contextmanager
def served(stack: Stack, *options: str, command: Path = COMMAND, **environment: str) -> Iterator[str]:
    """Start `openai-webhooks console` with these options and yield the link that it prints."""
    line = [command, "console", "--no-browser", "--json", *options]
    variables = stack.command_environment() | {"HOME": "/nonexistent", "USER": "oncall"} | environment
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=variables) as process:
        try:
            text = ""
            while process.stdout is not None and not text.rstrip().endswith("}"):
                read = process.stdout.readline()
                if not read:
                    raise RuntimeError("the console did not start")
                text += read
            yield json.loads(text)["link"]
        finally:
            process.terminate()


def requests(count: int, model: str = scenario.MODEL) -> str:
    """Return lines of requests for a batch."""
    lines = [
        {
            "custom_id": f"request-{number}",
            "method": "POST",
            "url": "/v1/responses",
            "body": {"model": model, "input": f"Summarise ticket {number} in one line."},
        }
        for number in range(1, count + 1)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def batch(openai: StandIn, count: int, done: int, failed: int = 0) -> str:
    """Create a batch at OpenAI that is under way, and return its id."""
    sdk = openai.sdk()
    file = sdk.files.create(file=("requests.jsonl", requests(count).encode()), purpose="batch")
    made = sdk.batches.create(input_file_id=file.id, endpoint="/v1/responses", completion_window="24h")
    openai.advance(made.id, "in_progress", request_counts={"total": count, "completed": done, "failed": failed})
    return made.id


def play(stack: Stack, openai: StandIn) -> dict[str, str]:
    """Fill a stack: something of every category, and what `fill` adds. Returns ids by name."""
    played = scenario.play(openai, stack)
    _await(lambda: scenario.handled(stack, played) == len(played))
    ids = fill(stack, openai, played)
    # For a type that nothing here sends, so that no delivery comes twice.
    create = [COMMAND, "endpoints", "create", "--event-types", "eval.run.succeeded", "--yes"]
    subprocess.run(create, env=stack.command_environment(), check=True, capture_output=True)
    return ids


def fill(stack: Stack, openai: StandIn, played: list[scenario.Played], unlisted: str = "project") -> dict[str, str]:
    """Add failures, what is under way, what is overdue, and settings. Returns ids by name, those of `played` too.

    `unlisted` is the endpoint of types that OpenAI does not offer.
    """
    under_way = batch(openai, 100, 45)
    batch(openai, 1000, 451, 12)
    stack.expect("batch", under_way, due_in=24 * 3600)
    late = openai.sdk().responses.create(model=scenario.MODEL, input="Still there?", background=True)
    stack.expect("response", late.id, due_in=-2100, context='{"order": 4711}')
    openai.fault("GET /v1/responses/{id}", "status", status=401)
    failed = []
    for number in range(7):
        made = openai.sdk().responses.create(model=scenario.MODEL, input=f"Number {number}", background=True)
        [delivery] = openai.finish_response(made.id, text="Never read.")["deliveries"]
        failed.append(delivery["webhook_id"])
    _await(lambda: all((stack.event(one) or {}).get("state") == "failed" for one in failed))
    openai.clear_faults()
    live_call, ended_call = calls(stack, openai, unlisted)
    _count(stack)
    ssm = stack.emulator.client("ssm")
    ssm.put_parameter(Name=f"/{stack.name}/prices", Value=json.dumps(PRICES), Type="String", Overwrite=True)
    model = {"Name": f"/{stack.name}/models/support", "Type": "String", "Overwrite": True}
    history = ssm.get_parameter_history(Name=model["Name"])["Parameters"]
    if len(history) == 1:
        # An earlier model, as if one had been promoted before the job's.
        earlier = "gpt-4.1-mini-2025-04-14"
        ssm.put_parameter(**model, Value=earlier, Description="Model set by oncall with openai-webhooks")
        ssm.put_parameter(**model, Value=history[0]["Value"], Description=history[0]["Description"])
    _save_view(stack, "Failed responses", "category=response&state=failed")
    by_category = {one.category: one for one in played}
    return {
        "batch": next(one.object_id for one in played if one.status == "completed"),
        "under_way": under_way,
        "response": by_category["response"].object_id,
        "job": by_category["fine-tuning"].object_id,
        "call": by_category["realtime"].object_id,
        "agent": by_category["agent"].object_id,
        "file": by_category["file"].object_id,
        "safety": by_category["safety"].object_id,
        "event": by_category["response"].webhook_id,
        "failed": failed[0],
        "live_call": live_call,
        "ended_call": ended_call,
    }


def _save_view(stack: Stack, name: str, query: str) -> None:
    stack.emulator.client("dynamodb").update_item(
        TableName=stack.outputs["TableName"],
        Key={"pk": {"S": "console#views"}, "sk": {"S": "views"}},
        UpdateExpression="SET #view = :query",
        ExpressionAttributeNames={"#view": f"view:{name}"},
        ExpressionAttributeValues={":query": {"S": query}},
    )


def calls(stack: Stack, openai: StandIn, endpoint: str = "project") -> tuple[str, str]:
    """Play supervised calls, and return the ids of one that goes on and of one that has ended."""
    built_in = ["collect_digits", "hang_up"]
    session = {"model": "gpt-live-1", "delegation": {"type": "responses", "responses": {"model": "gpt-6-luna"}}}
    policy = {
        "answer_as": "live",
        "rules": [
            {
                "name": "Caller cannot be read",
                "when": [{"header": "From", "part": "user", "is": "unreadable"}],
                "then": {"reject": {"status_code": 433}},
            }
        ],
        "default": {
            "accept": {
                "session": session,
                "supervise": {"greeting": "Welcome.", "built_in": built_in, "limits": {"idle_seconds": 600}},
            }
        },
    }
    stack.set_call_policy(json.dumps(policy))
    # A running process keeps the policy that it has read for half a minute.
    stack.set_environment("realtime")
    script: list[Json | str] = [
        {"await": "attach"},
        {"caller": "Hi, I would like to know where my order is. It is number 4711."},
        {"tool": {"name": "collect_digits", "arguments": {"length": 2}, "go_on": True, "then": "Thank you."}},
        {"wait": 1500},
        {"dtmf": "47"},
    ]
    ids = []
    for last in ([], [{"wait": 3000}, "hang_up"]):
        plan = {"script": script + last, "audio": False}
        call = openai.call_in(events=["live.transport.incoming"], endpoint=endpoint, plan=plan)["call"]["session_id"]
        ids.append(call)

    def state(call: str) -> str | None:
        found = [item for item in stack.ledger() if item["pk"] == f"session#live#{call}"]
        if not any(item["sk"].startswith("tool#") and "given_at" in item for item in found):
            return None
        return next((item["state"] for item in found if item["sk"] == "session"), None)

    _await(lambda: (state(ids[0]), state(ids[1])) == ("active", "ended"))
    return ids[0], ids[1]


def _count(stack: Stack) -> None:
    """Count deliveries as CloudWatch would: the emulator reads no metrics from logs."""
    now = datetime.datetime.now(datetime.UTC).replace(minute=10)
    accepted = [497, 543, 602, 585, 617, 675, 663, 618, 549, 471, 363, 308, 236, 211, 177, 153, 164, 174, 187, 224, 256]
    cloudwatch = stack.emulator.client("cloudwatch")
    for back in range(21):
        counts: Json = {"accepted": accepted[20 - back]}
        if back in (6, 7):
            counts |= {"no_matching_signature": 14 + back}
        if back == 2:
            counts |= {"secret_unavailable": 7}
        data = [
            {
                "MetricName": "Deliveries",
                "Dimensions": [
                    {"Name": "stack", "Value": stack.name},
                    {"Name": "endpoint", "Value": "project"},
                    {"Name": "outcome", "Value": outcome},
                ],
                "Timestamp": now - datetime.timedelta(hours=back),
                "Value": value,
                "Unit": "Count",
            }
            for outcome, value in counts.items()
        ]
        cloudwatch.put_metric_data(Namespace=_NAMESPACE, MetricData=data)
    for back in range(14):
        data = [
            {
                "MetricName": "Handled",
                "Dimensions": [
                    {"Name": "stack", "Value": stack.name},
                    {"Name": "category", "Value": category},
                    {"Name": "outcome", "Value": "completed"},
                ],
                "Timestamp": now - datetime.timedelta(days=back),
                "Value": value * (20 + (back * 7 + value) % 9),
                "Unit": "Count",
            }
            for category, value in {"response": 160, "batch": 3, "realtime": 24, "file": 9}.items()
        ]
        cloudwatch.put_metric_data(Namespace=_NAMESPACE, MetricData=data)


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("what was played was not handled")
        time.sleep(0.1)
