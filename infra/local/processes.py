"""Processes that end with their starter."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""Root of the repository."""

_LOG_TAIL_LINES = 15


class StartError(Exception):
    """A process failed to start. The text has its name, the end of its log and the log's path."""


def require_free(port: int) -> None:
    """Raise `StartError` if the port is in use."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise StartError(f"Port {port} is in use. Stop what listens there, or choose another port.")


class Process:
    """Supervised process with its output in a file.

    It is killed when this Python process ends, in whatever way. `stop` returns when it is gone.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str],
        *,
        grace: float = 0.0,
    ) -> None:
        """Start it with this environment and no other variables, appending what it prints to `log`.

        With `grace` it gets TERM and that many seconds to clean up before it is killed.
        """
        self._name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "infra.local.supervise", "--grace", str(grace), *map(str, command)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                # In its own session: Ctrl-C in the terminal reaches only the starter, which then stops it in order.
                start_new_session=True,
            )

    def running(self) -> bool:
        """Whether the process still runs."""
        return self._supervisor.poll() is None

    def wait_until_ready(self, ready: Callable[[], bool], timeout: float) -> None:
        """Wait until `ready` returns true.

        Raises `StartError` if the process ends before, or after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running():
                raise StartError(self._explain("stopped before it was ready"))
            if time.monotonic() > deadline:
                raise StartError(self._explain(f"was not ready after {timeout:.0f} s"))
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the process and everything it has started. Does nothing if it has ended already."""
        if self._supervisor.stdin is not None:
            self._supervisor.stdin.close()
        self._supervisor.wait()

    def _explain(self, what: str) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        said = "".join(f"\n    {line}" for line in lines) or " nothing"
        return f"{self._name} {what}. The end of its log, {self.log}:{said}"
