"""`events` and `expect`: what the ledger knows, having events handled again, and saying what will end."""

import json
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.local.stack import Stack
from infra.local.stand_in import Json, StandIn
from infra.local.watch import Watch
from tests.batches import content, finish, given_up, handled, kept, new_batch
from tests.cli import Cli
from tests.waiting import stays, wait_until

DAY = 86_400_000


@pytest.fixture
def cli(stack: Stack) -> Cli:
    """The command line, with access to the stack."""
    return Cli(stack)


def now() -> int:
    return int(time.time() * 1000)


def record(stack: Stack, received_at: int, **changed: Any) -> str:
    """Write the item of an event, as its consumer does, and answer its webhook id."""
    webhook_id = f"wh_{uuid.uuid4().hex}"
    item: Json = {
        "pk": f"event#project#{webhook_id}",
        "sk": "event",
        "day": datetime.fromtimestamp(received_at / 1000, UTC).strftime("%Y-%m-%d#7"),
        "received_at": received_at,
        "endpoint": "project",
        "source": "openai",
        "webhook_timestamp": str(received_at // 1000),
        "event_id": f"evt_{webhook_id}",
        "event_type": "file.processed",
        "category": "file",
        "object_id": "file-1",
        "state": "completed",
        "claims": 1,
        "result": "processed",
        "handled_at": received_at + 1500,
        "body": "{}",
        **changed,
    }
    plain = {name: {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in item.items()}
    stack.emulator.client("dynamodb").put_item(TableName=stack.outputs["TableName"], Item=plain)
    return webhook_id


def ids(found: list[Json]) -> list[str]:
    return [event["webhook_id"] for event in found]


# list ----------------------------------------------------------------------------------------------------------------


def test_events_are_listed_by_what_is_asked_for_the_newest_first(stack: Stack, cli: Cli) -> None:
    ages = {"now": 0, "yesterday": 25 * DAY // 24, "last week": 7 * DAY, "last month": 30 * DAY}
    by_age = {name: record(stack, now() - age) for name, age in ages.items()}
    failed = record(stack, now() - 60_000, state="failed", event_type="batch.failed", category="batch")
    other = record(stack, now() - 120_000, object_id="file-2", state="in_progress")

    assert ids(cli.lines("events", "list")) == [by_age["now"], failed, other]
    assert ids(cli.lines("events", "list", "--since", "8d")) == [
        *(by_age["now"], failed, other),
        *(by_age["yesterday"], by_age["last week"]),
    ]
    assert ids(cli.lines("events", "list", "--since", "31d", "--until", "6d")) == [
        by_age["last week"],
        by_age["last month"],
    ]
    assert ids(cli.lines("events", "list", "--state", "failed")) == [failed]
    assert ids(cli.lines("events", "list", "--category", "batch")) == [failed]
    assert ids(cli.lines("events", "list", "--type", "batch.*")) == [failed]
    assert ids(cli.lines("events", "list", "--type", "batch.")) == []
    assert ids(cli.lines("events", "list", "--object", "file-2", "--since", "2026-01-01")) == [other]
    limited = ("events", "list", "--since", "31d", "--limit", "2")
    assert cli.run(*limited, "--json").error()["more"] is True
    assert ids(cli.lines(*limited)) == [by_age["now"], failed]


def test_a_day_with_more_events_than_a_page_is_listed_whole(stack: Stack, cli: Cli) -> None:
    # 1 MB ends a page, and so do 500 events.
    newest = now()
    made = [record(stack, newest - at, body="x" * 50_000 if at % 20 == 0 else "{}") for at in range(520)]
    found = cli.run("events", "list", "--limit", "1000", "--json")
    assert (ids([json.loads(line) for line in found.out.splitlines()]), found.err) == (made, "")


def test_a_list_is_a_table_for_people(stack: Stack, openai: StandIn, cli: Cli) -> None:
    (delivery,) = openai.deliver("file.processed", {"id": openai.put_file(text="four")["id"]}, wait=True)
    handled(stack, delivery)
    result = cli.run("events", "list")
    heading, row = result.out.splitlines()
    assert heading.split()[:2] == ["RECEIVED", "(UTC)"]
    assert row.split()[2:4] == ["completed", "file.processed"]
    assert row.endswith(f"1         processed  {delivery['webhook_id']}")
    empty = cli.run("events", "list", "--category", "batch")
    assert (empty.code, "No event matches" in empty.err) == (0, True)


# show ----------------------------------------------------------------------------------------------------------------


def test_an_event_is_shown_with_its_history(stack: Stack, openai: StandIn, cli: Cli) -> None:
    batch_id = new_batch(openai)
    delivery = finish(openai, batch_id)
    event = handled(stack, delivery)

    shown = cli.ok("events", "show", delivery["webhook_id"])

    assert (shown["type"], shown["object_id"], shown["state"]) == ("batch.completed", batch_id, "completed")
    assert (shown["source"], shown["attempts"], shown["error"]) == ("openai", 1, None)
    assert shown["outcome"]["status"] == "completed"
    assert f"s3://{stack.outputs['BucketName']}/batch/{batch_id}/output.jsonl" in shown["artifacts"]
    assert shown["job"]["status"] == "completed"
    assert shown["idempotency"]["key"] == f"batch.completed/{batch_id}"
    assert (shown["idempotency"]["status"], shown["idempotency"]["claims"]) == ("completed", 1)
    assert shown["idempotency"]["event"] == f"project/{delivery['webhook_id']}"
    assert [attempt["result"] for attempt in shown["history"]] == ["completed"]
    assert "body" not in shown
    # By the id that outcomes have, too.
    assert cli.ok("events", "show", event["event_id"]) == shown
    text = cli.run("events", "show", event["event_id"]).out
    assert "completed since" in text
    assert f"project/{delivery['webhook_id']}, completed (idempotency key batch.completed/{batch_id})" in text
    assert json.loads(cli.run("events", "show", delivery["webhook_id"], "--body").out)["data"] == {"id": batch_id}
    assert json.loads(cli.ok("events", "show", delivery["webhook_id"], "--body")["body"])["id"] == event["event_id"]


def test_a_failed_event_and_a_duplicate_say_so(stack: Stack, openai: StandIn, cli: Cli) -> None:
    openai.fault("GET /v1/files/{id}", "status", status=401, times=1)
    (failed,) = openai.deliver("file.processed", {"id": "file-1"}, wait=True)
    given_up(stack, failed)
    assert cli.ok("events", "show", failed["webhook_id"])["error"]["reason"] == "unauthorized"
    assert "unauthorized: " in cli.run("events", "show", failed["webhook_id"]).out

    batch_id = new_batch(openai)
    first = finish(openai, batch_id)
    handled(stack, first)
    (second,) = openai.deliver("batch.completed", {"id": batch_id}, wait=True)
    handled(stack, second)
    shown = cli.ok("events", "show", second["webhook_id"])
    assert shown["duplicate_of"] == {"endpoint": "project", "webhook_id": first["webhook_id"]}


def test_an_event_that_is_not_there_is_1(cli: Cli) -> None:
    result = cli.run("events", "show", "evt_nobody", "--json")
    assert (result.code, result.out) == (1, "")
    assert "events list" in result.error()["hint"]


def test_a_body_that_was_too_large_is_told(stack: Stack, cli: Cli) -> None:
    webhook_id = record(stack, now(), body_omitted=400_000)
    table = stack.outputs["TableName"]
    stack.emulator.client("dynamodb").update_item(
        TableName=table,
        Key={"pk": {"S": f"event#project#{webhook_id}"}, "sk": {"S": "event"}},
        UpdateExpression="REMOVE body",
    )
    assert "not stored: 400000 bytes" in cli.run("events", "show", webhook_id).out
    for arguments in (("show", webhook_id, "--body"), ("replay", webhook_id, "--yes")):
        result = cli.run("events", *arguments)
        assert (result.code, result.out) == (1, "")
        assert "400000 bytes" in result.err
    refused = cli.run("events", "replay", "--since", "1h", "--yes", "--json")
    assert refused.code == 1
    assert "400000 bytes" in refused.json()["refused"][0]["why"]


# replay --------------------------------------------------------------------------------------------------------------


def test_a_replayed_event_is_handled_again_and_its_outcome_says_so(
    stack: Stack, openai: StandIn, watch: Watch, cli: Cli
) -> None:
    batch_id = new_batch(openai)
    delivery = finish(openai, batch_id)
    event = handled(stack, delivery)
    wait_until("the outcome is there", watch.outcomes)
    s3 = stack.emulator.client("s3")
    s3.delete_object(Bucket=stack.outputs["BucketName"], Key=f"batch/{batch_id}/output.jsonl")

    (rehearsed,) = cli.ok("events", "replay", event["event_id"], "--dry-run")["events"]
    assert (rehearsed["webhook_id"], rehearsed["state"]) == (delivery["webhook_id"], "completed")
    stays("nothing is done", lambda: len(watch.outcomes()) == 1, 0.3)
    asked = cli.run("events", "replay", event["event_id"])
    assert (asked.code, "Replay 1 event (1 completed)" in asked.err) == (2, True)

    (replayed,) = cli.ok("events", "replay", event["event_id"], "--yes")["events"]

    assert replayed["webhook_id"] == delivery["webhook_id"]
    outcomes = wait_until("it is announced again", lambda: len(found := watch.outcomes()) == 2 and found)
    assert [outcome.detail["source"] for outcome in outcomes] == ["openai", "replay"]
    assert outcomes[0].detail["id"] == outcomes[1].detail["id"]
    # It is announced before it is recorded.
    wait_until("its second attempt is recorded", lambda: handled(stack, delivery)["attempts"] == 2)
    assert kept(stack, batch_id) == content(openai, batch_id)


def test_what_failed_in_a_time_is_replayed_together_and_duplicates_are_left_out(
    stack: Stack, openai: StandIn, watch: Watch, cli: Cli
) -> None:
    files = [openai.put_file(text="four")["id"] for _ in range(12)]
    openai.fault("GET /v1/files/{id}", "status", status=403)
    deliveries = [openai.deliver("file.processed", {"id": file}, wait=True)[0] for file in files]
    for delivery in deliveries:
        given_up(stack, delivery)
    record(stack, now(), state="failed", duplicate_of=f"project#{deliveries[0]['webhook_id']}")
    openai.clear_faults()

    limited = cli.ok("events", "replay", "--since", "1h", "--state", "failed", "--limit", "3", "--dry-run")
    assert (len(limited["events"]), limited["more"]) == (3, True)
    done = cli.ok("events", "replay", "--since", "1h", "--state", "failed", "--yes")

    assert [event["object_id"] for event in done["events"]] == files
    assert done["duplicates"] == 1
    for delivery in deliveries:
        handled(stack, delivery)
    wait_until("each is announced", lambda: {outcome.detail["object_id"] for outcome in watch.outcomes()} == set(files))
    assert len(watch.outcomes()) == len(files)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list", "--since", "yesterday"), "2026-11-21"),
        (("list", "--since", "1h", "--until", "2h"), "--until is before --since"),
        (("list", "--type", "*.completed"), "not at its end"),
        (("list", "--type", ""), "empty"),
        (("list", "--state", "lost"), "in_progress"),
        (("list", "--category", "batches"), "possible values: batch, response"),
        (("list", "--limit", "0"), "--limit"),
        (("show",), "<ID>"),
        (("replay",), "--since"),
        (("replay", "--state", "failed"), "--since"),
        (("replay", "evt_1", "--state", "failed"), "not both"),
    ],
)
def test_bad_usage_is_told(stack: Stack, cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    result = cli.run("events", *arguments)
    assert (result.code, result.out) == (2, "")
    assert said in result.err


# expect --------------------------------------------------------------------------------------------------------------


def expectation(stack: Stack, category: str, object_id: str) -> Json:
    return next(item for item in stack.ledger() if item["pk"] == f"job#{category}#{object_id}")


@pytest.mark.parametrize(
    ("kind", "object_id", "category"),
    [
        ("response", "resp_1", "response"),
        ("batch", "batch_1", "batch"),
        ("fine-tuning", "ftjob-1", "fine-tuning"),
    ],
)
def test_what_will_end_is_written_down(stack: Stack, cli: Cli, kind: str, object_id: str, category: str) -> None:
    given = cli.ok("expect", kind, object_id, "--by", "2h", "--context", '{"order": 7}')
    assert (given["category"], given["object_id"], given["context"]) == (category, object_id, {"order": 7})
    item = expectation(stack, category, object_id)
    assert item["waiting"] == category
    assert 7190 < item["due_at"] - time.time() < 7210
    assert json.loads(item["context"]) == {"order": 7}


def test_what_has_ended_already_is_not_expected_any_more(stack: Stack, openai: StandIn, cli: Cli) -> None:
    batch_id = new_batch(openai)
    handled(stack, finish(openai, batch_id))
    result = cli.run("expect", "batch", batch_id, "--by", "1h")
    assert (result.code, result.out) == (1, "")
    assert f"{batch_id} has already ended: completed" in result.err
    assert not any("waiting" in item for item in stack.ledger("job"))


def test_a_context_may_come_from_a_file(stack: Stack, cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "context.json"
    file.write_text('{"who": "nightly"}')
    result = cli.run("expect", "fine-tuning", "ftjob-1", "--by", "2099-01-01T00:00:00Z", "--context", f"@{file}")
    assert (result.code, "2099-01-01 00:00:00 UTC" in result.out) == (0, True), result
    item = expectation(stack, "fine-tuning", "ftjob-1")
    assert item["due_at"] == 4_070_908_800
    assert json.loads(item["context"]) == {"who": "nightly"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("file", "file-1", "--by", "1h"), "fine-tuning"),
        (("batch", "batch_1"), "--by"),
        (("batch", "batch_1", "--by", "2020-01-01"), "in the past"),
        (("batch", "", "--by", "1h"), "not an OpenAI object id"),
        (("batch", "batch 1", "--by", "1h"), "not an OpenAI object id"),
        (("batch", "batch_1", "--by", "1h", "--context", "[]"), "not a JSON object"),
        (("batch", "batch_1", "--by", "1h", "--context", json.dumps({"a": "x" * 4096})), "larger than 4096 bytes"),
        (("batch", "batch_1", "--by", "1h", "--context", "@/nonexistent/file"), "/nonexistent/file"),
    ],
)
def test_what_cannot_be_expected_is_told(stack: Stack, cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    result = cli.run("expect", *arguments)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert stack.ledger() == []


# ids and filters -----------------------------------------------------------------------------------------------------


def test_an_event_is_found_by_a_beginning_that_no_other_id_has(stack: Stack, cli: Cli) -> None:
    webhook_id = record(stack, now() - 30 * DAY)
    others = [record(stack, now() - at) for at in range(3)]
    assert cli.ok("events", "show", webhook_id[:15])["webhook_id"] == webhook_id
    assert cli.ok("events", "show", f"evt_{webhook_id}"[:19])["webhook_id"] == webhook_id
    table = stack.outputs["TableName"]
    twin = others[0][:20] + "twin"
    found = stack.emulator.client("dynamodb").get_item(
        TableName=table, Key={"pk": {"S": f"event#project#{others[0]}"}, "sk": {"S": "event"}}
    )["Item"]
    found["pk"] = {"S": f"event#project#{twin}"}
    stack.emulator.client("dynamodb").put_item(TableName=table, Item=found)
    ambiguous = cli.run("events", "show", others[0][:18])
    assert (ambiguous.code, twin in ambiguous.err, others[0] in ambiguous.err) == (2, True, True)
    short = cli.run("events", "show", "wh_1")
    assert (short.code, "too short" in short.err) == (2, True)
    for hostile in ("wh_\u001b[2J", "x" * 513, "wh_ä", " "):
        result = cli.run("events", "show", hostile)
        assert (result.code, result.out) == (2, ""), hostile
        assert "\u001b" not in result.err


def test_events_are_filtered_by_reason_metadata_and_what_is_left_out(stack: Stack, cli: Cli) -> None:
    denied = record(stack, now() - 1000, state="failed", reason="unauthorized")
    gone = record(stack, now() - 2000, state="failed", reason="not_found")
    fine = record(stack, now() - 3000, event_type="eval.run.succeeded", category="archive")
    table = stack.outputs["TableName"]
    for webhook_id, team in ((denied, "ops"), (fine, "dev")):
        stack.emulator.client("dynamodb").update_item(
            TableName=table,
            Key={"pk": {"S": f"event#project#{webhook_id}"}, "sk": {"S": "event"}},
            UpdateExpression="SET summary = :summary",
            ExpressionAttributeValues={":summary": {"M": {"metadata": {"M": {"team": {"S": team}}}}}},
        )

    assert ids(cli.lines("events", "list", "--failed")) == [denied, gone]
    assert ids(cli.lines("events", "list", "--reason", "unauthorized")) == [denied]
    assert ids(cli.lines("events", "list", "--exclude", "reason=unauthorized")) == [gone, fine]
    assert ids(cli.lines("events", "list", "--exclude", "type=eval.*", "--exclude", "reason=not_found")) == [denied]
    assert ids(cli.lines("events", "list", "--metadata", "team=ops")) == [denied]
    assert ids(cli.lines("events", "list", "--metadata", "team=ops", "--metadata", "team=dev")) == []
    assert ids(cli.lines("events", "list", "--reason", "quota_exhausted")) == [], "known, and nothing has it"
    for arguments, said in (
        (("--reason", "unauthorised"), "unauthorized, quota_exhausted"),
        (("--failed", "--state", "failed"), "--state"),
        (("--exclude", "colour=red"), "the fields are"),
        (("--exclude", "type=*.x"), "not at its end"),
        (("--metadata", "team"), "NAME=VALUE"),
        (("--metadata", "a=" + "x" * 600), "512"),
    ):
        result = cli.run("events", "list", *arguments)
        assert (result.code, result.out, said in result.err) == (2, "", True), (arguments, result)


def test_an_event_is_shown_as_a_timeline_with_what_can_be_done(stack: Stack, openai: StandIn, cli: Cli) -> None:
    openai.fault("GET /v1/files/{id}", "status", status=401, times=1)
    (delivery,) = openai.deliver("file.processed", {"id": openai.put_file(text="four")["id"]}, wait=True)
    given_up(stack, delivery)
    shown = cli.ok("events", "show", delivery["webhook_id"])
    assert {"received", "attempt", "outcome", "dead letter", "alert"} <= {
        moment["what"] for moment in shown["timeline"]
    }
    assert (shown["dead_letter"]["reason"], shown["alerts"][0]["severity"]) == ("unauthorized", "critical")
    text = cli.run("events", "show", delivery["webhook_id"]).out
    assert "Timeline (UTC)" in text
    assert f"openai-webhooks events replay {delivery['webhook_id']}" in text

    cli.environment["USER"] = "ada"
    cli.ok("events", "replay", delivery["webhook_id"], "--yes")
    handled(stack, delivery)
    shown = cli.ok("events", "show", delivery["webhook_id"])
    (replayed,) = [moment for moment in shown["timeline"] if moment["what"] == "replay"]
    assert replayed["detail"].startswith("replay by ada: processed")
    assert shown["dead_letter"] is None
    times = [datetime.fromisoformat(moment["at"]) for moment in shown["timeline"]]
    assert times == sorted(times)
