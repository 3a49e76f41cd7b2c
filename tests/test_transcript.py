"""Commands of README.md, docs and events/README.md, typed literally beside `make run`.

Every fenced block of a shell is run, or says in a comment before it why not:

    <!-- not run: REASON -->

Other comments before a block: `<!-- ids: wh_685c = event, batch_123 = batch -->` names examples that the test replaces
by what exists, and `<!-- stdin: api-key -->` says what is typed. A block of the language `console` also has the output
of its commands, which must be as printed but for ids, times, numbers and addresses; `...` stands for any lines.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.local.emulator import ACCESS_KEY, REGION
from infra.local.processes import ROOT
from infra.local.stand_in import API_KEY

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "events" / "README.md"]
_BLOCK = re.compile(
    r"(?P<marks>(?:^ *<!-- .*? -->\n)*)^ *```(?P<language>sh|console)\n(?P<text>.*?)^ *```$", re.S | re.M
)
_MARK = re.compile(r"<!-- (not run|ids|stdin): (.*?) -->", re.S)
_START_SECONDS = 120.0
_SECONDS = 120

SAYS = {
    "openai-webhooks doctor": "No errors.",
    "openai-webhooks status": "CREATE_COMPLETE",
    "openai-webhooks events list   #": "brand.new",
    "openai-webhooks events show": "completed",
    "openai-webhooks events replay wh_": "Replayed 1 event",
    "openai-webhooks jobs show replay-of-today": "replay-of-today is done.",
    "openai-webhooks endpoints test": "answered 200",
    "openai-webhooks batch submit requests.jsonl": "Created batch_",
    "openai-webhooks batch cancel": "cancelling",
    "openai-webhooks verify delivery.txt": "Accepted",
    "openai-webhooks secret set api-key": "The stack already has this API key",
}
"""Commands, and words that their blocks' output has."""


@dataclass(frozen=True)
class Block:
    """Fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    marks: dict[str, str]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> str:
        """What is typed."""
        if self.language == "sh":
            return self.text
        return "".join(f"{line[2:]}\n" for line in self.text.splitlines() if line.startswith("$ "))

    def output(self) -> list[str]:
        """What must be shown."""
        return [line for line in self.text.splitlines() if line and not line.startswith("$ ")]


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        content = page.read_text()
        for match in _BLOCK.finditer(content):
            lines = match["text"].splitlines()
            indent = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
            text = "".join(f"{line[indent:]}\n" for line in lines)
            line = content.count("\n", 0, match.start("language")) + 1
            marks = {kind: " ".join(value.split()) for kind, value in _MARK.findall(match["marks"])}
            found.append(Block(str(page.relative_to(ROOT)), line, match["language"], text, marks))
    return found


@dataclass(frozen=True)
class Beside:
    """Folder beside a `make run` that is up, as a clone of the repository."""

    folder: Path
    names: dict[str, str]
    """Ids of what exists, by what the pages call it."""

    def run(self, commands: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run commands as somebody who has sourced the environment; stdout has all output."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder / "home"), "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"source .local/env\n{commands}"],
            cwd=self.folder,
            env=environment,
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    """A `make run` that is up."""
    folder = tmp_path_factory.mktemp("clone")
    for entry in ROOT.iterdir():
        if entry.name not in (".local", ".git"):
            (folder / entry.name).symlink_to(entry)
    for name in (".local", "home"):
        (folder / name).mkdir()
    log, environment = folder / ".local" / "run.log", folder / ".local" / "env"
    with log.open("w") as output:
        command = [sys.executable, "-m", "infra.local.run", "--environment", str(environment)]
        running = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while "Everything is up" not in log.read_text():
            assert running.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield Beside(folder, _names(Beside(folder, {})))
    finally:
        # Not SIGINT: whoever starts the tests in the background has it ignored.
        running.terminate()
        running.wait(timeout=60)
    assert "PASSED: 10 events" in log.read_text()
    assert max(map(len, _table(log.read_text()))) <= 80


def _table(log: str) -> list[str]:
    return log[log.index("\nEVENT") : log.index("PASSED")].splitlines()


def _names(beside: Beside) -> dict[str, str]:
    """Make what the pages' commands are about, and return its ids."""
    lines = [
        {"custom_id": f"r-{n}", "method": "POST", "url": "/v1/responses", "body": {"model": "gpt-6", "input": "Hello"}}
        for n in range(3)
    ]
    (beside.folder / "requests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (beside.folder / "body.json").write_bytes((ROOT / "events" / "bodies" / "batch.completed.json").read_bytes())
    signed = beside.run("(openai-webhooks sign body.json; echo; cat body.json) > delivery.txt")
    assert signed.returncode == 0, signed.stdout
    submitted = beside.run("openai-webhooks batch submit requests.jsonl --json 2>/dev/null")
    listed = beside.run("openai-webhooks events list --state completed --type batch.completed --json")
    (event, *_) = [json.loads(line) for line in listed.stdout.splitlines()]
    return {
        "event": event["webhook_id"],
        "batch": event["object_id"],
        "running batch": json.loads(submitted.stdout)["batch_id"],
    }


RUN = [block for block in blocks() if "not run" not in block.marks]


def test_every_reason_is_a_sentence() -> None:
    reasons = {str(block): block.marks["not run"] for block in blocks() if "not run" in block.marks}
    assert [where for where, reason in reasons.items() if len(reason.split()) < 3] == []
    assert len(RUN) >= 8


@pytest.mark.parametrize("block", RUN, ids=str)
def test_a_block_works_as_printed(beside: Beside, block: Block) -> None:
    commands = block.commands()
    for pair in filter(None, block.marks.get("ids", "").split(", ")):
        printed, what = pair.split(" = ")
        assert printed in commands
        commands = commands.replace(printed, beside.names[what])

    done = beside.run(commands, {"api-key": API_KEY}.get(block.marks.get("stdin", ""), ""))

    assert done.returncode == 0, done.stdout
    for command, words in SAYS.items():
        if command in block.commands():
            assert words in done.stdout, done.stdout
    if block.language == "console":
        assert_shown(block.output(), done.stdout.splitlines())


def assert_shown(expected: list[str], shown: list[str]) -> None:
    """Compare output with what a page prints: line by line, but for what differs from run to run."""
    left = [_shape(line) for line in shown if line]
    for line in expected:
        if line.strip() == "...":
            continue
        assert _shape(line) in left, f"{line!r} is not in {shown}"
        left = left[left.index(_shape(line)) + 1 :]


def _shape(line: str) -> str:
    """The line without ids, signatures, times, numbers, addresses and the width of columns."""
    line = re.sub(r"https?://\S+", "URL", line)
    line = re.sub(r"\b[a-z]+_[0-9a-f]{32}\b|whsec_\S+|v1,\S+", "ID", line)
    return re.sub(r"\d[\d:.-]*", "N", " ".join(line.split()))


def test_the_environment_needs_nothing_but_the_file(beside: Beside) -> None:
    content = (beside.folder / ".local" / "env").read_text()
    assert f"AWS_ACCESS_KEY_ID={ACCESS_KEY}" in content
    assert f"AWS_REGION={REGION}" in content
    assert beside.run("command -v openai-webhooks sam cargo-lambda").returncode == 0
