"""`make run`: deploys the stack on this machine, plays the main job through it and shows the results.

    python -m infra.local.run [--once] [--port PORT] [--openai-port PORT] [--environment FILE]

It stays up until Ctrl-C. With `--once` it stops by itself, and its exit code is 0 only if every event was handled and
all artifacts and outcomes are as OpenAI's objects require.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from infra.local import console, report, scenario
from infra.local.deploy import BINARIES, functions
from infra.local.emulator import Emulator
from infra.local.execution import execute
from infra.local.processes import ROOT, StartError
from infra.local.report import Reporter
from infra.local.stack import Stack, create, new_signing_secret
from infra.local.stand_in import API_KEY, StandIn
from infra.local.stand_in import BINARY as STAND_IN
from infra.local.watch import Watch

COMMAND_LINE = BINARIES / "openai-webhooks"
ENVIRONMENT = ROOT / ".local" / "env"
"""Environment of the command line for the newest stack, for a shell to source."""

_STACK = "openai-webhooks"
_UNLISTED = "unlisted"
"""The stand-in's name of a second endpoint with the same URL and secret, for types that OpenAI does not offer."""
_HANDLED_TIMEOUT_SECONDS = 120.0


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    options = _options(arguments)
    reporter = Reporter()
    if missing := _missing():
        reporter.say(missing)
        return 1
    return execute("run-", reporter, lambda directory, running: _run(options, reporter, directory, running))


def _run(options: argparse.Namespace, reporter: Reporter, directory: Path, running: ExitStack) -> int:
    with reporter.step("Starting ministack and the OpenAI stand-in"):
        emulator = running.enter_context(Emulator(directory, options.port))
        openai = running.enter_context(StandIn(directory, port=options.openai_port))
    with reporter.step("Deploying template.yaml"):
        stack = create(emulator, _STACK, openai.base_url)
        watch = Watch(stack)
    with reporter.step("Registering its endpoints at OpenAI"):
        _register(stack, openai)
    with reporter.step("Something of every category happens at OpenAI, two batches of 1,200 requests among it"):
        played = scenario.play(openai, stack, _UNLISTED)
    with reporter.step("A batch ends whose webhook is lost, and reconciliation finds it"):
        played.append(scenario.lose(openai))
        stack.invoke("reconcile", {"task": "reconcile"})
    with reporter.step("The webhooks, verified, queued and handled") as progress:
        deadline = time.monotonic() + _HANDLED_TIMEOUT_SECONDS
        while (handled := scenario.handled(stack, played)) < len(played) and time.monotonic() < deadline:
            progress(f"{handled} of {len(played)}")
            time.sleep(0.1)
        progress(f"{handled} of {len(played)}")
    results = [scenario.judge(stack, watch, one) for one in played]
    report.show(reporter, results)
    reporter.say(f"\n{report.verdict(results)}")
    right = not any(result.faults for result in results)
    if not right:
        for function in functions():
            (directory / f"{function}.log").write_text("\n".join(stack.logs(function)))
    if options.once:
        return 0 if right else 1
    with reporter.step("For the console: failures, what is late or under way, and two calls under control"):
        console.fill(stack, openai, played, _UNLISTED)
    link = running.enter_context(console.served(stack))
    running.callback(_forget, options.environment, _offer(options.environment, stack))
    report.show_where_to_look(reporter, stack, openai, options.environment, results[0], link)
    return _stay_up(reporter, emulator, openai)


def _register(stack: Stack, openai: StandIn) -> None:
    """Register the project's endpoint with the command line, and the organization's as a person does in the dashboard.

    Raises `StartError` if the command line fails.
    """
    stack.set_secret("api-key", API_KEY)
    secret = new_signing_secret()
    stack.set_secret("organization", secret)
    openai.register(stack.url("organization"), secret, "organization")
    command = [COMMAND_LINE, "endpoints", "create"]
    done = subprocess.run(command, env=stack.command_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StartError(f"openai-webhooks endpoints create failed: {done.stderr}")
    current = stack.emulator.client("secretsmanager").get_secret_value(SecretId=stack.secret_id("project"))
    openai.register(stack.url("project"), current["SecretString"], _UNLISTED)


def _offer(file: Path, stack: Stack) -> str:
    """Write the environment of the command line to the file, and return it."""
    exports = {name: value for name, value in stack.command_environment().items() if name != "PATH"}
    tools = f"{BINARIES}:{Path(sys.executable).parent}"
    lines = ["# Stack of `make run`: source this file. Written anew by each run.", f'export PATH="{tools}:$PATH"']
    content = "\n".join([*lines, *(f"export {name}={shlex.quote(value)}" for name, value in exports.items()), ""])
    file.write_text(content)
    return content


def _forget(file: Path, content: str) -> None:
    """Remove the file, unless a later run has written it."""
    if file.is_file() and file.read_text() == content:
        file.unlink()


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
    """Message about binaries that are missing, with the command that builds them; `None` if all are there."""
    binaries = [*(BINARIES / name for name in functions()), STAND_IN, COMMAND_LINE]
    absent = [binary.name for binary in binaries if not binary.is_file()]
    if not absent:
        return None
    build = "cargo build --profile local " + " ".join(f"-p {name}" for name in absent)
    if shutil.which("cargo") is None:
        build = f"install Rust from https://rustup.rs, then {build}"
    return f"Not built yet: {', '.join(absent)}. `make run` builds before it runs; without make, {build}"


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local.run", description="Deploy the stack on this machine and play the main job."
    )
    parser.add_argument("--once", action="store_true", help="stop when all is handled; exit 0 only if all is right")
    parser.add_argument("--port", type=int, help="port of ministack (default: a free one)")
    parser.add_argument("--openai-port", type=int, default=0, help="port of the OpenAI stand-in (default: a free one)")
    parser.add_argument(
        "--environment", type=Path, default=ENVIRONMENT, help="file for a shell to source (default: .local/env)"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
