"""The command line: the real binary, against a stack on the emulator and the stand-in."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.emulator import ACCESS_KEY, REGION
from infra.local.processes import ROOT
from infra.local.stack import Stack
from infra.local.stand_in import StandIn

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
            self.environment |= {
                "OPENAI_WEBHOOKS_STACK": stack.name,
                "AWS_ENDPOINT_URL": stack.emulator.endpoint_url,
                "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
            }
        if openai is not None:
            self.environment |= {"OPENAI_API_KEY": "sk-local", "OPENAI_BASE_URL": openai.base_url}

    def run(
        self, *arguments: str | Path, stdin: str | bytes = b"", cwd: Path | None = None, **environment: str
    ) -> Result:
        """Run it once; `environment` adds variables. It has no terminal."""
        return run([BINARY, *arguments], stdin, cwd, self.environment | environment)

    def ok(self, *arguments: str | Path, stdin: str | bytes = b"", **environment: str) -> Any:
        """Run it with `--json`, expect 0, and answer the document."""
        result = self.run(*arguments, "--json", stdin=stdin, **environment)
        assert result.code == 0, result
        return result.json()


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
