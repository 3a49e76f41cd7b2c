"""Time from the delivery of a call's event to its answer at OpenAI, on the stack deployed on this machine.

    make local && .venv/bin/python -m bench.python.call_latency [--quick]

Most of the time is ministack polling the queue. Prints the median and the 99th percentile. The time of an answer is the
time at which it is seen in the stand-in.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from infra.local.emulator import Emulator
from infra.local.stack import create
from infra.local.stand_in import StandIn

POLICY = '{"answer_as": "realtime", "default": {"accept": {"session": {"model": "gpt-realtime-2.1"}}}}'
TARGET_MILLISECONDS = 150
_TIMEOUT_SECONDS = 20.0
_STEP_SECONDS = 0.002


def main() -> None:
    """Make calls one after the other and print the time until they were answered."""
    calls = 20 if "--quick" in sys.argv[1:] else 200
    with tempfile.TemporaryDirectory() as folder, Emulator(Path(folder)) as emulator, StandIn(Path(folder)) as openai:
        stack = create(emulator, "call-latency", openai.base_url)
        stack.fill_secrets()
        stack.subscribe(openai)
        emulator.client("ssm").put_parameter(
            Name=f"/{stack.name}/call-policy", Value=POLICY, Type="String", Overwrite=True
        )
        # The first calls start the functions.
        rang = [_ring(openai) for _ in range(calls + 3)][3:]
    median, p99 = statistics.median(rang), statistics.quantiles(rang, n=100)[98]
    print(
        f"{calls} calls: answered after {median:.0f} ms (median), {p99:.0f} ms (99th percentile); "
        f"the target is a median below {TARGET_MILLISECONDS} ms"
    )


def _ring(openai: StandIn) -> float:
    started = time.perf_counter()
    call_id = openai.call_in()["call"]["call_id"]
    while openai.call(call_id)["state"] != "accepted":
        if time.perf_counter() - started > _TIMEOUT_SECONDS:
            raise TimeoutError(f"the call {call_id} was not answered")
        time.sleep(_STEP_SECONDS)
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
