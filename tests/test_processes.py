"""What is started for a run or a test ends with it, however that ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.emulator import Emulator, free_port
from infra.local.processes import ROOT, Process, StartError
from tests.waiting import wait_until

# A process that starts another one, as the emulator starts functions, and leaves both ids in a file.
_PARENT = "sleep 600 & echo $$ $! > {pids}.new; mv {pids}.new {pids}; wait"


def _alive(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        # It went before the file was opened (FileNotFoundError) or while it was read (ProcessLookupError).
        return False


def _pids(file: Path) -> list[int]:
    wait_until("the processes are up", file.is_file)
    return [int(pid) for pid in file.read_text().split()]


def test_a_stopped_process_takes_along_what_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    process = Process("sh", ["sh", "-c", _PARENT.format(pids=pids)], tmp_path / "log", {"PATH": os.environ["PATH"]})
    started = _pids(pids)
    assert len(started) == 2
    assert all(map(_alive, started))

    process.stop()

    wait_until("both are gone", lambda: not any(map(_alive, started)))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_when_the_starter_dies_nothing_survives(tmp_path: Path, how: signal.Signals) -> None:
    pids = tmp_path / "pids"
    program = f"""
import os, signal, time
from pathlib import Path
# Whoever starts the tests in the background has it ignored, and so has this process.
signal.signal(signal.SIGINT, signal.default_int_handler)
from infra.local.processes import Process
Process("sh", ["sh", "-c", {_PARENT.format(pids=pids)!r}], Path({str(tmp_path / "log")!r}), dict(os.environ))
time.sleep(600)
"""
    starter = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.DEVNULL)
    started = _pids(pids)

    starter.send_signal(how)
    starter.wait()

    wait_until("both are gone", lambda: not any(map(_alive, started)))


def test_a_process_that_fails_says_why_and_where_its_log_is(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = Process("The tool", ["sh", "-c", "echo no such option >&2; exit 2"], log, {"PATH": os.environ["PATH"]})

    with pytest.raises(StartError, match=r"The tool stopped before it was ready.*log(.|\n)*no such option"):
        process.wait_until_ready(lambda: False, timeout=30)


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    port = free_port()
    with Emulator(tmp_path / "first", port), pytest.raises(StartError, match=f"Port {port} is in use"):
        Emulator(tmp_path / "second", port)
