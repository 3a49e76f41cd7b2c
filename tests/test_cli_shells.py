"""Completions in the shells that they are for, and the manual pages in `man`.

The shells and `man` must be installed: `apt-get install zsh fish man-db`, or `brew install bash zsh fish`.
"""

import os
import pty
import re
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli import BINARY, Cli

_SECONDS = 20.0
_PROMPT = "ready> "
_SPLIT = "'rea''dy> '"
"""The prompt as it is typed, which is not yet the prompt."""


def installed(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"{name} is not installed. The top of this file says how."
    return found


class Shell:
    """Interactive shell on a terminal, with the completions as a user installs them."""

    def __init__(self, command: list[str], home: Path) -> None:
        """Start it with the binary on its path."""
        self._terminal, its = pty.openpty()
        environment = {
            "PATH": f"{BINARY.parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "TERM": "dumb",
            "LC_ALL": "C",
        }
        self._process = subprocess.Popen(
            command, stdin=its, stdout=its, stderr=its, env=environment, cwd=home, start_new_session=True
        )
        os.close(its)

    def run(self, line: str) -> None:
        """Type a line, and wait for the next prompt."""
        self._type(f"{line}\n")
        self._read(_PROMPT)

    def completed(self, line: str, expected: str) -> str:
        """Type a line and Tab, and return what the terminal shows from then on, once it has `expected`."""
        self._type(line)
        self._read(line)
        self._type("\t")
        return self._read(expected)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def _type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def _read(self, expected: str) -> str:
        shown, deadline = "", time.monotonic() + _SECONDS
        while expected not in shown:
            assert time.monotonic() < deadline, f"{expected!r} is not in {shown!r}"
            if select.select([self._terminal], [], [], 0.1)[0]:
                shown += os.read(self._terminal, 65536).decode(errors="replace")
        return shown


COMPLETED = [
    ("openai-webhooks doc", "tor"),
    ("openai-webhooks events rep", "lay"),
    ("openai-webhooks --stack prod endpoints rot", "ate"),
    ("openai-webhooks events replay --dry", "-run"),
    ("openai-webhooks completions fi", "sh"),
    ("openai-webhooks pause fine", "-tuning"),
    ("openai-webhooks logs verif", "ier"),
    ("openai-webhooks secret set api", "-key"),
    ("openai-webhooks expect fine", "-tuning"),
    ("openai-webhooks send batch.can", "celled"),
    ("openai-webhooks expect sh", "ow"),
    ("openai-webhooks expect show resp", "onse"),
    ("openai-webhooks expect batch batch_1 --cont", "ext"),
]
"""What is typed, and what Tab adds: at each depth, after an option with a value, and of the values of arguments."""


@pytest.mark.parametrize(("typed", "added"), COMPLETED)
def test_bash_completes_at_each_depth(tmp_path: Path, typed: str, added: str) -> None:
    (tmp_path / "completions").write_text(Cli().run("completions", "bash").out)
    shell = Shell([installed("bash"), "--norc", "--noprofile", "-i"], tmp_path)
    try:
        shell.run(f"PS1={_SPLIT}; bind 'set enable-bracketed-paste off'; source completions")
        assert shell.completed(typed, added).lstrip().startswith(added)
    finally:
        shell.close()


@pytest.mark.parametrize(("typed", "added"), COMPLETED)
def test_zsh_completes_at_each_depth(tmp_path: Path, typed: str, added: str) -> None:
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "_openai-webhooks").write_text(Cli().run("completions", "zsh").out)
    shell = Shell([installed("zsh"), "-f", "-i"], tmp_path)
    try:
        shell.run(f"PROMPT={_SPLIT}; fpath=(~/functions $fpath); autoload -U compinit; compinit -u -D")
        assert added in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x08", "", shell.completed(typed, added))
    finally:
        shell.close()


@pytest.mark.parametrize(("typed", "added"), COMPLETED)
def test_fish_completes_at_each_depth(tmp_path: Path, typed: str, added: str) -> None:
    (tmp_path / "completions.fish").write_text(Cli().run("completions", "fish").out)
    (tmp_path / "empty").mkdir()
    command = f"source ../completions.fish; complete -C '{typed}'"
    environment = {"PATH": f"{BINARY.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        [installed("fish"), "--no-config", "-c", command],
        cwd=tmp_path / "empty",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    word = typed.rsplit(" ", 1)[-1]
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [f"{word}{added}"]


def test_every_command_has_a_manual_page_that_man_shows(tmp_path: Path) -> None:
    pages = tmp_path / "man1"
    assert Cli().run("man", "--dir", pages).code == 0
    names = {page.name for page in pages.iterdir()}
    assert {"openai-webhooks.1", "openai-webhooks-events.1", "openai-webhooks-events-list.1"} <= names

    for page in sorted(pages.iterdir()):
        command = [installed("man"), "--local-file", "--warnings", str(page)]
        environment = {"PATH": os.environ["PATH"], "MANWIDTH": "80", "LC_ALL": "C.UTF-8"}
        shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert page.stem in shown.stdout
        assert shown.stderr == "", page.name


def test_a_page_is_printed_by_the_words_of_its_command() -> None:
    assert "Exit codes" in Cli().run("man").out
    assert r"openai\-webhooks\-events\-list" in Cli().run("man", "events", "list").out
    unknown = Cli().run("man", "events", "lost")
    assert (unknown.code, "has no command lost" in unknown.err) == (2, True)
