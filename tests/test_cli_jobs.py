"""`jobs`, `pause`, `resume`: replays and redrives of many under a name, and categories that wait."""

import json
import signal
import subprocess
from collections import Counter

import pytest

from infra.local.stack import Stack, unhandled
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import given_up, handled
from tests.cli import BINARY, Cli
from tests.test_cli_dlq import dead_letter
from tests.test_cli_events import now, record
from tests.waiting import stays, wait_until

EVENTS = 120


@pytest.fixture
def cli(stack: Stack) -> Cli:
    """The command line, with access to the stack."""
    return Cli(stack)


def body(number: int) -> str:
    """The body of an event about a file of its own."""
    event = {"id": f"evt_{number}", "object": "event", "created_at": now() // 1000, "type": "file.processed"}
    return json.dumps(event | {"data": {"id": f"file-{number}"}})


def lines(cli: Cli, *arguments: str) -> list[dict]:
    """The documents that a command prints, one on each line."""
    result = cli.run(*arguments, "--json")
    assert result.code == 0, result
    return [json.loads(line) for line in result.out.splitlines()]


@pytest.mark.stack(**unhandled("file"))
def test_a_replay_that_is_stopped_goes_on_under_its_name_and_sends_each_event_once(stack: Stack, cli: Cli) -> None:
    for number in range(EVENTS):
        record(stack, now() - number, body=body(number), object_id=f"file-{number}")
    replay = ("events", "replay", "--since", "1h", "--limit", "1000", "--name", "night-shift")
    assert len(cli.ok(*replay, "--dry-run")["events"]) == EVENTS
    assert lines(cli, "jobs", "list") == [], "a dry run is not a job"

    command = [str(word) for word in (BINARY, *replay, "--yes")]
    with subprocess.Popen(command, env=cli.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until("some are sent", lambda: len(stack.messages("file")) >= 8)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    sent = len(stack.messages("file"))
    assert process.returncode == 1, said
    job = cli.ok("jobs", "show", "night-sh")
    assert (job["is_done"], job["total"], job["sent"], job["left_out"]) == (False, EVENTS, sent, 0)
    assert sent < EVENTS
    assert job["filter"]["since"] < job["filter"]["until"], "the filter has absolute times"
    # What comes later is not part of it.
    record(stack, now(), body=body(EVENTS), object_id="later")

    assert cli.ok("jobs", "resume", "night-shift")["job"]["sent"] == EVENTS

    objects = Counter(message.json()["data"]["id"] for message in stack.messages("file"))
    assert objects == Counter(f"file-{number}" for number in range(EVENTS))
    assert "night-shift is done" in cli.run("jobs", "resume", "night-shift").out
    (listed,) = lines(cli, "jobs", "list")
    assert (listed["name"], listed["kind"], listed["is_done"]) == ("night-shift", "replay", True)
    assert len(stack.messages("file")) == EVENTS


def test_a_step_that_was_sent_twice_is_handled_once(stack: Stack, openai: StandIn, watch: Watch, cli: Cli) -> None:
    (delivery,) = openai.deliver("file.processed", {"id": openai.put_file(text="four")["id"]}, wait=True)
    handled(stack, delivery)
    cli.ok("events", "replay", delivery["webhook_id"], "--name", "once", "--yes")
    wait_until("it is announced again", lambda: len(watch.outcomes()) == 2)
    # As if the process had died after it was sent, before that was noted.
    table, client = stack.outputs["TableName"], stack.emulator.client("dynamodb")
    step = {"pk": {"S": "operation#once"}, "sk": {"S": f"step#project#{delivery['webhook_id']}"}}
    for key, names in ((step, {"#s": "state"}), (step | {"sk": {"S": "operation"}}, {"#s": "done"})):
        value = {"S": "sending"} if key is step else {"N": "0"}
        client.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET #s = :s",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={":s": value},
        )

    assert cli.ok("jobs", "resume", "once")["job"]["is_done"] is True

    wait_until("the copy is gone", lambda: stack.messages("file") == [])
    stays("it is announced no third time", lambda: len(watch.outcomes()) == 2, 0.5)


@pytest.mark.stack(**unhandled("file"))
def test_a_redrive_is_a_job_of_the_letters_that_there_were(stack: Stack, cli: Cli) -> None:
    chosen = {dead_letter(stack) for _ in range(3)}
    done = cli.ok("dlq", "redrive", "--reason", "unauthorized", "--name", "key-is-back", "--yes")
    dead_letter(stack)

    assert (done["job"]["sent"], done["job"]["is_done"], done["letters"]) == (3, True, 3)
    assert {message.attributes["webhook-id"] for message in stack.messages("file")} == chosen
    job = cli.ok("jobs", "show", "key-is-back")
    assert (job["kind"], job["filter"]["reason"], job["total"]) == ("redrive", "unauthorized", 3)
    assert "is done" in cli.run("jobs", "resume", "key-is-back").out
    assert len(stack.dead_letters("file")) == 1
    again = cli.run("dlq", "redrive", "--name", "key-is-back", "--yes")
    assert (again.code, "there is a job key-is-back already" in again.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("jobs", "show", "nobody"), 1, "jobs list"),
        (("jobs", "resume", "nobody"), 1, "jobs list"),
        (("jobs", "show", "A#b"), 2, "lower-case letters"),
        (("jobs", "list", "--limit", "0"), 2, "--limit"),
        (("events", "replay", "--since", "1h", "--name", "../x", "--yes"), 2, "lower-case letters"),
        (("dlq", "redrive", "--name", "x" * 65, "--yes"), 2, "1 to 64"),
        (("pause", "batches"), 2, "possible values: batch, response"),
        (("pause", "file"), 2, "--yes"),
    ],
)
def test_bad_usage_is_told(stack: Stack, cli: Cli, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = cli.run(*arguments)
    assert (result.code, result.out) == (code, "")
    assert said in result.err
    assert stack.ledger() == []


def test_events_of_a_paused_category_wait_and_none_is_lost(stack: Stack, openai: StandIn, cli: Cli) -> None:
    assert cli.ok("pause", "file", "--dry-run")["paused"] is False
    assert cli.ok("pause", "file", "--yes")["paused"] is True
    assert cli.ok("pause", "file", "--yes")["paused"] is True, "a second time"
    files = [openai.put_file(text="four")["id"] for _ in range(3)]
    deliveries = [openai.deliver("file.processed", {"id": file}, wait=True)[0] for file in files]
    wait_until("they wait", lambda: len(stack.messages("file")) == 3)
    stays("nothing is handled", lambda: stack.ledger("event") == [], 0.5)
    waits = cli.ok("resume", "file", "--dry-run")
    assert (waits["paused"], waits["waiting"]) == (True, 3)
    assert "file is paused. 3 events wait" in cli.run("pause", "file").out
    status = {line["category"]: line for line in cli.ok("status")["categories"]}
    assert (status["file"]["paused"], status["batch"]["paused"]) == (True, False)
    assert "file (paused)" in cli.run("status").out

    assert cli.ok("resume", "file")["paused"] is False

    for delivery in deliveries:
        handled(stack, delivery)


def test_on_call_at_night(stack: Stack, openai: StandIn, watch: Watch, cli: Cli) -> None:
    """The alert names the reason, `status` shows it, the cause goes, a job redrives, and `audit` closes the books."""
    files = [openai.put_file(text="four")["id"] for _ in range(6)]
    openai.fault("GET /v1/files/{id}", "status", status=401)
    deliveries = [openai.deliver("file.processed", {"id": file}, wait=True)[0] for file in files]
    for delivery in deliveries:
        given_up(stack, delivery)

    (alert,) = wait_until("somebody is woken", watch.alerts)
    assert alert.subject == "file.processed could not be handled: unauthorized"
    status = cli.ok("status")
    assert status["dead_letters"] == [{"category": "file", "reason": "unauthorized", "count": 6}]
    assert "unauthorized" in cli.run("status").out
    assert len(cli.lines("events", "list", "--failed", "--reason", "unauthorized")) == 6
    shown = cli.ok("events", "show", deliveries[0]["webhook_id"][:14])
    assert shown["dead_letter"]["reason"] == "unauthorized"
    redrive = next(command for command, _ in shown["commands"] if "redrive" in command)
    assert redrive.endswith("dlq redrive --category file --reason unauthorized")
    # What only looks wrong is named, too.
    audit = cli.ok("audit")
    assert (audit["closed"], audit["events"]["failed"]) == (True, 6)

    openai.clear_faults()
    trial = cli.ok("dlq", "redrive", "--reason", "unauthorized", "--limit", "1", "--yes")
    assert trial["letters"] == 1
    wait_until("the trial went well", lambda: [e["state"] for e in stack.ledger("event")].count("completed") == 1)
    rest = cli.ok("dlq", "redrive", "--reason", "unauthorized", "--name", "after-the-key", "--yes")
    assert rest["job"]["sent"] == 5
    for delivery in deliveries:
        handled(stack, delivery)
    audit = wait_until("the books close", lambda: (found := cli.run("audit", "--json")).code == 0 and found.json())
    assert (audit["closed"], audit["events"]["completed"], audit["dead_letters"]) == (True, 6, 0)
    assert Counter(outcome.detail["object_id"] for outcome in watch.outcomes()) == Counter(files)
