"""The command line: the real binary, against a stack on the emulator and the stand-in."""

import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.processes import ROOT
from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from tests.waiting import wait_until

BINARY = ROOT / "target" / "local" / "openai-webhooks"
_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Result:
    """What a run has said, and how it ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Its stdout, parsed: one JSON document."""
        return json.loads(self.out)

    def error(self) -> dict[str, Any]:
        """The failure on its stderr under `--json`."""
        return json.loads(self.err.splitlines()[-1])


class Cli:
    """Runs the binary as a person would who has access to the emulator, and nothing of this process's environment."""

    def __init__(self, stack: Stack | None = None, openai: StandIn | None = None, *, home: Path | None = None) -> None:
        """Work on `stack`. With `openai` its key and address come from the environment, else from the stack."""
        self.environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home or "/nonexistent"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if stack is not None:
            self.environment |= stack.command_environment()
        if openai is not None:
            self.environment |= {"OPENAI_API_KEY": "sk-local", "OPENAI_BASE_URL": openai.base_url}

    def run(
        self, *arguments: str | Path, stdin: str | bytes = b"", cwd: Path | None = None, **environment: str
    ) -> Result:
        """Run it once; `environment` adds variables. It has no terminal."""
        return run([BINARY, *arguments], stdin, cwd, self.environment | environment)

    def at_terminal(
        self, typed: str, *arguments: str | Path, unseen: bool = False, columns: int = 0, **environment: str
    ) -> tuple[int, str]:
        """Run it on a terminal where somebody types when asked; the exit code, and all that the terminal has shown.

        With `unseen` they type once the terminal does not show it any more. `environment` adds variables.
        """
        ours, its = pty.openpty()
        termios.tcsetwinsize(its, (24, columns))
        command = [str(word) for word in (BINARY, *arguments)]
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        shown, is_typed = b"", False
        with subprocess.Popen(
            command, stdin=its, stdout=its, stderr=its, env=self.environment | environment
        ) as process:
            os.close(its)
            while time.monotonic() < deadline:
                if select.select([ours], [], [], 0.05)[0]:
                    try:
                        shown += os.read(ours, 4096)
                    except OSError:  # Linux says so when the other side has closed.
                        break
                is_asked = shown.endswith((b": ", b"] ")) and (not unseen or not _echoes(ours))
                if is_asked and not is_typed:
                    os.write(ours, typed.encode())
                    is_typed = True
            else:
                process.kill()
        os.close(ours)
        return process.returncode, shown.decode()

    def interrupted(self, when: Callable[[], object], *arguments: str | Path) -> Result:
        """Run it, and press Ctrl-C once `when` says so."""
        command = [str(word) for word in (BINARY, *arguments)]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment
        ) as process:
            wait_until("it is time for Ctrl-C", when)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=_TIMEOUT_SECONDS)
        return Result(process.returncode, out.decode(), err.decode())

    def ok(self, *arguments: str | Path, stdin: str | bytes = b"", **environment: str) -> Any:
        """Run it with `--json`, expect 0, and answer the document."""
        result = self.run(*arguments, "--json", stdin=stdin, **environment)
        assert result.code == 0, result
        return result.json()

    def lines(self, *arguments: str | Path, code: int = 0, **environment: str) -> list[Any]:
        """Run a command that lists with `--json`, and answer the documents, one of each line."""
        result = self.run(*arguments, "--json", **environment)
        assert result.code == code, result
        return [json.loads(line) for line in result.out.splitlines()]


def _echoes(terminal: int) -> bool:
    """Whether a terminal shows what is typed."""
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


def run(command: Sequence[str | Path], stdin: str | bytes, cwd: Path | None, environment: dict[str, str]) -> Result:
    """Run a command without a terminal."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [str(word) for word in command],
        input=given,
        capture_output=True,
        env=environment,
        cwd=cwd,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())
