"""Output of `make run`: its steps, the results, the verdict, and where to look further."""

import json
import shlex
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from infra.local.processes import ROOT
from infra.local.scenario import Result, parsed
from infra.local.stack import Stack
from infra.local.stand_in import StandIn

_WIDTH = 80
_EVENT_WIDTH = 31
_STATE_WIDTH = 11


class Reporter:
    """Printer: with colours and progress on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console = Console(highlight=False, width=_WIDTH)

    def say(self, text: str) -> None:
        """Print a text as it is."""
        self.console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def step(self, what: str) -> Iterator[Callable[[str], None]]:
        """Show a step and how long it took. Yields a function that shows its progress."""
        started = time.monotonic()
        reached = ""
        if self.console.is_terminal:
            with self.console.status(what) as status:

                def progress(how_far: str) -> None:
                    nonlocal reached
                    reached = how_far
                    status.update(f"{what}: {how_far}")

                yield progress
        else:

            def progress(how_far: str) -> None:
                nonlocal reached
                if how_far != reached:
                    self.say(f"  {what}: {how_far}")
                reached = how_far

            yield progress
        took = time.monotonic() - started
        self.say(f"{took:6.1f} s  {what}{f': {reached}' if reached else ''}")


def show(reporter: Reporter, results: list[Result]) -> None:
    """Print each event, what became of it, and its artifacts, within 80 columns: ids whole, on lines of their own."""
    reporter.say(f"\n{'EVENT':{_EVENT_WIDTH}}{'STATE':{_STATE_WIDTH}}WHAT BECAME OF IT")
    for result in results:
        played, became = result.played, _wrapped(_became(result))
        line = Text(f"{played.event_type:{_EVENT_WIDTH}}")
        state = result.event.get("state", "missing")
        line.append(f"{state:{_STATE_WIDTH}}", style="red" if result.faults else "green")
        indent = " " * (_EVENT_WIDTH + _STATE_WIDTH)
        reporter.console.print(line.append(f"\n{indent}".join(became)), soft_wrap=True)
        reporter.say(f"  {played.webhook_id}\n  {played.object_id}")
        for key, content in result.artifacts.items():
            reporter.say(f"  {_artifact(key, content)}")
    for result in results:
        for fault in result.faults:
            reporter.say(f"WRONG  {result.played.event_type} {result.played.object_id}: {fault}")


def verdict(results: list[Result]) -> str:
    """Sentence that says whether every event was handled and everything is as OpenAI's objects require."""
    faults = sum(len(result.faults) for result in results)
    if faults:
        return f"FAILED: {faults} faults in {len(results)} events."
    artifacts = sum(len(result.artifacts) for result in results)
    return (
        f"PASSED: {len(results)} events, each handled once; {artifacts} artifacts are kept. They, the records\n"
        "and the outcomes are as OpenAI's objects require."
    )


def show_where_to_look(
    reporter: Reporter, stack: Stack, openai: StandIn, environment: Path, batch: Result, console: str
) -> None:
    """Print how to use the command line on the stack, and the addresses of everything that is up."""
    played = batch.played
    reporter.say(f"""
Everything is up. Ctrl-C stops it. To look around, paste into another terminal:

  cd {shlex.quote(str(ROOT))}
  source {_short(environment)}
  openai-webhooks status

Then every command of the README and the docs works on this stack as printed:

  openai-webhooks doctor         # warns of the failures that were made for the console
  openai-webhooks events list
  openai-webhooks events show {played.webhook_id}
  openai-webhooks batch watch {played.object_id} --out .local/results
  openai-webhooks send batch.completed

OpenAI is played by a stand-in, which delivers what it is told to:

  curl {openai.url}/_control/deliver \\
    -H 'content-type: application/json' \\
    -d '{{"type": "response.completed", "data": {{"id": "resp_123"}}}}'

The console, signed in  {console}
Webhooks, project       {stack.url("project")}
Webhooks, organization  {stack.url("organization")}
OpenAI                  {openai.base_url}
AWS                     {stack.emulator.endpoint_url}
Logs of both            {_short(openai.log.parent)}""")


def _short(path: Path) -> str:
    """The path below the repository, or as it is elsewhere."""
    return shlex.quote(str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path))


def _wrapped(text: str) -> list[str]:
    """Lines of the third column, which cut no id at a hyphen."""
    return textwrap.wrap(text, _WIDTH - _EVENT_WIDTH - _STATE_WIDTH, break_on_hyphens=False)


def _became(result: Result) -> str:
    """Status, then the counts of a batch's lines, or the telling fields of the summary."""
    status = result.job.get("status", "not recorded")
    if result.played.category == "batch":
        told = _lines(parsed(result.artifacts.get(f"batch/{result.played.object_id}/summary.json")))
    else:
        found = ((path, _field(result.job.get("summary", {}), path)) for path in result.played.told)
        told = [
            f"{path.rsplit('.', 1)[-1]} {value if isinstance(value, str) else json.dumps(value)}"
            for path, value in found
            if value is not None
        ]
    return f"{status}: {', '.join(told)}" if told else status


def _lines(summary: dict[str, Any]) -> list[str]:
    """Counts in `summary.json`: results of the lines, and reasons of failed ones."""
    counts = {name: summary.get("lines", {}).get(name, 0) for name in ("succeeded", "failed", "malformed")}
    reasons = ", ".join(f"{error['count']:,} {code}" for code, error in summary.get("errors", {}).items())
    told = [f"{count:,} {name}" for name, count in counts.items() if count]
    return [f"{one} ({reasons})" if one.endswith(" failed") and reasons else one for one in told]


def _field(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _artifact(key: str, content: bytes) -> str:
    lines = f", {len(content.splitlines()):,} lines" if key.endswith(".jsonl") else ""
    return f"{key.rsplit('/', 1)[-1]}: {len(content):,} bytes{lines}"
