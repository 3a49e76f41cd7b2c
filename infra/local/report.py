"""Output of `make run`: its steps, a table of results, and where to look further."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.local.emulator import ACCESS_KEY, REGION
from infra.local.scenario import Result, parsed
from infra.local.stack import Stack
from infra.local.stand_in import StandIn

_PLAIN_WIDTH = 160


class Reporter:
    """Printer: with colours and progress on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console = Console(highlight=False, width=_PLAIN_WIDTH)

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


def show(reporter: Reporter, stack: Stack, results: list[Result]) -> None:
    """Print the table of events, states, jobs and artifacts, then all faults."""
    table = Table(box=box.ROUNDED if reporter.console.is_terminal else box.ASCII, show_lines=True)
    for column in ("Event", "State", "Job", "What became of it", "Artifacts"):
        table.add_column(column, overflow="fold")
    for result in results:
        played = result.played
        table.add_row(
            Text(f"{played.event_type}\n{played.webhook_id}"),
            Text(result.event.get("state", "not recorded"), style="red" if result.faults else "green"),
            Text(f"{result.job.get('status', 'not recorded')}\n{played.object_id}"),
            Text(_became(result)),
            Text("\n".join(_artifact(key, content) for key, content in result.artifacts.items())),
        )
    reporter.console.print(table)
    reporter.say(f"The artifacts are in the bucket {stack.outputs['BucketName']}.")
    for result in results:
        for fault in result.faults:
            reporter.say(f"WRONG  {result.played.event_type} {result.played.object_id}: {fault}")


def show_where_to_look(reporter: Reporter, stack: Stack, openai: StandIn) -> None:
    """Print the addresses of everything that is up."""
    endpoint = stack.emulator.endpoint_url
    outputs = stack.outputs
    reporter.say(f"""
Everything is up. Ctrl-C stops it.

Webhooks
  project         {stack.url("project")}
  organization    {stack.url("organization")}
OpenAI stand-in   {openai.base_url}
  deliver         curl {openai.url}/_control/deliver -H 'content-type: application/json' \\
                    -d '{{"type": "response.completed", "data": {{"id": "resp_123"}}}}'
AWS, for the aws command
  export AWS_ENDPOINT_URL={endpoint} AWS_REGION={REGION} AWS_DEFAULT_REGION={REGION}
  export AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={ACCESS_KEY}
  results         aws s3 ls --recursive s3://{outputs["BucketName"]}/
  ledger          aws dynamodb scan --table-name {outputs["TableName"]}
  dead letters    aws sqs receive-message --message-attribute-names All --queue-url {outputs["BatchDeadLetterQueueUrl"]}
  logs            aws logs tail /aws/lambda/{outputs["VerifierFunctionName"]}
                  aws logs tail /aws/lambda/{outputs["BatchFunctionName"]}
Logs of the tools
  ministack       {stack.emulator.log}
  stand-in        {openai.log}""")


def _became(result: Result) -> str:
    """Counts of a batch's lines; of everything else the telling fields of the summary."""
    if result.played.category == "batch":
        return _lines(parsed(result.artifacts.get(f"batch/{result.played.object_id}/summary.json")))
    found = ((path, _field(result.job.get("summary", {}), path)) for path in result.played.told)
    return "\n".join(
        f"{path.rsplit('.', 1)[-1]}: {value if isinstance(value, str) else json.dumps(value)}"
        for path, value in found
        if value is not None
    )


def _lines(summary: dict[str, Any]) -> str:
    """Counts in `summary.json`: results of the lines, and reasons of failed ones."""
    counted = [(summary.get("lines", {}).get(name, 0), name) for name in ("succeeded", "failed", "malformed")]
    reasons = [(error["count"], f"  {code}") for code, error in summary.get("errors", {}).items()]
    return "\n".join(f"{count:>5,} {name}" for count, name in counted[:2] + reasons + counted[2:] if count)


def _field(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _artifact(key: str, content: bytes) -> str:
    lines = f", {len(content.splitlines()):,} lines" if key.endswith(".jsonl") else ""
    return f"{key.rsplit('/', 1)[-1]}  {len(content):,} bytes{lines}"
