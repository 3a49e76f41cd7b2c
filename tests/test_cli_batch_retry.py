"""`batch retry`, `batch results`, `batch list`: every request of a batch gets one answer, and they are exported."""

import csv
import io
import json
from pathlib import Path

import pytest

from infra.local.stack import Stack, unhandled
from infra.local.stand_in import StandIn
from tests.batches import handled, new_batch
from tests.cli import Cli
from tests.test_cli_batch import MODEL, URL, request, write
from tests.waiting import wait_until

ONLY_BATCHES = unhandled("response", "fine-tuning", "realtime", "agent", "safety", "file", "archive")
REQUESTS, FAILED = 50, 30
RETRY_OF = "openai_webhooks_retry_of"


@pytest.fixture
def cli(openai: StandIn) -> Cli:
    """The command line, with access to OpenAI and to no stack."""
    return Cli(None, openai)


def ended(openai: StandIn, batch_id: str, status: str = "completed", **plan: object) -> None:
    openai.advance(batch_id, status, plan=plan)


def results(cli: Cli, batch_id: str, *options: str) -> tuple[int, list[dict]]:
    result = cli.run("batch", "results", batch_id, *options)
    return result.code, [json.loads(line) for line in result.out.splitlines()]


@pytest.mark.stack(**ONLY_BATCHES)
def test_a_batch_with_thirty_failed_lines_is_retried_until_every_request_has_one_answer(
    stack: Stack, openai: StandIn, tmp_path: Path
) -> None:
    cli = Cli(stack)
    file = write(tmp_path / "requests.jsonl", *(request(f"request-{number}") for number in range(REQUESTS)))
    submitted = ("batch", "submit", file, "--metadata", "team=ops", "--context", '{"run": 7}')
    first = cli.ok(*submitted)["batch_id"]
    outcomes: dict[str, int | str] = {f"request-{number}": 429 for number in range(20)}
    outcomes |= {f"request-{number}": 500 for number in range(20, 28)} | {
        "request-28": "missing",
        "request-29": "missing",
    }
    under_way = cli.run("batch", "retry", first, "--yes")
    assert (under_way.code, "may still get an answer" in under_way.err) == (1, True)
    (delivery,) = openai.advance(first, "completed", plan={"lines": outcomes})["deliveries"]
    handled(stack, delivery)

    rehearsed = cli.ok("batch", "retry", first[:20], "--dry-run", "--output", tmp_path / "again.jsonl")
    assert (rehearsed["requests"], rehearsed["retried"]) == (REQUESTS, FAILED)
    assert sorted(rehearsed["codes"].values()) == [2, 8, 20]
    assert rehearsed["codes"]["missing"] == 2
    lines = file.read_text().splitlines()
    assert (tmp_path / "again.jsonl").read_text().splitlines() == lines[:FAILED], "byte for byte, in their order"
    assert len(list(openai.sdk().batches.list())) == 1

    (code,) = [code for code, count in rehearsed["codes"].items() if count == 20]
    only = cli.ok("batch", "retry", first, "--only", code, "--yes")
    second = only["new_batch_id"]
    assert only["retried"] == 20
    batch = openai.sdk().batches.retrieve(second)
    assert (batch.metadata, batch.endpoint) == ({"team": "ops", RETRY_OF: first}, URL)
    (expected,) = [item for item in stack.ledger() if item["pk"] == f"job#batch#{second}"]
    assert json.loads(expected["context"]) == {"run": 7}
    # Nothing is submitted twice while that is under way.
    assert cli.run("batch", "retry", first, "--yes").code == 1
    again = {"request-3": 429}
    (delivery,) = openai.advance(second, "completed", plan={"lines": again})["deliveries"]
    handled(stack, delivery)

    third = cli.ok("batch", "retry", first, "--yes")
    assert third["retried"] == FAILED - 20 + 1
    assert third["retries"] == [second]
    (delivery,) = openai.advance(third["new_batch_id"], "completed")["deliveries"]
    handled(stack, delivery)

    code_, rows = results(cli, first)
    assert code_ == 0
    assert [row["custom_id"] for row in rows] == [f"request-{number}" for number in range(REQUESTS)]
    assert {row["status"] for row in rows} == {"succeeded"}
    answered_by = {row["custom_id"]: row["batch_id"] for row in rows}
    assert answered_by["request-40"] == first
    assert (answered_by["request-0"], answered_by["request-3"]) == (second, third["new_batch_id"])
    assert rows[0]["request"]["input"] == "Hello"
    assert rows[0]["response"]["model"] == MODEL
    nothing = cli.ok("batch", "retry", first, "--yes")
    assert (nothing["retried"], nothing["new_batch_id"]) == (0, None)

    export = cli.ok("batch", "results", first, "--format", "csv", "--output", tmp_path / "results.csv")
    assert export["counts"] == {
        "total": REQUESTS,
        "succeeded": REQUESTS,
        "failed": {},
        "unreadable": 0,
        "under_way": [],
    }
    table = list(csv.DictReader(io.StringIO((tmp_path / "results.csv").read_text())))
    assert [row["custom_id"] for row in table] == [f"request-{number}" for number in range(REQUESTS)]
    assert {(row["status"], row["input"]) for row in table} == {("succeeded", "Hello")}
    assert all(row["output"] for row in table)

    listed = [json.loads(line) for line in cli.run("batch", "list", "--json").out.splitlines()]
    by_id = {line["batch_id"]: line for line in listed}
    assert (by_id[first]["retry_of"], by_id[second]["retry_of"]) == (None, first)
    assert by_id[second]["request_counts"]["failed"] == 1


def test_without_a_stack_answers_come_from_openai(cli: Cli, openai: StandIn) -> None:
    batch_id = new_batch(openai, 4)
    ended(openai, batch_id, "expired", default="batch_expired", lines={"request-1": 200})
    code, rows = results(cli, batch_id, "--no-stack")
    assert code == 1
    assert [(row["status"], row["error"] and row["error"]["code"]) for row in rows] == [
        ("failed", "batch_expired"),
        ("succeeded", None),
        ("failed", "batch_expired"),
        ("failed", "batch_expired"),
    ]
    retried = cli.ok("batch", "retry", batch_id, "--no-stack", "--yes")
    assert (retried["retried"], retried["codes"]) == (3, {"batch_expired": 3})
    waiting = cli.run("batch", "results", batch_id, "--no-stack")
    assert (waiting.code, f"{retried['new_batch_id']} still under way" in waiting.err) == (1, True)


def test_text_from_outside_does_no_harm(cli: Cli, openai: StandIn, tmp_path: Path) -> None:
    ids = ["=1+1", 'a,b\n"c"', "\u001b[2J", "x" * 10_000]
    hostile = [request(custom_id, body={"model": MODEL, "input": "@SUM(A1)"}) for custom_id in ids]
    file = write(tmp_path / "requests.jsonl", *hostile)
    batch_id = cli.ok("batch", "submit", file, "--no-stack")["batch_id"]
    ended(openai, batch_id)
    code, rows = results(cli, batch_id, "--no-stack")
    assert (code, [row["custom_id"] for row in rows]) == (0, ids)
    result = cli.run("batch", "results", batch_id, "--no-stack", "--format", "csv")
    table = list(csv.DictReader(io.StringIO(result.out, newline="")))
    assert [row["custom_id"] for row in table] == ["'=1+1", *ids[1:]]
    assert {row["input"] for row in table} == {"'@SUM(A1)"}


def test_batches_are_listed_with_their_progress(cli: Cli, openai: StandIn) -> None:
    assert "There is no such batch" in cli.run("batch", "list").out
    old, new = new_batch(openai, 100), new_batch(openai)
    openai.advance(old, "in_progress", request_counts={"total": 100, "completed": 40, "failed": 5})
    result = cli.run("batch", "list")
    assert result.code == 0
    assert [line.split()[-1] for line in result.out.splitlines()[1:]] == [new, old]
    assert "45/100 (45 %)" in result.out
    lines = [
        json.loads(line) for line in cli.run("batch", "list", "--status", "in_progress", "--json").out.splitlines()
    ]
    assert [(line["batch_id"], line["progress"]) for line in lines] == [(old, 0.45)]
    assert len(cli.run("batch", "list", "--limit", "1", "--json").out.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("retry", "../elsewhere"), 2, "is not a batch id"),
        (("results", "../elsewhere"), 2, "is not a batch id"),
        (("retry", "batch_nothing_like_it", "--no-stack"), 1, "another project"),
        (("retry", "batch_1", "--only", ""), 2, "--only"),
        (("retry", "batch_1", "--expect-by", "2020-01-01"), 2, "in the past"),
        (("list", "--status", "lost"), 2, "in_progress"),
        (("list", "--limit", "0"), 2, "--limit"),
        (("results", "batch_1", "--format", "xml"), 2, "csv"),
    ],
)
def test_bad_usage_is_told(cli: Cli, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = cli.run("batch", *arguments)
    assert (result.code, result.out) == (code, "")
    assert said in result.err


def test_a_batch_that_failed_as_a_whole_is_to_be_corrected(cli: Cli, openai: StandIn) -> None:
    batch_id = new_batch(openai)
    openai.advance(batch_id, "failed")
    result = cli.run("batch", "retry", batch_id, "--no-stack", "--yes")
    assert (result.code, "Correct the input file" in result.err) == (1, True)


@pytest.mark.stack(DeleteOpenAIFiles="true", **ONLY_BATCHES)
def test_files_are_deleted_at_openai_once_they_are_kept(stack: Stack, openai: StandIn) -> None:
    batch_id = new_batch(openai, 3)
    batch = openai.advance(batch_id, "completed", plan={"lines": {"request-1": 429}})
    handled(stack, batch["deliveries"][0])
    found = openai.sdk().batches.retrieve(batch_id)
    left = {found.output_file_id, found.error_file_id}
    wait_until("they are gone", lambda: not left & {file.id for file in openai.sdk().files.list()})
    assert found.input_file_id in {file.id for file in openai.sdk().files.list()}
    assert stack.artifact(f"batch/{batch_id}/output.jsonl")
    # A replay finds nothing any more, and leaves what was kept.
    cli = Cli(stack)
    cli.ok("events", "replay", batch["deliveries"][0]["webhook_id"], "--yes")

    def kept() -> bool:
        event = stack.event(batch["deliveries"][0]["webhook_id"])
        return event is not None and len(event["history"]) == 2

    wait_until("the replay is over or tried again", kept)
    assert stack.event(batch["deliveries"][0]["webhook_id"])["state"] == "completed"
    code, rows = results(cli, batch_id)
    assert (code, [row["status"] for row in rows]) == (1, ["succeeded", "failed", "succeeded"])


@pytest.mark.stack(**ONLY_BATCHES)
def test_files_stay_at_openai_unless_asked_for(stack: Stack, openai: StandIn) -> None:
    batch_id = new_batch(openai, 3)
    handled(stack, openai.advance(batch_id, "completed")["deliveries"][0])
    found = openai.sdk().batches.retrieve(batch_id)
    assert found.output_file_id in {file.id for file in openai.sdk().files.list()}
