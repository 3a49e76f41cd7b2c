"""`batch`: submit with a check of the file, watch with download of the results, cancel."""

import json
import os
import pty
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from infra.local.stack import Stack, unhandled
from infra.local.stand_in import StandIn
from tests.batches import content, new_batch
from tests.cli import BINARY, Cli
from tests.waiting import wait_until

URL = "/v1/responses"
MODEL = "gpt-6-luna"
ONLY_BATCHES = unhandled("response", "fine-tuning", "realtime", "agent", "safety", "file", "archive")


def request(custom_id: str = "a", **changed: Any) -> dict[str, Any]:
    """A line of an input file; what is `None` is left out."""
    line = {"custom_id": custom_id, "method": "POST", "url": URL, "body": {"model": MODEL, "input": "Hello"}, **changed}
    return {name: value for name, value in line.items() if value is not None}


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    """Write an input file."""
    text = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("".join(f"{line}\n" for line in text))
    return path


@pytest.fixture
def cli(openai: StandIn) -> Cli:
    """The command line, with access to OpenAI and to no stack."""
    return Cli(None, openai)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A file of three requests."""
    return write(tmp_path / "requests.jsonl", *(request(f"request-{number}") for number in range(3)))


def started(cli: Cli, *arguments: str | Path, stderr: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    """The command, running beside the test."""
    command = [str(word) for word in (BINARY, *arguments)]
    return subprocess.Popen(
        command, env=cli.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr
    )


# The check ------------------------------------------------------------------------------------------------------------

ERRORS = {
    "empty": ([], 1, "the file has no requests"),
    "byte_order_mark": (["\ufeff" + json.dumps(request())], 1, "save the file as UTF-8 without one"),
    "blank_line": ([request("a"), "  ", request("b")], 2, "is blank"),
    "invalid_json": ([request("a"), '{"custom_id": }'], 2, "is not JSON: expected value at column 15"),
    "not_an_object": ([request("a"), "[1]"], 2, "is not a JSON object"),
    "missing_custom_id": ([request("a"), request(custom_id=7)], 2, "its custom_id is missing or not a string"),
    "repeated_custom_id": ([request("a"), request("b"), request("a")], 3, "its custom_id a is also on line 1"),
    "not_post": ([request(method="GET")], 1, 'its method is not "POST"'),
    "missing_url": ([request(url="https://api.openai.com/v1/responses")], 1, "not a path such as /v1/responses"),
    "other_url": ([request("a"), request("b", url="/v1/embeddings")], 2, "is not the batch's endpoint /v1/responses"),
    "missing_body": ([request(body="{}")], 1, "its body is missing or not an object"),
    "missing_model": ([request(body={"input": "Hello"})], 1, "its body has no model"),
    "other_model": ([request("a"), request("b", body={"model": "other"})], 2, f"its model other is not {MODEL}"),
    "too_many_lines": ([request(str(number)) for number in range(50_001)], 50_001, "at most 50000 requests"),
}


@pytest.mark.parametrize("reason", ERRORS)
def test_a_faulty_line_is_refused_with_its_number_and_nothing_is_sent(
    reason: str, tmp_path: Path, cli: Cli, openai: StandIn
) -> None:
    lines, number, message = ERRORS[reason]
    file = write(tmp_path / "requests.jsonl", *lines)

    result = cli.run("batch", "submit", file, "--no-stack")

    assert (result.code, result.out) == (2, "")
    assert "has 1 error; nothing was sent" in result.err
    (error,) = [line for line in result.err.splitlines() if line.startswith("  ")]
    assert error.startswith(f"  line {number}: ")
    assert message in error
    assert error.endswith(f"({reason})")
    assert openai.requests() == []


def test_of_many_errors_the_first_twenty_are_shown_and_all_are_counted(tmp_path: Path, cli: Cli) -> None:
    file = write(tmp_path / "requests.jsonl", *["nonsense"] * 30)

    result = cli.run("batch", "submit", file, "--no-stack", "--json")

    assert (result.code, result.out) == (2, "")
    error = result.error()
    assert error["error"].endswith("has 30 errors; nothing was sent")
    assert (error["count"], [fault["line"] for fault in error["lines"]]) == (30, list(range(1, 21)))
    assert {fault["reason"] for fault in error["lines"]} == {"invalid_json"}
    assert cli.run("batch", "submit", file, "--no-stack").err.endswith("and 10 more\n")


def test_an_endpoint_that_is_given_is_that_of_every_line(good: Path, cli: Cli, openai: StandIn) -> None:
    result = cli.run("batch", "submit", good, "--no-stack", "--endpoint", "/v1/embeddings")

    assert result.code == 2
    assert result.err.count("(other_url)") == 3
    assert openai.requests() == []


def test_what_is_not_a_file_or_too_large_is_refused(tmp_path: Path, cli: Cli) -> None:
    large = tmp_path / "large.jsonl"
    with large.open("wb") as file:
        file.truncate(200 * 1024 * 1024 + 1)

    for path, message in ((tmp_path / "absent", "cannot read"), (tmp_path, "is not a file"), (large, "too_large")):
        result = cli.run("batch", "submit", path, "--no-stack")
        assert result.code == 2
        assert message in result.err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--metadata", "nothing"], "NAME=VALUE"),
        (["--metadata", "x" * 65 + "=1"], "NAME=VALUE"),
        (["--metadata", "a=1"] * 17, "16"),
        (["--endpoint", "responses"], "/v1/responses"),
        (["--expect-by", "soon"], "24h"),
        (["--expect-by", "2020-01-01"], "in the past"),
        (["--context", "[]"], "is not a JSON object"),
        (["--context", json.dumps({"a": "x" * 4096})], "larger than 4096 bytes"),
        (["--context", "{}", "--no-stack"], "--no-stack"),
    ],
)
def test_bad_options_are_refused_before_anything_is_sent(
    option: list[str], message: str, good: Path, cli: Cli, openai: StandIn
) -> None:
    result = cli.run("batch", "submit", good, *option)

    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert openai.requests() == []


# Submit ---------------------------------------------------------------------------------------------------------------


@pytest.mark.stack(**ONLY_BATCHES)
def test_a_submitted_batch_is_expected_watched_and_its_kept_results_are_fetched(
    stack: Stack, openai: StandIn, good: Path, tmp_path: Path
) -> None:
    cli = Cli(stack)
    result = cli.run(
        *("batch", "submit", good, "--metadata", "team=ops", "--context", '{"run": 7}', "--expect-by", "30h")
    )
    assert result.code == 0, result
    batch_id = result.out.strip()
    assert f"openai-webhooks batch watch {batch_id}" in result.err

    batch = openai.sdk().batches.retrieve(batch_id)
    assert (batch.endpoint, batch.metadata) == (URL, {"team": "ops"})
    assert openai.sdk().files.content(batch.input_file_id).read() == good.read_bytes()
    (expected,) = [item for item in stack.ledger() if item["pk"] == f"job#batch#{batch_id}"]
    assert (expected["waiting"], json.loads(expected["context"])) == ("batch", {"run": 7})
    assert expected["due_at"] - expected["created_at"] in range(30 * 3600 - 60, 30 * 3600 + 1)

    openai.advance(batch_id, "in_progress")
    watching = started(cli, "batch", "watch", batch_id, "--out", tmp_path / "results", "--interval", "1")
    openai.advance(batch_id, "completed")
    out, err = watching.communicate(timeout=60)
    assert watching.returncode == 0, err
    assert b"3 requests, 3 completed, 0 failed" in out
    results = {path.name: path.read_bytes() for path in (tmp_path / "results").iterdir()}
    kept = {name: stack.artifact(f"batch/{batch_id}/{name}") for name in ("output.jsonl", "summary.json")}
    assert results == kept


@pytest.mark.stack(**ONLY_BATCHES)
@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (429, "3 requests, 2 completed, 1 failed\n"),
        ("malformed", "3 requests, 2 completed, 0 failed, 1 unreadable\n"),
        ("missing", "3 requests, 2 completed, 0 failed, 1 missing\n"),
    ],
)
def test_a_batch_whose_lines_say_less_than_openai_s_counts_is_not_a_success(
    stack: Stack, openai: StandIn, good: Path, tmp_path: Path, outcome: int | str, said: str
) -> None:
    cli = Cli(stack)
    batch_id = cli.ok("batch", "submit", good)["batch_id"]
    counts = {"total": 3, "completed": 3, "failed": 0}
    openai.advance(batch_id, "completed", plan={"lines": {"request-1": outcome}}, request_counts=counts)

    result = cli.run("batch", "watch", batch_id, "--out", tmp_path / "results")

    assert result.code == 1
    assert said in result.out
    assert json.loads((tmp_path / "results" / "summary.json").read_text())["note"].startswith(
        "OpenAI counts 3 requests"
    )


def test_without_a_stack_the_results_come_from_openai(good: Path, tmp_path: Path, cli: Cli, openai: StandIn) -> None:
    submitted = cli.ok("batch", "submit", good, "--no-stack")
    assert (submitted["requests"], submitted["model"], submitted["due_at"]) == (3, MODEL, None)
    batch_id = submitted["batch_id"]
    openai.advance(batch_id, "completed", plan={"lines": {"request-1": 429}})

    result = cli.run("batch", "watch", batch_id[:-2], "--no-stack", "--json", cwd=tmp_path)

    assert result.code == 1, "a line has failed"
    assert result.json()["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    assert result.json()["files"] == ["output.jsonl", "errors.jsonl", "summary.json"]
    for name, bytes_ in content(openai, batch_id).items():
        assert (tmp_path / batch_id / Path(name).name).read_bytes() == bytes_
    assert json.loads((tmp_path / batch_id / "summary.json").read_text())["id"] == batch_id


def test_a_submitted_batch_can_be_watched_at_once(good: Path, tmp_path: Path, cli: Cli, openai: StandIn) -> None:
    out = ("--out", tmp_path / "results")
    submitting = started(cli, "batch", "submit", good, "--no-stack", "--watch", "--json", *out)
    (batch,) = wait_until("the batch is created", lambda: list(openai.sdk().batches.list()))
    openai.advance(batch.id, "completed")

    said, err = submitting.communicate(timeout=20)

    assert submitting.returncode == 0, err
    assert json.loads(said)["request_counts"]["completed"] == 3
    assert len((tmp_path / "results" / "output.jsonl").read_text().splitlines()) == 3


def test_a_batch_that_was_created_unheard_is_found_and_not_created_twice(good: Path, cli: Cli, openai: StandIn) -> None:
    openai.fault("POST /v1/batches", "cut", times=1, after_bytes=0)

    submitted = cli.ok("batch", "submit", good, "--no-stack")

    assert [batch.id for batch in openai.sdk().batches.list()] == [submitted["batch_id"]]


def test_when_nobody_knows_whether_the_batch_was_created_it_says_what_to_look_for(
    good: Path, cli: Cli, openai: StandIn
) -> None:
    openai.fault("POST /v1/batches", "status", times=1, status=500)

    result = cli.run("batch", "submit", good, "--no-stack")

    assert (result.code, result.out) == (3, "")
    (file,) = openai.sdk().files.list()
    assert f"Look for {file.id} at" in result.err


def test_a_batch_that_openai_refuses_names_what_was_uploaded(good: Path, cli: Cli, openai: StandIn) -> None:
    openai.fault("POST /v1/batches", "insufficient_quota", times=1)

    result = cli.run("batch", "submit", good, "--no-stack")

    assert (result.code, result.out) == (3, "")
    (file,) = openai.sdk().files.list()
    assert f"no batch was created, and the uploaded file {file.id} costs nothing" in result.err
    assert list(openai.sdk().batches.list()) == []


def test_an_upload_that_fails_creates_nothing(good: Path, cli: Cli, openai: StandIn) -> None:
    openai.fault("POST /v1/files", "status", status=503)

    assert cli.run("batch", "submit", good, "--no-stack").code == 3
    assert list(openai.sdk().batches.list()) == []


def test_a_stack_that_is_not_there_is_noticed_before_anything_is_sent(
    stack: Stack, good: Path, openai: StandIn
) -> None:
    result = Cli(stack, openai).run("batch", "submit", good, "--stack", "no-such-stack")

    assert result.code == 1
    assert "no-such-stack" in result.err
    assert openai.requests() == []


def test_a_batch_whose_end_cannot_be_expected_is_named_all_the_same(stack: Stack, good: Path, openai: StandIn) -> None:
    stack.emulator.client("dynamodb").delete_table(TableName=stack.outputs["TableName"])

    result = Cli(stack, openai).run("batch", "submit", good)

    (batch,) = openai.sdk().batches.list()
    assert (result.code, result.out.strip()) == (1, batch.id)
    assert f"openai-webhooks expect batch {batch.id} --by" in result.err


# Watch ----------------------------------------------------------------------------------------------------------------


def test_a_failed_batch_shows_why(tmp_path: Path, cli: Cli, openai: StandIn) -> None:
    batch_id = new_batch(openai)
    fault = {"code": "invalid_json_line", "message": "This line is not JSON.", "param": None, "line": 2}
    openai.advance(batch_id, "failed", errors=[fault])

    result = cli.run("batch", "watch", batch_id, "--no-stack", cwd=tmp_path)

    assert result.code == 1
    assert "line 2: This line is not JSON. (invalid_json_line)" in result.out


def test_watching_outlives_a_disturbance(tmp_path: Path, cli: Cli, openai: StandIn) -> None:
    batch_id = new_batch(openai)
    openai.advance(batch_id, "completed")
    openai.fault("GET /v1/batches/{id}", "status", times=2, status=503)

    result = cli.run("batch", "watch", batch_id, "--no-stack", "--interval", "1", cwd=tmp_path)

    assert result.code == 0, result


def test_ctrl_c_stops_the_watching_and_says_how_to_go_on(cli: Cli, openai: StandIn) -> None:
    batch_id = new_batch(openai)
    watching = started(cli, "batch", "watch", batch_id, "--no-stack", "--interval", "1")
    wait_until("it looks", lambda: openai.calls("GET", f"/v1/batches/{batch_id}") > 1)

    watching.send_signal(signal.SIGINT)

    _, err = watching.communicate(timeout=20)
    assert watching.returncode == 1
    assert f"openai-webhooks batch watch {batch_id}" in err.decode()
    assert openai.sdk().batches.retrieve(batch_id).status == "validating"


def test_a_terminal_shows_the_progress(tmp_path: Path, cli: Cli, openai: StandIn) -> None:
    batch_id = new_batch(openai, 40)
    openai.advance(batch_id, "in_progress", request_counts={"total": 40, "completed": 9, "failed": 1})
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    cli.environment["TERM"] = "xterm"
    out = ("--out", tmp_path / "results")
    watching = started(cli, "batch", "watch", batch_id, "--no-stack", "--interval", "1", *out, stderr=theirs)
    shown = bytearray()

    def shows_progress() -> bool:
        with suppress(BlockingIOError):
            shown.extend(os.read(ours, 4096))
        return b"in_progress" in shown and b"10/40" in shown

    wait_until("the progress is shown", shows_progress)
    openai.advance(batch_id, "completed")
    watching.communicate(timeout=20)
    assert watching.returncode == 0
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("command", ["watch", "cancel"])
def test_a_batch_that_is_not_there_is_1(command: str, cli: Cli) -> None:
    options = ["--no-stack"] if command == "watch" else ["--yes"]
    result = cli.run("batch", command, "batch_none", *options)
    assert (result.code, result.out) == (1, "")
    assert "another project" in result.err


@pytest.mark.parametrize("command", ["watch", "cancel"])
def test_what_cannot_be_an_id_never_becomes_a_path(command: str, cli: Cli, openai: StandIn) -> None:
    result = cli.run("batch", command, "../elsewhere")
    assert result.code == 2
    assert "is not a batch id" in result.err
    assert openai.requests() == []


# Cancel ---------------------------------------------------------------------------------------------------------------


def test_a_batch_is_cancelled_with_consent_alone(cli: Cli, openai: StandIn) -> None:
    batch_id = new_batch(openai)

    assert cli.run("batch", "cancel", batch_id).code == 2
    assert cli.ok("batch", "cancel", batch_id, "--dry-run")["status"] == "validating"
    assert openai.sdk().batches.retrieve(batch_id).status == "validating"

    result = cli.run("batch", "cancel", batch_id, "--yes")
    assert result.code == 0
    assert "up to ten minutes" in result.out
    assert openai.sdk().batches.retrieve(batch_id).status == "cancelling"
    assert cli.ok("batch", "cancel", batch_id, "--yes")["status"] == "cancelling"
    assert openai.calls("POST", f"/v1/batches/{batch_id}/cancel") == 1


def test_a_batch_that_has_ended_cannot_be_cancelled(cli: Cli, openai: StandIn) -> None:
    batch_id = new_batch(openai)
    openai.advance(batch_id, "completed")

    result = cli.run("batch", "cancel", batch_id, "--yes")

    assert result.code == 1
    assert "is completed and cannot be cancelled" in result.err
