"""The console on this machine: started as a person would, and pictures of its pages.

    python -m infra.local.console [--into docs/console] [--binaries target/local]

deploys a stack, plays something of everything on it, failures too, and takes a picture of every page, dark and light,
wide and on a phone.
"""

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright

from infra.local import scenario
from infra.local.deploy import BINARIES
from infra.local.emulator import Emulator
from infra.local.processes import ROOT
from infra.local.stack import Stack, create
from infra.local.stand_in import Json, StandIn

CHROMIUM = "/usr/bin/chromium"
COMMAND = ROOT / "target" / "local" / "openai-webhooks"
SIZES = {"wide": (1280, 900), "phone": (390, 844)}
_NAMESPACE = "OpenAIWebhooks"
_TIMEOUT_SECONDS = 60.0


@contextmanager
def served(stack: Stack, command: Path = COMMAND, **environment: str) -> Iterator[str]:
    """Start `openai-webhooks console` and yield the link that it prints."""
    line = [command, "console", "--no-browser", "--json"]
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


@contextmanager
def browser() -> Iterator[Browser]:
    """Yield the system's Chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


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
    """Fill a stack: something of every category, failures, what waits, what is expected. Returns ids by name."""
    played = scenario.play(openai, stack)
    _await(lambda: scenario.handled(stack, played) == len(played))
    under_way = batch(openai, 100, 45)
    batch(openai, 1000, 451, 12)
    stack.expect("batch", under_way, due_in=24 * 3600)
    late = openai.sdk().responses.create(model=scenario.MODEL, input="Still there?", background=True)
    stack.expect("response", late.id, due_in=-2100, context='{"order": 4711}')
    failed = []
    openai.fault("GET /v1/responses/{id}", "status", status=401)
    for number in range(7):
        made = openai.sdk().responses.create(model=scenario.MODEL, input=f"Number {number}", background=True)
        [delivery] = openai.finish_response(made.id, text="Never read.")["deliveries"]
        failed.append(delivery["webhook_id"])
        _await(lambda: (stack.event(failed[-1]) or {}).get("state") == "failed")
    openai.clear_faults()
    live_call, ended_call = calls(stack, openai)
    _count(stack)
    by_category = {one.category: one for one in played}
    return {
        "batch": next(one.object_id for one in played if one.status == "completed"),
        "under_way": under_way,
        "response": by_category["response"].object_id,
        "job": by_category["fine-tuning"].object_id,
        "call": by_category["realtime"].object_id,
        "agent": by_category["agent"].object_id,
        "event": by_category["response"].webhook_id,
        "failed": failed[0],
        "live_call": live_call,
        "ended_call": ended_call,
    }


def calls(stack: Stack, openai: StandIn) -> tuple[str, str]:
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
        "default": {"accept": {"session": session, "supervise": {"greeting": "Welcome.", "built_in": built_in}}},
    }
    stack.set_call_policy(json.dumps(policy))
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
        call = openai.call_in(events=["live.transport.incoming"], plan=plan)["call"]["session_id"]
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


def pages(ids: dict[str, str]) -> dict[str, str]:
    """Every page with its address below the console's."""
    return {
        "overview": "",
        "events": "/events",
        "failures": "/events?state=failed",
        "events-none": "/events?category=file&type=video.*",
        "event": f"/events/project/{ids['event']}",
        "event-failed": f"/events/project/{ids['failed']}",
        "dead-letters": "/dead-letters",
        "batches": "/batches",
        "batch": f"/batches/{ids['batch']}?lines=failed",
        "batch-line": f"/batches/{ids['batch']}?custom_id=request-917",
        "batch-under-way": f"/batches/{ids['under_way']}",
        "submit": "/batches/new",
        "responses": "/objects/response",
        "response": f"/objects/response/{ids['response']}",
        "live-calls": "/calls",
        "live-call": f"/calls/{ids['live_call']}",
        "ended-call": f"/calls/{ids['ended_call']}",
        "call-policy": "/calls/policy?from=%2B4930123456&to=%2B498005550100",
        "calls": "/objects/realtime",
        "call": f"/objects/realtime/{ids['call']}",
        "agents": "/objects/agent",
        "agent": f"/objects/agent/{ids['agent']}",
        "fine-tuning": "/objects/fine-tuning",
        "fine-tuning-job": f"/objects/fine-tuning/{ids['job']}",
        "files": "/objects/file",
        "safety": "/objects/safety",
        "expectations": "/expectations",
        "endpoints": "/endpoints",
        "alerts": "/alerts",
        "api": "/reference",
        "help": "/help",
        "missing": "/events/project/wh_0000",
    }


def acts(page: Page, base: str, ids: dict[str, str]) -> Iterator[str]:
    """Go to what a form answers, and yield its name."""
    page.goto(f"{base}/batches/new")
    page.fill("#requests", requests(3) + "not JSON\n" + requests(1))
    page.get_by_role("button", name="Check every line").click()
    yield "submit-faults"
    page.fill("#requests", requests(10))
    page.get_by_role("button", name="Check every line").click()
    yield "submit-checked"
    page.goto(f"{base}/events/project/{quote(ids['failed'])}")
    page.get_by_role("button", name="Replay…").click()
    yield "replay"
    page.goto(f"{base}/dead-letters")
    page.get_by_role("button", name="Redrive").first.click()
    yield "redrive"


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("what was played was not handled")
        time.sleep(0.1)


def _pictures(link: str, ids: dict[str, str], into: Path) -> None:
    base = link.partition("/enter?")[0]
    into.mkdir(parents=True, exist_ok=True)
    with browser() as chromium:
        state = None
        for size, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                context = chromium.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme=scheme,
                    reduced_motion="reduce",
                    storage_state=state,
                    has_touch=size == "phone",
                )
                page = context.new_page()
                if state is None:
                    page.goto(link)
                    state = context.storage_state()
                for name, path in pages(ids).items():
                    page.goto(base + path)
                    page.screenshot(path=into / f"{name}-{size}-{scheme}.png", full_page=True)
                for name in acts(page, base, ids):
                    page.screenshot(path=into / f"{name}-{size}-{scheme}.png", full_page=True)
                context.close()


def main(arguments: list[str]) -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.console")
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "console")
    parser.add_argument("--binaries", type=Path, default=BINARIES)
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as directory,
        Emulator(Path(directory)) as emulator,
        StandIn(Path(directory)) as openai,
    ):
        stack = create(emulator, "production", openai.base_url, binaries=options.binaries)
        stack.fill_secrets()
        stack.subscribe(openai)
        ids = play(stack, openai)
        with served(stack) as link:
            _pictures(link, ids, options.into)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
