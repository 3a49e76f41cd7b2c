"""Runs a command and sees to it that nothing of it survives: `python -m infra.local.supervise [--grace S] COMMAND...`.

The starting process holds the other end of this one's standard input. Once that end closes, which the kernel does
however the starter dies, or once the command itself ends, the command's whole process group is killed: the emulator
together with the Lambda functions it has started. Nothing is lost by a kill, since nothing here outlives its run.

What must tidy up at its end, such as a Docker daemon with its containers and mounts, has that many seconds after TERM.
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
    """Run the command until it ends, or until standard input does; answer its exit code."""
    grace, command = (float(arguments[1]), arguments[2:]) if arguments[0] == "--grace" else (0.0, arguments)
    # Ctrl-C and TERM are the starter's business; it closes our input when it wants an end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    signal.signal(signal.SIGTERM, lambda *_: _kill_group(child.pid))
    threading.Thread(target=_wait_for_end_of_input, args=(child, grace), daemon=True).start()
    code = child.wait()
    # The command is gone; what it started need not be.
    _kill_group(child.pid)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
