"""Supervised calls on the stack deployed on this machine: one after the other, and a hundred at once.

    make local && .venv/bin/python -m bench.python.calls_at_once [--quick]

Prints when a call is accepted, when its supervisor is attached, and when its greeting reaches OpenAI (median, 95th and
99th percentile), the memory of a supervisor, and the processor time of a call minute, without that of the process's
start. The times are the stand-in's own. All calls, the emulator and OpenAI share this machine's processor, so the
latencies of many calls say how this machine copes with them, not how fast AWS is.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from infra.local.emulator import Emulator
from infra.local.stack import create
from infra.local.stand_in import Json, StandIn

# Nobody speaks, and no call ends for that.
SUPERVISE: Json = {"greeting": "Welcome to Example.", "limits": {"idle_seconds": 600}}
POLICY: Json = {
    "answer_as": "live",
    "default": {"accept": {"session": {"model": "gpt-live-1"}, "supervise": SUPERVISE}},
}
TARGET_MILLISECONDS = 1000
"""From accept to greeting, for 95 calls of 100."""

_PAUSE_SECONDS = 1.0
"""Between two rings. The emulator starts a process for each call, and has one core."""
_TIMEOUT_SECONDS = 300.0
_STEP_SECONDS = 0.25
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Let calls ring one after the other, then until many are up, watch them, and print the figures."""
    alone, number, seconds = (10, 10, 20) if "--quick" in sys.argv[1:] else (20, 100, 60)
    with tempfile.TemporaryDirectory() as folder, Emulator(Path(folder)) as emulator, StandIn(Path(folder)) as openai:
        stack = create(emulator, "calls-at-once", openai.base_url, {"CallMaximumAge": "300"})
        stack.fill_secrets()
        stack.subscribe(openai)
        stack.set_call_policy(json.dumps(POLICY))
        # The first calls start the functions.
        greeted = [_one(openai) for _ in range(alone + 2)][2:]
        print(f"{alone} calls one after the other")
        _show(greeted)
        calls = []
        for _ in range(number):
            calls.append(_ring(openai))
            time.sleep(_PAUSE_SECONDS)
        greeted = _greeted(openai, calls)
        before = {process: _usage(process) for process in stack.processes("supervisor")}
        time.sleep(seconds)
        after = {process: _usage(process) for process in before}
    used = [(after[process][1] - before[process][1]) * 60 / seconds * 1000 for process in before]
    memory = [megabytes for megabytes, _ in after.values()]
    print(f"{number} calls at once on {os.cpu_count()} cores, in {len(before)} processes of the supervisor")
    _show(greeted)
    print(f"  a supervisor takes {statistics.median(memory):.1f} MB (median), {max(memory):.1f} MB at most,")
    print(f"  and {sum(used) / number:.0f} ms of processor time for each minute of a call")


def _ring(openai: StandIn, *then: Json | str) -> str:
    """Let a call ring, whose script goes on so once somebody is attached."""
    plan = {"script": [{"await": "attach"}, *then]}
    return openai.call_in(events=["live.transport.incoming"], plan=plan)["call"]["session_id"]


def _one(openai: StandIn) -> Json:
    """Let a call ring, hang up soon after its greeting, and return what the stand-in knows of it."""
    call = _ring(openai, {"await": "session.commentary.append"}, "hang_up")
    (shown,) = _greeted(openai, [call])
    # Its supervisor writes what was said, and is free for the next one then.
    time.sleep(1)
    return shown


def _greeted(openai: StandIn, calls: Sequence[str]) -> list[Json]:
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


def _show(calls: Sequence[Json]) -> None:
    """Print the times of calls that were greeted."""
    accepted = [call["acted_at_ms"] - call["rang_at_ms"] for call in calls]
    attached = [call["attached_at_ms"] - call["acted_at_ms"] for call in calls]
    greeted = [_greeting(call) - call["acted_at_ms"] for call in calls]
    print(f"  accepted after {_percentiles(accepted)}")
    print(f"  attached after {_percentiles(attached)} more")
    print(
        f"  greeted {_percentiles(greeted)} after the accept; "
        f"the target is below {TARGET_MILLISECONDS} ms at the 95th percentile"
    )


def _percentiles(values: Sequence[int]) -> str:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return f"{cuts[49]:.0f} ms (median), {cuts[94]:.0f} ms (95th percentile), {cuts[98]:.0f} ms (99th)"


if __name__ == "__main__":
    main()
