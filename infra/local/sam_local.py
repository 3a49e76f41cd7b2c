"""`make sam-local`: runs every function in Docker with `sam local`, and checks the stack afterwards.

The stack is deployed to the emulator, and the functions' variables are taken from there. The deployed functions do
nothing: no request reaches the emulator's HTTP API, and no queue is read. All verifying and handling happens in
containers.

1. `sam local start-api` gets OpenAI's webhooks: signed ones must be answered with 200 and be in their category's
   queue, a forged one must be answered with 401 and be in no queue.
2. `sam local invoke` gives each consumer its event of `events/sqs`, with the queued message in it (the samples' objects
   are invented), so that artifacts and outcomes can be checked as in `make run`.
3. The image of the supervisor is built and started as a container, takes a call that is accepted meanwhile, greets the
   caller, and stops when it is asked to.
"""

import hashlib
import json
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from infra.checks import glibc
from infra.local import report, scenario
from infra.local.container import supervisor
from infra.local.deploy import DeployError, functions
from infra.local.docker import DockerError, docker
from infra.local.emulator import Emulator
from infra.local.execution import new_directory
from infra.local.processes import ROOT, StartError
from infra.local.report import Reporter
from infra.local.sam import BINARIES, HOST, SamError, Settings, invoke, start_api
from infra.local.scenario import Played
from infra.local.stack import CATEGORIES, Message, Stack, create, logical, unhandled
from infra.local.stand_in import StandIn
from infra.local.watch import Watch

_STACK = "openai-webhooks"
_GREETING = "Welcome to the container."
_SUPERVISED = {
    "answer_as": "realtime",
    "default": {"accept": {"session": {"model": "gpt-realtime-2.1"}, "supervise": {"greeting": _GREETING}}},
}
_DELIVERED_SECONDS = 30.0
_ENDED_SECONDS = 60.0
_GONE_SECONDS = 10.0


def main() -> int:
    """Return the exit code: 0 only if every check passed and nothing is left."""
    # TERM ends it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    reporter = Reporter()
    directory = new_directory("sam-local-")
    code, left = 1, list[str]()
    try:
        with ExitStack() as running:
            try:
                code = _run(reporter, directory, running, left)
            finally:
                # Everything is being stopped now, and that must not be interrupted.
                for interruption in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(interruption, signal.SIG_IGN)
                stopping = time.monotonic()
    except (StartError, DeployError, DockerError, SamError) as error:
        reporter.say(str(error))
        code = 1
    except KeyboardInterrupt:
        reporter.say("Stopped.")
        code = 130
    except Exception:
        reporter.say(traceback.format_exc())
        code = 1
    reporter.say(f"{time.monotonic() - stopping:6.1f} s  Stopping everything")
    for remain in (*left, *_left_processes(directory)):
        reporter.say(f"LEFT   {remain}")
        code = 1
    if code == 1:
        reporter.say(f"FAILED. The logs are in {directory}: sam.log has what sam local and the functions printed")
    else:
        shutil.rmtree(directory)
    return code


def _run(reporter: Reporter, directory: Path, running: ExitStack, left: list[str]) -> int:
    # The stand-in image has this machine's glibc, so running there proves nothing.
    faults = [one for name in functions() if (one := glibc.fault(BINARIES / name / "bootstrap"))]
    if faults:
        reporter.say("\n".join(faults))
        return 1
    with reporter.step("Getting a Docker"):
        found = running.enter_context(docker(directory))
        running.callback(lambda: left.extend(found.clear()))
    reporter.say(f"          {found.description}")
    with reporter.step("Getting the image that functions run on"):
        image = found.image(BINARIES / "verifier" / "bootstrap")
    reporter.say(f"          {image.description}")
    with reporter.step("Starting ministack and the OpenAI stand-in"):
        emulator = running.enter_context(Emulator(directory, bind="0.0.0.0"))
        openai = running.enter_context(StandIn(directory, bind="0.0.0.0"))
    with reporter.step("Deploying template.yaml"):
        reached = openai.base_url.replace("127.0.0.1", HOST)
        # While a container starts, the call rings.
        stack = create(
            emulator, _STACK, reached, {**unhandled(), "CallMaximumAge": "300", "SupervisorHost": "container"}
        )
        watch = Watch(stack)
        stack.fill_secrets()
        settings = Settings(found, image, stack, directory)
        settings.write()
    with reporter.step("Starting sam local start-api"):
        api = running.enter_context(start_api(settings))
        for endpoint, secret in stack.signing_secrets.items():
            openai.register(f"{api}/webhooks/{endpoint}", secret, endpoint)
    with reporter.step("A forged delivery, which must be answered with 401 and queued nowhere"):
        faults += _forge(openai, stack)
    with reporter.step("Something of every category, whose deliveries must be answered with 200 and queued"):
        played, undelivered = _announce(openai, stack)
        faults += undelivered
    with reporter.step("Every consumer, invoked with its event") as progress:
        for number, one in enumerate(played, 1):
            progress(f"{one.category}, {number} of {len(played)}")
            faults += _handle(settings, one)
    with reporter.step("The supervisor's image, started as a container, with a call"):
        faults += _supervise(settings, openai, reached)
    results = [scenario.judge(stack, watch, one) for one in played]
    report.show(reporter, results)
    for fault in faults:
        reporter.say(f"WRONG  {fault}")
    if faults or any(result.faults for result in results):
        return 1
    reporter.say("All checks passed.")
    return 0


# Start-api ------------------------------------------------------------------------------------------------------------


def _forge(openai: StandIn, stack: Stack) -> list[str]:
    """Deliver an event with a forged signature and return the faults."""
    forged = openai.deliver("batch.completed", {"id": "batch_1"}, forged=True, retry=False, wait=True)
    attempt = forged[0]["attempts"][0]
    faults = []
    if attempt["status"] != 401 or "no_matching_signature" not in (attempt["answer"] or ""):
        faults.append(f"a forged delivery was answered with {attempt['status']} {attempt['answer']}")
    faults += [f"a forged delivery lies in the queue of {name}" for name in CATEGORIES if stack.messages(name)]
    return faults


def _announce(openai: StandIn, stack: Stack) -> tuple[list[Played], list[str]]:
    """Have OpenAI deliver one event of every category. Returns them and the faults."""
    played = list({one.category: one for one in scenario.play(openai, stack)}.values())
    deadline = time.monotonic() + _DELIVERED_SECONDS
    while any(delivery["state"] == "pending" for delivery in openai.deliveries()) and time.monotonic() < deadline:
        time.sleep(0.1)
    faults = [f"nothing of {category} happened" for category in set(CATEGORIES) - {one.category for one in played}]
    for one in played:
        answers = [[a["status"] for a in d["attempts"]] for d in openai.deliveries(webhook_id=one.webhook_id)]
        if answers != [[200]]:
            faults.append(f"the delivery of {one.category} was answered with {answers} instead of 200 at once")
        if _queued(stack, one) is None:
            faults.append(f"{one.event_type} is not in the queue of {one.category}")
    return played, faults


def _queued(stack: Stack, played: Played) -> Message | None:
    messages = stack.messages(played.category)
    found = [message for message in messages if message.attributes.get("webhook-id") == played.webhook_id]
    return found[0] if len(found) == 1 else None


# Invoke ---------------------------------------------------------------------------------------------------------------


def _handle(settings: Settings, played: Played) -> list[str]:
    """Invoke a consumer with its event and return the faults."""
    message = _queued(settings.stack, played)
    if message is None:
        return []
    event = json.loads((ROOT / "events" / "sqs" / f"{played.category}.json").read_text())
    (record,) = event["Records"]
    record["body"], record["md5OfBody"] = message.body, hashlib.md5(message.body.encode()).hexdigest()
    for name, value in message.attributes.items():
        record["messageAttributes"][name]["stringValue"] = value
    try:
        answer = invoke(settings, f"{logical(played.category)}Function", event)
    except SamError as error:
        return [f"{played.category}: {error}"]
    return [] if answer == {"batchItemFailures": []} else [f"{played.category} answered {json.dumps(answer)}"]


# The supervisor's image -----------------------------------------------------------------------------------------------


def _supervise(settings: Settings, openai: StandIn, reached: str) -> list[str]:
    """Have a container of the supervisor's image take a call, and return the faults."""
    stack = settings.stack
    stack.set_call_policy(json.dumps(_SUPERVISED))
    script = [{"await": "attach"}, {"caller": "Hello"}, {"wait": 1500}, "hang_up"]
    rang = openai.call_in(plan={"script": script})
    call_id = rang["call"]["call_id"]
    (delivery,) = rang["deliveries"]
    one = Played("realtime", "realtime.call.incoming", delivery["webhook_id"], call_id, "ended")
    if not _until(lambda: _queued(stack, one) is not None, _DELIVERED_SECONDS):
        return ["the call for the supervisor's container is not in the queue of realtime"]
    with supervisor(settings.docker, settings.image, stack, reached, settings.log):
        faults = _handle(settings, one)
        ended = _until(lambda: (stack.job("realtime", call_id) or {}).get("status") == "ended", _ENDED_SECONDS)
    said = [entry["event"] for entry in openai.call(call_id)["commands"] if "event" in entry]
    if not any(_GREETING in json.dumps(event) for event in said):
        faults.append(f"the supervisor's container did not greet the caller of {call_id}")
    if not ended:
        faults.append(f"the supervisor's container has not recorded the end of {call_id}")
    return faults


def _until(is_so: Callable[[], bool], seconds: float) -> bool:
    """Whether it becomes so in time."""
    deadline = time.monotonic() + seconds
    while not (so := is_so()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return so


# The binaries and what is left ----------------------------------------------------------------------------------------


def _left_processes(directory: Path) -> list[str]:
    """Processes of this run that are still there after a while, on Linux."""
    deadline = time.monotonic() + _GONE_SECONDS
    while (found := _processes(directory)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _processes(directory: Path) -> list[str]:
    """Processes with this run's directory in their arguments or environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(directory).encode() in arguments + environment:
            found.append(f"process {entry.name}: {arguments.replace(bytes(1), b' ').decode(errors='replace')[:120]}")
    return found


if __name__ == "__main__":
    sys.exit(main())
