"""A run of the local stack in a directory of its own, from start to exit code."""

import shutil
import signal
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from infra.local.deploy import DeployError
from infra.local.processes import ROOT, StartError
from infra.local.report import Reporter


def new_directory(prefix: str) -> Path:
    """Make a directory per run, so that runs side by side do not disturb each other."""
    parent = ROOT / ".local"
    parent.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))


def execute(prefix: str, reporter: Reporter, play: Callable[[Path, ExitStack], int]) -> int:
    """Play it, stop everything that it has started, and return the exit code. The logs stay if it fails."""
    # TERM ends it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    directory = new_directory(prefix)
    code = 1
    try:
        with ExitStack() as running:
            code = play(directory, running)
    except (StartError, DeployError) as error:
        reporter.say(str(error))
    except KeyboardInterrupt:
        reporter.say("Stopped.")
        code = 130
    if code == 1 and any(directory.glob("*.log")):
        reporter.say(f"The logs are in {directory}")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return code
