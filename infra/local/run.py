"""`make run`: the whole thing on this machine. Deploys the stack, plays the main job through it, shows what came of it.

    python -m infra.local.run [--once] [--port PORT] [--openai-port PORT]

It stays up until Ctrl-C. With `--once` it stops by itself, and its exit code is 0 only if every event was handled and
everything that was kept and told is what OpenAI had.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from infra.local import report, scenario
from infra.local.deploy import BINARIES, DeployError, functions
from infra.local.emulator import Emulator
from infra.local.processes import ROOT, StartError
from infra.local.report import Reporter
from infra.local.stack import Stack, create
from infra.local.stand_in import BINARY as STAND_IN
from infra.local.stand_in import StandIn
from infra.local.watch import Watch

_STACK = "openai-webhooks"
_HANDLED_TIMEOUT_SECONDS = 120.0


def main(arguments: list[str]) -> int:
    """Answer the exit code."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, _end)
    reporter = Reporter()
    if missing := _missing():
        reporter.say(missing)
        return 1
    with _directory() as directory:
        try:
            with ExitStack() as running:
                return _run(options, reporter, directory, running)
        except (StartError, DeployError) as error:
            reporter.say(str(error))
            return 1
        except KeyboardInterrupt:
            reporter.say("Stopped.")
            return 130


def _run(options: argparse.Namespace, reporter: Reporter, directory: Path, running: ExitStack) -> int:
    with reporter.step("Starting ministack and the OpenAI stand-in"):
        emulator = running.enter_context(Emulator(directory, options.port))
        openai = running.enter_context(StandIn(directory, port=options.openai_port))
    with reporter.step("Deploying template.yaml"):
        stack = create(emulator, _STACK, openai.base_url)
        watch = Watch(stack)
        stack.fill_secrets()
        stack.subscribe(openai)
    with reporter.step("Two batches at OpenAI: 1,000 requests with failures, and 200 that expired half way"):
        batches = scenario.play(openai)
    with reporter.step("Their webhooks, verified, queued and handled") as progress:
        deadline = time.monotonic() + _HANDLED_TIMEOUT_SECONDS
        while (handled := scenario.handled(stack, batches)) < len(batches) and time.monotonic() < deadline:
            progress(f"{handled} of {len(batches)}")
            time.sleep(0.1)
        progress(f"{handled} of {len(batches)}")
    results = [scenario.judge(stack, watch, batch) for batch in batches]
    report.show(reporter, stack, results)
    right = not any(result.faults for result in results)
    if not right:
        _keep_logs(reporter, stack, directory)
    if options.once:
        return 0 if right else 1
    report.show_where_to_look(reporter, stack, openai)
    return _stay_up(reporter, emulator, openai)


def _stay_up(reporter: Reporter, emulator: Emulator, openai: StandIn) -> int:
    try:
        while emulator.running() and openai.running():
            time.sleep(0.2)
    except KeyboardInterrupt:
        reporter.say("\nStopped.")
        return 0
    ended = openai.log if emulator.running() else emulator.log
    reporter.say(f"Something ended by itself; the end of {ended}:\n{_tail(ended)}")
    return 1


def _missing() -> str | None:
    """What isn't there that should be, as a sentence that says what to do."""
    binaries = [*(BINARIES / name for name in functions()), STAND_IN]
    absent = [binary.name for binary in binaries if not binary.is_file()]
    if not absent:
        return None
    build = "cargo build --profile local " + " ".join(f"-p {name}" for name in absent)
    if shutil.which("cargo") is None:
        build = f"install Rust from https://rustup.rs, then {build}"
    return f"Not built yet: {', '.join(absent)}. `make run` builds before it runs; without make, {build}"


def _keep_logs(reporter: Reporter, stack: Stack, directory: Path) -> None:
    """Leave the functions' logs beside the others, where they outlive this run."""
    kept = Path(tempfile.mkdtemp(prefix="failed-run-", dir=directory.parent))
    for function in functions():
        (kept / f"{function}.log").write_text("\n".join(stack.logs(function)))
    for log in directory.glob("*.log"):
        shutil.copy(log, kept)
    reporter.say(f"The logs of this run are kept in {kept}")


@contextmanager
def _directory() -> Iterator[Path]:
    """A directory of this run's own, so that a second one beside it is nobody's trouble."""
    parent = ROOT / ".local"
    parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=parent, ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _end(*_: object) -> None:
    raise SystemExit(143)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.local.run", description="The whole thing on this machine.")
    parser.add_argument("--once", action="store_true", help="stop when all is handled; exit 0 only if all is right")
    parser.add_argument("--port", type=int, help="port of ministack (default: a free one)")
    parser.add_argument("--openai-port", type=int, default=0, help="port of the OpenAI stand-in (default: a free one)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
