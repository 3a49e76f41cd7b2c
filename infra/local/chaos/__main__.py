"""`make chaos`: runs a campaign on this machine and judges it.

    python -m infra.local.chaos [--seed SEED] [--deliveries NUMBER]

The exit code is 0 only if nothing was lost and nothing was acted on twice. The logs of a run that fails stay.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from infra.local.chaos.campaign import PARAMETERS, Campaign, Progress, StuckError
from infra.local.chaos.plan import Plan, make
from infra.local.chaos.verdict import Verdict, judge
from infra.local.deploy import functions
from infra.local.emulator import Emulator
from infra.local.execution import execute
from infra.local.report import Reporter
from infra.local.stack import Stack, create
from infra.local.stand_in import StandIn
from infra.local.watch import Watch

_DELIVERIES = 20_000
_SHOWN = 10
"""Number of faults that are shown. All of them are in the file."""
_TELL_EVERY_SECONDS = 10.0


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    options = _options(arguments)
    reporter = Reporter()
    plan = make(options.seed, options.deliveries)
    reporter.say(f"Seed {plan.seed}: {len(plan.deliveries):,} deliveries of {len(plan.happenings):,} happenings")
    code = execute("chaos-", reporter, lambda directory, running: _run(plan, reporter, directory, running))
    if code == 1:
        reporter.say(f"The same plan again: make chaos SEED={plan.seed} DELIVERIES={len(plan.deliveries)}")
    return code


def _run(plan: Plan, reporter: Reporter, directory: Path, running: ExitStack) -> int:
    with reporter.step("Starting ministack and the OpenAI stand-in"):
        emulator = running.enter_context(Emulator(directory))
        openai = running.enter_context(StandIn(directory))
    with reporter.step("Deploying template.yaml, every function behind a proxy"):
        stack = create(emulator, f"chaos-{plan.seed}", openai.base_url, PARAMETERS)
        watch = Watch(stack)
        stack.fill_secrets()
        campaign = Campaign(stack, openai, plan)
    trouble = campaign.trouble
    left = []
    try:
        with reporter.step("Deliveries, while functions die and AWS and OpenAI fail") as tell:
            campaign.play(_now_and_then(tell, len(plan.deliveries)))
        reporter.say(f"          {_counted({**trouble.counts, **trouble.weather.counts})}")
        with reporter.step("Quiet, until no message and no dead letter is left") as tell:
            campaign.settle(_now_and_then(tell, len(plan.deliveries)))
    except StuckError as stuck:
        left = [str(stuck)]
    with reporter.step("Comparing all that is there with all that happened"):
        verdict = judge(stack, openai, watch, plan, campaign.sent)
    verdict.wrong += left
    reporter.say(f"          {_counted(verdict.counts)}")
    return _told(plan, stack, verdict, reporter, directory)


def _told(plan: Plan, stack: Stack, verdict: Verdict, reporter: Reporter, directory: Path) -> int:
    """Say what is wrong and keep all that is known of it, or say that nothing is."""
    for fault in verdict.known[:_SHOWN]:
        reporter.say(f"KNOWN  {fault}")
    if not verdict.wrong:
        but = f", but for {len(verdict.known)} known faults" if verdict.known else ""
        reporter.say(f"Nothing was lost, and nothing was acted on twice{but}.")
        return 0
    for fault in verdict.wrong[:_SHOWN]:
        reporter.say(f"WRONG  {fault}")
    reporter.say(f"{len(verdict.wrong)} faults")
    (directory / "faults.txt").write_text("\n".join(verdict.wrong + verdict.known))
    (directory / "plan.json").write_text(json.dumps([happening.described() for happening in plan.happenings], indent=1))
    (directory / "ledger.json").write_text(json.dumps(stack.ledger(), default=str, indent=1))
    for function in functions():
        (directory / f"{function}.log").write_text("\n".join(stack.logs(function)))
    return 1


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))


def _now_and_then(tell: Callable[[str], None], deliveries: int) -> Callable[[Progress], None]:
    """Tell of progress, but not with every change of it."""
    told_at = 0.0

    def progress(reached: Progress) -> None:
        nonlocal told_at
        if time.monotonic() - told_at > _TELL_EVERY_SECONDS:
            told_at = time.monotonic()
            tell(f"{reached.delivered:,} of {deliveries:,} delivered, {reached.waiting} messages in the queues")

    return progress


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local.chaos", description="Deliver thousands of events while everything fails, and judge."
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="seed of the plan")
    parser.add_argument("--deliveries", type=int, default=_DELIVERIES, help=f"number of deliveries ({_DELIVERIES})")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
