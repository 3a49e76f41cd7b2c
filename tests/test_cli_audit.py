"""`audit`: the books close, and each way in which they do not is told with the command that mends it."""

import json
import re
import subprocess
import time
from typing import Any

import pytest

from infra.local.stack import Item, Stack, unhandled
from infra.local.stand_in import Json, StandIn
from tests.batches import finish, given_up, handled, new_batch, tried
from tests.cli import BINARY, Cli
from tests.waiting import wait_until

HOUR = 3_600_000


@pytest.fixture
def cli(stack: Stack) -> Cli:
    """The command line, with access to the stack."""
    return Cli(stack)


def file_event(openai: StandIn) -> Json:
    """Deliver an event about a file, and answer the delivery."""
    (delivery,) = openai.deliver("file.processed", {"id": openai.put_file(text="four")["id"]}, wait=True)
    return delivery


def key_of(stack: Stack, delivery: Json) -> str:
    """The idempotency key of a delivery whose record this is."""
    event = f"{delivery['endpoint']}#{delivery['webhook_id']}"
    (pk,) = [record["pk"] for record in stack.ledger("record") if record["event"] == event]
    return pk.removeprefix("idempotency#")


def table(stack: Stack) -> tuple[Any, str]:
    return stack.emulator.client("dynamodb"), stack.outputs["TableName"]


def history(delivery: Json) -> dict[str, Json]:
    return {"pk": {"S": f"event#{delivery['endpoint']}#{delivery['webhook_id']}"}, "sk": {"S": "event"}}


def remove(stack: Stack, key: dict[str, Json]) -> None:
    dynamodb, name = table(stack)
    dynamodb.delete_item(TableName=name, Key=key)


def change(stack: Stack, key: dict[str, Json], **values: str | int) -> None:
    """Overwrite attributes of an item."""
    dynamodb, name = table(stack)
    dynamodb.update_item(
        TableName=name,
        Key=key,
        UpdateExpression="SET " + ", ".join(f"#{attribute} = :{attribute}" for attribute in values),
        ExpressionAttributeNames={f"#{attribute}": attribute for attribute in values},
        ExpressionAttributeValues={
            f":{attribute}": {"N": str(value)} if isinstance(value, int) else {"S": value}
            for attribute, value in values.items()
        },
    )


def record_key(stack: Stack, delivery: Json) -> dict[str, Json]:
    return {"pk": {"S": f"idempotency#{key_of(stack, delivery)}"}, "sk": {"S": "record"}}


def an_hour_ago() -> int:
    return int(time.time() * 1000) - HOUR


def is_settled(stack: Stack, category: str = "file") -> None:
    wait_until("the message is acknowledged", lambda: stack.messages(category) == [])


def audited(cli: Cli, *arguments: str) -> tuple[int, Json]:
    result = cli.run("audit", "--json", *arguments)
    return result.code, result.json()


def mended(stack: Stack, cli: Cli, finding: Json) -> None:
    """Run the command that a finding names, with this test's binary and the URL of this machine."""
    command = finding["fix"].replace("openai-webhooks", str(BINARY), 1)
    command += " --yes" if " replay " in command else f" --url '{stack.url()}'"
    done = subprocess.run(command, shell=True, env=cli.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done


def snapshot(stack: Stack) -> tuple[list[Item], dict[str, int]]:
    return sorted(stack.ledger(), key=lambda item: item["pk"]), stack.artifacts()


def closes_after_mending(stack: Stack, cli: Cli, kind: str, delivery: Json) -> Json:
    """The one mismatch of this kind is told, of this event, and its own fix mends it."""
    before = snapshot(stack)
    code, books = audited(cli)
    assert (code, books["closed"]) == (1, False), books
    (found,) = books["mismatches"]
    assert (found["kind"], found["event"]) == (kind, f"{delivery['endpoint']}/{delivery['webhook_id']}")
    assert snapshot(stack) == before, "an audit changes nothing"

    mended(stack, cli, found)

    wait_until("the books close", lambda: audited(cli)[0] == 0)
    return found


# They close ----------------------------------------------------------------------------------------------------------


def test_the_books_of_a_quiet_stack_close_with_every_state_counted(stack: Stack, openai: StandIn, cli: Cli) -> None:
    assert audited(cli)[1]["events"] == dict.fromkeys(
        ("completed", "not_found", "failed", "in_progress", "queued", "duplicate", "unchecked"), 0
    )
    batch_id = new_batch(openai)
    handled(stack, finish(openai, batch_id))
    (second,) = openai.deliver("batch.completed", {"id": batch_id}, wait=True)
    handled(stack, second)
    openai.fault("GET /v1/files/{id}", "status", status=401, times=1)
    given_up(stack, file_event(openai))
    for category in ("batch", "file"):
        is_settled(stack, category)

    code, books = audited(cli)

    assert (code, books["closed"], books["mismatches"], books["uncertain"], books["notes"]) == (0, True, [], [], [])
    counts = {state: count for state, count in books["events"].items() if count}
    assert counts == {"completed": 1, "duplicate": 1, "failed": 1}
    assert (books["messages"], books["dead_letters"]) == (0, 1)
    recent = audited(cli, "--since", "1h")[1]
    assert recent | {"since": None} == books
    assert sum(audited(cli, "--since", "2099-01-01")[1]["events"].values()) == 0
    text = cli.run("audit").out
    assert text.startswith("3 events: 1 completed, 1 failed, 1 duplicate\nqueues: 0 messages, 1 dead letter\n")
    assert text.endswith("The books close.\n")
    assert all(letter.visible for letter in stack.dead_letters("file"))


def test_an_event_that_waits_for_its_next_attempt_is_queued(stack: Stack, openai: StandIn, cli: Cli) -> None:
    openai.fault("GET /v1/files/{id}", "status", status=500)
    tried(stack, file_event(openai))
    code, books = audited(cli)
    assert (code, books["closed"]) == (0, True)
    assert books["events"]["queued"] + books["events"]["in_progress"] == 1


def test_an_event_at_work_is_in_progress(stack: Stack, openai: StandIn, cli: Cli) -> None:
    openai.fault("GET /v1/files/{id}", "stall", times=1, milliseconds=8_000)
    file_event(openai)
    wait_until("it is at work", lambda: stack.ledger("record"))
    code, books = audited(cli)
    assert (code, books["events"]["in_progress"]) == (0, 1)


def test_a_letter_that_sqs_moved_accounts_for_its_event(stack: Stack, openai: StandIn, cli: Cli) -> None:
    openai.fault("GET /v1/files/{id}", "status", status=401)
    delivery = file_event(openai)
    given_up(stack, delivery)
    is_settled(stack)
    change(stack, record_key(stack, delivery), status="in_progress", lease_until=0)
    change(stack, history(delivery), state="in_progress")
    code, books = audited(cli)
    assert (code, books["events"]["failed"]) == (0, 1)


@pytest.mark.stack(**unhandled("file"))
def test_a_backlog_of_any_length_is_queued(stack: Stack, cli: Cli) -> None:
    count, now = 1_010, int(time.time() * 1000)
    sqs, (dynamodb, name) = stack.emulator.client("sqs"), table(stack)
    for first in range(0, count, 10):
        numbers = [str(number) for number in range(first, first + 10)]
        records = [
            {
                "pk": {"S": f"idempotency#event/evt_{number}"},
                "sk": {"S": "record"},
                "status": {"S": "in_progress"},
                "token": {"S": "t"},
                "event": {"S": f"project#wh_{number}"},
                "lease_until": {"N": "0"},
                "claimed_at": {"N": str(now)},
            }
            for number in numbers
        ]
        dynamodb.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": record}} for record in records]})
        entries = [{"Id": number, "MessageBody": "{}"} for number in numbers]
        sqs.send_message_batch(QueueUrl=stack.queue_url("file"), Entries=entries)
    code, books = audited(cli)
    assert (code, books["closed"], books["more"], books["events"]["queued"]) == (0, True, 0, count)

    (message,) = sqs.receive_message(QueueUrl=stack.queue_url("file"))["Messages"]
    sqs.delete_message(QueueUrl=stack.queue_url("file"), ReceiptHandle=message["ReceiptHandle"])
    code, books = audited(cli)
    assert (code, books["closed"], books["more"], len(books["uncertain"])) == (3, None, 10, 1_000)


def failed_without_letter(stack: Stack, openai: StandIn, cli: Cli) -> Json:
    """A delivery whose event was given up, and whose dead letter was purged."""
    openai.fault("GET /v1/files/{id}", "status", status=401, times=1)
    delivery = file_event(openai)
    given_up(stack, delivery)
    is_settled(stack)
    cli.ok("dlq", "purge", "--yes")
    return delivery


# They do not close ---------------------------------------------------------------------------------------------------


def test_a_failed_event_without_its_letter_is_told(stack: Stack, openai: StandIn, cli: Cli) -> None:
    delivery = failed_without_letter(stack, openai, cli)
    found = closes_after_mending(stack, cli, "no_letter", delivery)
    assert "unauthorized" in found["detail"]
    assert handled(stack, delivery)["attempts"] == 2


def test_an_event_whose_history_is_gone_is_told(stack: Stack, openai: StandIn, cli: Cli) -> None:
    batch_id = new_batch(openai)
    delivery = finish(openai, batch_id)
    handled(stack, delivery)
    is_settled(stack, "batch")
    change(stack, record_key(stack, delivery), claimed_at=an_hour_ago(), ended_at=an_hour_ago())
    remove(stack, history(delivery))

    closes_after_mending(stack, cli, "no_history", delivery)

    assert handled(stack, delivery)["state"] == "completed"
    assert openai.calls("GET", f"/v1/batches/{batch_id}") == 1, "it was handled again"


def test_an_event_without_a_record_is_told(stack: Stack, openai: StandIn, cli: Cli) -> None:
    delivery = file_event(openai)
    handled(stack, delivery)
    is_settled(stack)
    remove(stack, record_key(stack, delivery))
    closes_after_mending(stack, cli, "no_record", delivery)


@pytest.mark.parametrize("since", [(), ("--since", "1h")])
def test_an_artifact_that_is_gone_is_told_and_fetched_again(
    stack: Stack, openai: StandIn, cli: Cli, since: tuple[str, ...]
) -> None:
    batch_id = new_batch(openai)
    delivery = finish(openai, batch_id)
    handled(stack, delivery)
    is_settled(stack, "batch")
    key = f"batch/{batch_id}/output.jsonl"
    stack.emulator.client("s3").delete_object(Bucket=stack.outputs["BucketName"], Key=key)
    assert audited(cli, *since)[1]["mismatches"][0]["kind"] == "no_artifact"
    found = closes_after_mending(stack, cli, "no_artifact", delivery)
    assert key in found["detail"]
    assert stack.artifact(key)


def test_a_dead_lease_without_a_message_is_told(stack: Stack, openai: StandIn, cli: Cli) -> None:
    delivery = failed_without_letter(stack, openai, cli)
    changed = {"status": "in_progress", "lease_until": an_hour_ago(), "claimed_at": an_hour_ago()}
    change(stack, record_key(stack, delivery), **changed, ended_at=an_hour_ago())
    closes_after_mending(stack, cli, "no_message", delivery)
    assert handled(stack, delivery)["state"] == "completed"


def test_a_completed_record_without_its_outcome_is_told(stack: Stack, openai: StandIn, cli: Cli) -> None:
    delivery = file_event(openai)
    handled(stack, delivery)
    is_settled(stack)
    dynamodb, name = table(stack)
    dynamodb.update_item(TableName=name, Key=record_key(stack, delivery), UpdateExpression="REMOVE outcome")
    closes_after_mending(stack, cli, "no_outcome", delivery)


def test_a_history_that_is_ahead_of_its_record_is_told(stack: Stack, openai: StandIn, cli: Cli) -> None:
    openai.fault("GET /v1/files/{id}", "status", status=401, times=1)
    delivery = file_event(openai)
    given_up(stack, delivery)
    is_settled(stack)
    change(stack, history(delivery), state="completed")
    closes_after_mending(stack, cli, "wrong_history", delivery)


# It is not certain, or harmless --------------------------------------------------------------------------------------


def test_a_history_that_lacks_its_last_write_is_a_note(stack: Stack, openai: StandIn, cli: Cli) -> None:
    delivery = file_event(openai)
    handled(stack, delivery)
    is_settled(stack)
    change(stack, history(delivery), state="in_progress", begun=1, token="another")
    code, books = audited(cli)
    (note,) = books["notes"]
    assert (code, books["closed"], note["kind"]) == (0, True, "stale_history")
    assert "Nothing is lost" in note["detail"]

    mended(stack, cli, note)

    wait_until("the note is gone", lambda: audited(cli)[1]["notes"] == [])


def test_a_letter_that_somebody_else_holds_makes_the_answer_uncertain(stack: Stack, openai: StandIn, cli: Cli) -> None:
    openai.fault("GET /v1/files/{id}", "status", status=401, times=1)
    given_up(stack, file_event(openai))
    is_settled(stack)
    sqs, url = stack.emulator.client("sqs"), stack.dead_letter_queue_url("file")
    (held,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=120)["Messages"]

    result = cli.run("audit", "--json")

    assert result.code == 3
    books = result.json()
    assert (books["closed"], books["mismatches"]) == (None, [])
    assert [(found["kind"], found["fix"]) for found in books["uncertain"]] == [("no_letter", "openai-webhooks audit")]
    assert "another reader holds dead letters" in books["uncertain"][0]["detail"]
    assert "Audit again" in result.error()["hint"]
    assert cli.run("audit").out.endswith("The books may close: audit again in a minute.\n")
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=held["ReceiptHandle"], VisibilityTimeout=0)
    assert audited(cli)[0] == 0


@pytest.mark.stack(**unhandled("file"))
def test_a_redriven_letter_that_nobody_has_received_is_not_told_as_lost(
    stack: Stack, cli: Cli, openai: StandIn
) -> None:
    event = {"pk": {"S": "event#project#wh_1"}, "sk": {"S": "event"}}
    record = {"pk": {"S": "idempotency#event/evt_1"}, "sk": {"S": "record"}}
    body = json.dumps({"id": "evt_1", "type": "file.processed", "data": {"id": "file-1"}})
    now = int(time.time() * 1000)
    change(stack, event, state="failed", body=body, received_at=now, category="file", event_type="file.processed")
    change(stack, record, status="failed", token="t", event="project#wh_1", claimed_at=now, ended_at=now)
    assert audited(cli)[0] == 1
    stack.send("file", body, {"webhook-id": "wh_1", "endpoint": "project"})
    code, books = audited(cli)
    assert (code, books["mismatches"]) == (3, [])
    assert "redriven" in books["uncertain"][0]["detail"]


def test_bad_usage_and_missing_access_are_told(stack: Stack, cli: Cli) -> None:
    bad = cli.run("audit", "--since", "yesterday")
    assert (bad.code, bad.out, "2026-11-21" in bad.err) == (2, "", True)
    nowhere = cli.run("audit", "--stack", "no-such-stack", "--json")
    assert (nowhere.code, nowhere.out) == (1, "")
    assert re.search("no stack", nowhere.error()["error"])
