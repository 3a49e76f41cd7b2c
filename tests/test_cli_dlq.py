"""`dlq`: dead letters are looked at without being taken away, redriven once the cause is gone, and purged."""

import json
import subprocess
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.local.stack import Stack, unhandled
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import given_up, handled
from tests.cli import BINARY, Cli
from tests.waiting import wait_until

LETTERS = 500


@pytest.fixture
def cli(stack: Stack) -> Cli:
    """The command line, with access to the stack."""
    return Cli(stack)


def dead_letter(stack: Stack, category: str = "file", reason: str | None = "unauthorized", **changed: str) -> str:
    """Put a message into a dead-letter queue as a consumer does, or SQS itself, and answer its webhook id."""
    webhook_id = f"wh_{uuid.uuid4().hex}"
    attributes = {
        "webhook-id": webhook_id,
        "webhook-timestamp": "1795219200",
        "endpoint": "project",
        "event-type": f"{category}.processed",
        "received-at": "1795219200000",
        "source": "openai",
    }
    if reason is not None:
        attributes |= {"failure-reason": reason, "failure-message": "OpenAI refused the API key"}
    attributes |= {name.replace("_", "-"): value for name, value in changed.items()}
    stack.emulator.client("sqs").send_message(
        QueueUrl=stack.dead_letter_queue_url(category),
        MessageBody=json.dumps({"id": "evt_1", "type": attributes["event-type"], "data": {"id": "file-1"}}),
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    )
    return webhook_id


def test_five_hundred_dead_letters_are_redriven_after_the_fault_is_gone_and_each_is_handled_once(
    stack: Stack, openai: StandIn, watch: Watch, cli: Cli
) -> None:
    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(lambda _: openai.put_file(text="four")["id"], range(LETTERS)))
        openai.fault("GET /v1/files/{id}", "status", status=401)
        list(pool.map(lambda file: openai.deliver("file.processed", {"id": file}, wait=True), files))
    wait_until("all have failed", lambda: len(stack.dead_letters("file")) == LETTERS, timeout=120)
    wait_until("none is left in the queue", lambda: stack.messages("file") == [])
    assert Counter(event["state"] for event in stack.ledger("event")) == {"failed": LETTERS}

    openai.clear_faults()
    done = cli.ok("dlq", "redrive", "--yes")

    assert done.pop("job")["sent"] == LETTERS
    expected = {"letters": LETTERS, "copied": 0, "refused": 0, "gone": 0, "cause": None, "left_out": []}
    assert done == {"dry_run": False, **expected}
    assert stack.dead_letters("file") == []

    def all_done() -> bool:
        return Counter(event["state"] for event in stack.ledger("event")) == {"completed": LETTERS}

    wait_until("all are handled", all_done, timeout=120)
    wait_until("none is left in the queue", lambda: stack.messages("file") == [])
    assert {event["attempts"] for event in stack.ledger("event")} == {2}
    assert sorted(job["object_id"] for job in stack.ledger("job")) == sorted(files)
    assert Counter(outcome.detail["object_id"] for outcome in watch.outcomes()) == Counter(files)
    asked = {call["path"]: call["statuses"] for call in openai.requests() if call["method"] == "GET"}
    assert asked == {f"/v1/files/{file}": [401, 200] for file in files}
    assert stack.dead_letters("file") == []


def test_letters_are_listed_with_their_reasons_and_stay(stack: Stack, cli: Cli) -> None:
    dead_letter(stack)
    dead_letter(stack, "batch", "quota_exhausted")
    dead_letter(stack, "batch", None, event_type="batch.expired")

    found = cli.lines("dlq", "list")

    assert [(letter["category"], letter["reason"], letter["type"], letter["object_id"]) for letter in found] == [
        ("file", "unauthorized", "file.processed", "file-1"),
        ("batch", "quota_exhausted", "batch.processed", "file-1"),
        ("batch", None, "batch.expired", "file-1"),
    ]
    assert found[0]["message"] == "OpenAI refused the API key"
    assert len(cli.lines("dlq", "list", "--category", "batch")) == 2
    assert [letter["type"] for letter in cli.lines("dlq", "list", "--reason", "none")] == ["batch.expired"]
    assert [letter["type"] for letter in cli.lines("dlq", "list", "--type", "batch.e*")] == ["batch.expired"]
    limited = cli.run("dlq", "list", "--limit", "2", "--json")
    assert (len(limited.out.splitlines()), limited.error()["more"]) == (2, True)
    # Nobody who comes next has to wait for them.
    letters = [letter for category in ("file", "batch") for letter in stack.dead_letters(category)]
    assert len(letters) == 3
    assert all(letter.visible for letter in letters)


def test_one_letter_is_shown_with_its_body(stack: Stack, cli: Cli) -> None:
    webhook_id = dead_letter(stack)
    (listed,) = cli.lines("dlq", "list")

    shown = cli.ok("dlq", "show", listed["id"])

    assert shown["webhook_id"] == webhook_id
    assert json.loads(shown["body"])["data"] == {"id": "file-1"}
    text = cli.run("dlq", "show", listed["id"]).out
    assert "unauthorized" in text
    assert "OpenAI refused the API key" in text
    missing = cli.run("dlq", "show", "no-such-message")
    assert (missing.code, missing.out) == (1, "")
    assert "dlq list" in missing.err


@pytest.mark.stack(**unhandled("file", "batch"))
def test_only_what_matches_is_redriven_with_all_its_attributes(stack: Stack, cli: Cli) -> None:
    wanted = dead_letter(stack, "batch", "quota_exhausted")
    dead_letter(stack, "batch", "not_found")
    dead_letter(stack)
    before = stack.dead_letters("batch")[0].attributes

    rehearsed = cli.ok("dlq", "redrive", "--reason", "quota_exhausted", "--dry-run")
    assert [letter["webhook_id"] for letter in rehearsed["letters"]] == [wanted]
    assert stack.messages("batch") == []

    assert cli.ok("dlq", "redrive", "--reason", "quota_exhausted", "--yes")["letters"] == 1

    (message,) = stack.messages("batch")
    assert message.attributes == before
    assert [letter.attributes["failure-reason"] for letter in stack.dead_letters("batch")] == ["not_found"]
    assert len(stack.dead_letters("file")) == 1
    assert cli.ok("dlq", "redrive", "--limit", "1", "--yes")["letters"] == 1
    assert len(stack.dead_letters("batch")) + len(stack.dead_letters("file")) == 1


def test_a_letter_that_sqs_moved_because_its_function_kept_dying_is_redriven_too(
    stack: Stack, openai: StandIn, watch: Watch, cli: Cli
) -> None:
    sqs = stack.emulator.client("sqs")
    policy = sqs.get_queue_attributes(QueueUrl=stack.queue_url("file"), AttributeNames=["RedrivePolicy"])
    once = json.loads(policy["Attributes"]["RedrivePolicy"]) | {"maxReceiveCount": 1}
    sqs.set_queue_attributes(QueueUrl=stack.queue_url("file"), Attributes={"RedrivePolicy": json.dumps(once)})
    stack.set_timeouts("file", seconds=10, visibility=11)
    path = f"/v1/files/{openai.put_file(text='four')['id']}"
    openai.fault(f"GET {path}", "stall", times=1, milliseconds=60_000)
    (delivery,) = openai.deliver("file.processed", {"id": path.rsplit("/", 1)[-1]}, wait=True)
    wait_until("it is at work", lambda: openai.calls("GET", path) or stack.event(delivery["webhook_id"]))
    wait_until("it is killed", lambda: stack.kill("file"))
    wait_until("SQS moves its message", lambda: stack.dead_letters("file"), timeout=60)

    (listed,) = cli.lines("dlq", "list")
    assert (listed["reason"], listed["webhook_id"]) == (None, delivery["webhook_id"])
    assert "died again and again" in cli.run("dlq", "show", listed["id"]).out
    assert stack.event(delivery["webhook_id"])["state"] == "in_progress"

    assert cli.ok("dlq", "redrive", "--reason", "none", "--yes")["letters"] == 1

    assert handled(stack, delivery)["attempts"] == 2
    assert len(wait_until("the outcome is there", watch.outcomes)) == 1
    assert stack.dead_letters("file") == []


@pytest.mark.stack(**unhandled("batch"))
def test_a_redrive_that_is_killed_loses_no_letter(stack: Stack, cli: Cli) -> None:
    with ThreadPoolExecutor(8) as pool:
        sent = set(pool.map(lambda _: dead_letter(stack, "batch"), range(200)))
    process = subprocess.Popen(
        [str(BINARY), "dlq", "redrive", "--yes"], env=cli.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    wait_until("it is at work", lambda: stack.messages("batch"))
    process.kill()
    process.communicate()

    moved = {message.attributes["webhook-id"] for message in stack.messages("batch")}
    left = {letter.attributes["webhook-id"] for letter in stack.dead_letters("batch")}
    assert left, "it was done before it was killed"
    assert moved | left == sent


def test_a_copy_that_a_redrive_left_behind_when_it_died_does_no_harm(
    stack: Stack, openai: StandIn, watch: Watch, cli: Cli
) -> None:
    file = openai.put_file(text="four")["id"]
    openai.fault(f"GET /v1/files/{file}", "status", times=1, status=403)
    (delivery,) = openai.deliver("file.processed", {"id": file}, wait=True)
    given_up(stack, delivery)
    # It was sent, and then the process died before it could delete the letter.
    (letter,) = stack.dead_letters("file")
    stack.send("file", letter.body, letter.attributes)
    assert handled(stack, delivery)["attempts"] == 2

    assert cli.ok("dlq", "redrive", "--yes")["letters"] == 1

    wait_until("the copy is dropped", lambda: stack.messages("file") == [])
    assert handled(stack, delivery)["attempts"] == 2
    assert len(watch.outcomes()) == 1
    assert openai.calls("GET", f"/v1/files/{file}") == 2


def test_what_fails_again_is_a_dead_letter_again_and_not_redriven_in_circles(
    stack: Stack, openai: StandIn, cli: Cli
) -> None:
    openai.fault("GET /v1/files/{id}", "status", status=403)
    (delivery,) = openai.deliver("file.processed", {"id": "file-1"}, wait=True)
    given_up(stack, delivery)

    assert cli.ok("dlq", "redrive", "--yes")["letters"] == 1

    wait_until("it has failed again", lambda: (stack.event(delivery["webhook_id"]) or {}).get("attempts") == 2)
    assert len(wait_until("it is a dead letter again", lambda: stack.dead_letters("file"))) == 1


def test_letters_are_purged_by_those_who_mean_it(stack: Stack, cli: Cli) -> None:
    dead_letter(stack)
    dead_letter(stack, "batch", "not_found")

    asked = cli.run("dlq", "purge", "--reason", "not_found")
    assert (asked.code, asked.out) == (2, "")
    assert "--yes" in asked.err
    assert len(cli.ok("dlq", "purge", "--reason", "not_found", "--dry-run")["letters"]) == 1
    assert len(stack.dead_letters("batch")) == 1

    assert cli.ok("dlq", "purge", "--reason", "not_found", "--yes")["letters"] == 1

    assert stack.dead_letters("batch") == []
    assert len(stack.dead_letters("file")) == 1
    assert cli.ok("dlq", "purge", "--reason", "not_found", "--yes")["letters"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list", "--category", "files"), "possible values: batch, response"),
        (("list", "--type", "*.completed"), "not at its end"),
        (("list", "--limit", "0"), "--limit"),
        (("show",), "MESSAGE_ID"),
        (("redrive", "--type", "a*b", "--yes"), "not at its end"),
        (("purge", "--limit", "many", "--yes"), "--limit"),
    ],
)
def test_bad_usage_is_told(arguments: tuple[str, ...], said: str) -> None:
    result = Cli().run("dlq", *arguments)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
