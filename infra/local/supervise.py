"""Runs a command and kills all that it started when it ends: `python -m infra.local.supervise [--grace S] COMMAND...`.

The starter holds the other end of this process's standard input. When that end closes, which the kernel does however
the starter dies, or when the command itself ends, the command's whole process group is killed: the emulator together
with the Lambda functions it has started. A kill loses nothing, because nothing here outlives its run.

With `--grace`, the command gets TERM first and S seconds to clean up, as a Docker daemon needs.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading


def _wait_for_end_of_input(child: subprocess.Popen[bytes], grace: float) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    if grace > 0:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace)
    _kill_group(child.pid)


def _kill_group(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Run the command until it or standard input ends, and return its exit code."""
    grace, command = (float(arguments[1]), arguments[2:]) if arguments[0] == "--grace" else (0.0, arguments)
    # The starter handles Ctrl-C; it closes standard input to stop the command.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    signal.signal(signal.SIGTERM, lambda *_: _kill_group(child.pid))
    threading.Thread(target=_wait_for_end_of_input, args=(child, grace), daemon=True).start()
    code = child.wait()
    # What the command started may still run.
    _kill_group(child.pid)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
