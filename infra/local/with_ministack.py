"""Runs a command with a private ministack: `python -m infra.local.with_ministack -- cargo test`.

The command gets it in the variables that every AWS SDK reads. It stops when the command ends.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.local.emulator import ACCESS_KEY, REGION, Emulator
from infra.local.processes import StartError


def main(arguments: list[str]) -> int:
    """Return the command's exit code."""
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    if not command:
        print("usage: python -m infra.local.with_ministack -- COMMAND...", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="ministack-") as directory:
        try:
            emulator = Emulator(Path(directory))
        except StartError as error:
            print(error, file=sys.stderr)
            return 1
        with emulator:
            try:
                return subprocess.run(command, env={**os.environ, **_variables(emulator)}, check=False).returncode
            except FileNotFoundError:
                print(f"There is no command {command[0]}", file=sys.stderr)
                return 127
            except KeyboardInterrupt:
                return 130


def _variables(emulator: Emulator) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": emulator.endpoint_url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "AWS_SESSION_TOKEN": "",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
