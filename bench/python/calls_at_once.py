"""Calls at once, supervised on the stack deployed on this machine.

    make local && .venv/bin/python -m bench.python.calls_at_once [--quick]

Prints the time until a call is accepted and from then until its greeting is on its way to the caller (50th, 95th and
99th percentile), and the memory and the processor time of a supervisor. All calls, the emulator and OpenAI share this
machine's processor, so the latencies of many calls say how it copes, not how fast AWS is. The processor time counts the
start of the process.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from infra.local.emulator import Emulator
from infra.local.stack import Stack, create
from infra.local.stand_in import Json, StandIn

POLICY: Json = {
    "answer_as": "live",
    "default": {"accept": {"session": {"model": "gpt-live-1"}, "supervise": {"greeting": "Welcome to Example."}}},
}
_TALK_SECONDS = 60
_TIMEOUT_SECONDS = 300.0
_STEP_SECONDS = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Let calls ring at once, watch them, and print the figures."""
    number = 10 if "--quick" in sys.argv[1:] else 100
    with tempfile.TemporaryDirectory() as folder, Emulator(Path(folder)) as emulator, StandIn(Path(folder)) as openai:
        stack = create(emulator, "calls-at-once", openai.base_url, {"CallMaximumAge": "300"})
        stack.fill_secrets()
        stack.subscribe(openai)
        stack.set_call_policy(json.dumps(POLICY))
        # The first call starts the functions.
        _measure(stack, openai, 1)
        accepted, greeted, megabytes, seconds = _measure(stack, openai, number)
    print(f"{number} calls at once")
    print(f"accepted after {_percentiles(accepted)} ms")
    print(f"greeted another {_percentiles(greeted)} ms later")
    print(f"a supervisor needs {statistics.median(megabytes):.1f} MB (median), {max(megabytes):.1f} MB at most")
    print(f"and {statistics.median(seconds) * 60 / _TALK_SECONDS * 1000:.0f} ms of processor time per call minute")


def _measure(stack: Stack, openai: StandIn, number: int) -> tuple[list[float], list[float], list[float], list[float]]:
    """Times until calls are accepted and greeted, in milliseconds; memory in MB and seconds of the supervisors."""
    script = [{"await": "attach"}, {"wait": _TALK_SECONDS * 1000}, "hang_up"] if number > 1 else ["hang_up"]
    rang: dict[str, float] = {}
    for _ in range(number):
        call = openai.call_in(events=["live.transport.incoming"], plan={"script": script})["call"]
        rang[call["session_id"]] = time.perf_counter()
    accepted: dict[str, float] = {}
    greeted: dict[str, float] = {}
    deadline = time.perf_counter() + _TIMEOUT_SECONDS
    while number > 1 and len(greeted) < number:
        for session_id in rang.keys() - greeted.keys():
            call = openai.call(session_id)
            if call["state"] != "ringing":
                accepted.setdefault(session_id, time.perf_counter())
            if any(e.get("event", {}).get("type") == "session.commentary.append" for e in call["commands"]):
                greeted[session_id] = time.perf_counter()
        if time.perf_counter() > deadline:
            raise TimeoutError(f"{number - len(greeted)} calls were not greeted")
        time.sleep(_STEP_SECONDS)
    # Almost all of the talk, before the processes are reused or end.
    time.sleep(_TALK_SECONDS * 0.8 if number > 1 else 3)
    processes = [_usage(process) for process in stack.processes("supervisor")]
    return (
        [(accepted[it] - rang[it]) * 1000 for it in accepted],
        [(greeted[it] - accepted[it]) * 1000 for it in greeted],
        [megabytes for megabytes, _ in processes],
        [seconds for _, seconds in processes],
    )


def _usage(process: int) -> tuple[float, float]:
    """Largest memory of a process in MB, and its processor time in seconds."""
    status = Path(f"/proc/{process}/status").read_text()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return kilobytes / 1000, (int(fields[11]) + int(fields[12])) / _TICKS


def _percentiles(values: list[float]) -> str:
    cuts = statistics.quantiles(values, n=100)
    return f"{cuts[49]:.0f} (50 %), {cuts[94]:.0f} (95 %), {cuts[98]:.0f} (99 %)"


if __name__ == "__main__":
    main()
