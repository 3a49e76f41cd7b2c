"""Calls at once, supervised on the stack deployed on this machine.

    make local && .venv/bin/python -m bench.python.calls_at_once [--quick]

Prints the time from a call's ring until it is accepted, and from then until its greeting reaches OpenAI (50th, 95th and
99th percentile), the memory of a supervisor, and the processor time of a call minute, without that of the process's
start. The times are the stand-in's own. All calls, the emulator and OpenAI share this machine's processor, so the
latencies say how this machine copes with many calls, not how fast AWS is.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from infra.local.emulator import Emulator
from infra.local.stack import create
from infra.local.stand_in import Json, StandIn

POLICY: Json = {
    "answer_as": "live",
    "default": {"accept": {"session": {"model": "gpt-live-1"}, "supervise": {"greeting": "Welcome to Example."}}},
}
TARGET_MILLISECONDS = 1000
_TIMEOUT_SECONDS = 300.0
_STEP_SECONDS = 0.5
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Let calls ring at once, watch them, and print the figures."""
    number, seconds = (10, 20) if "--quick" in sys.argv[1:] else (100, 60)
    with tempfile.TemporaryDirectory() as folder, Emulator(Path(folder)) as emulator, StandIn(Path(folder)) as openai:
        stack = create(emulator, "calls-at-once", openai.base_url, {"CallMaximumAge": "300"})
        stack.fill_secrets()
        stack.subscribe(openai)
        stack.set_call_policy(json.dumps(POLICY))
        # The first calls start the functions.
        _greeted(openai, _ring(openai, 2, 1))
        calls = _ring(openai, number, None)
        shown = _greeted(openai, calls)
        before = {process: _usage(process) for process in stack.processes("supervisor")}
        time.sleep(seconds)
        after = {process: _usage(process) for process in before}
    accepted = [call["acted_at_ms"] - call["rang_at_ms"] for call in shown]
    greeted = [_greeting(call) - call["acted_at_ms"] for call in shown]
    used = [(after[process][1] - before[process][1]) * 60 / seconds * 1000 for process in before]
    memory = [megabytes for megabytes, _ in after.values()]
    print(f"{number} calls at once on {os.cpu_count()} cores, in {len(before)} processes of the supervisor")
    print(f"accepted after {_percentiles(accepted)} ms")
    print(f"greeted {_percentiles(greeted)} ms later; the target is below {TARGET_MILLISECONDS} ms (95 %)")
    print(f"a supervisor takes {statistics.median(memory):.1f} MB (median), {max(memory):.1f} MB at most")
    print(f"and {statistics.mean(used):.0f} ms of processor time for each minute of a call")


def _ring(openai: StandIn, number: int, seconds: int | None) -> list[str]:
    """Let calls ring, which are hung up after that time or stay."""
    script: list[Json | str] = [{"await": "attach"}]
    if seconds is not None:
        script += [{"wait": seconds * 1000}, "hang_up"]
    rang = [openai.call_in(events=["live.transport.incoming"], plan={"script": script}) for _ in range(number)]
    return [one["call"]["session_id"] for one in rang]


def _greeted(openai: StandIn, calls: list[str]) -> list[Json]:
    """Wait until all are greeted, and return what the stand-in knows of them."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    shown: dict[str, Json] = {}
    while waiting := [session_id for session_id in calls if session_id not in shown]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(waiting)} of {len(calls)} calls were not greeted")
        for session_id in waiting:
            call = openai.call(session_id)
            if _greeting(call):
                shown[session_id] = call
        time.sleep(_STEP_SECONDS)
    return list(shown.values())


def _greeting(call: Json) -> int:
    """When the greeting reached OpenAI, or 0."""
    said = (entry for entry in call["commands"] if entry.get("event", {}).get("type") == "session.commentary.append")
    return next((entry["at_ms"] for entry in said), 0)


def _usage(process: int) -> tuple[float, float]:
    """Largest memory of a process in MB, and its processor time in seconds."""
    status = Path(f"/proc/{process}/status").read_text()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return kilobytes / 1000, (int(fields[11]) + int(fields[12])) / _TICKS


def _percentiles(values: list[int]) -> str:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return f"{cuts[49]:.0f} (50 %), {cuts[94]:.0f} (95 %), {cuts[98]:.0f} (99 %)"


if __name__ == "__main__":
    main()
