"""Time from a delivery to the stack until `listen` has delivered the event to a program on this machine.

    make local && .venv/bin/python -m bench.python.listen_latency

Prints the median and the 90th percentile of 50 events, one after the other, on the stack deployed on this machine. In
it are the verifier, the queue, the consumer with its request to OpenAI, and the command line's look at the ledger, four
times a second. The exit code is 1 if the median is over the target.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.deploy import BINARIES
from infra.local.emulator import Emulator
from infra.local.stack import Stack, create
from infra.local.stand_in import StandIn
from infra.local.web_server import DONE, Answer, Request, WebServer

EVENTS, WARM_UP = 50, 3
TARGET_MILLISECONDS = 1000
_TIMEOUT_SECONDS = 20.0


def main() -> int:
    """Deliver events one after the other, print the time until they arrived, and return the exit code."""
    with tempfile.TemporaryDirectory() as folder, Emulator(Path(folder)) as emulator, StandIn(Path(folder)) as openai:
        stack = create(emulator, "listen-latency", openai.base_url)
        stack.fill_secrets()
        stack.subscribe(openai)
        with _Program() as program, _listening(stack, program.url):
            # The first ones start the functions.
            took = [_deliver(openai, program) for _ in range(EVENTS + WARM_UP)][WARM_UP:]
    median, p90 = statistics.median(took), statistics.quantiles(took, n=10)[8]
    print(
        f"listen: {EVENTS} events reached a program on this machine after {median:.0f} ms (median), {p90:.0f} ms (90th "
        f"percentile); the target is a median below {TARGET_MILLISECONDS} ms"
    )
    return 0 if median < TARGET_MILLISECONDS else 1


class _Program(WebServer):
    """Program on this machine that takes webhooks, and notes when each came."""

    def __init__(self) -> None:
        self._came: dict[str, float] = {}
        self._new = threading.Condition()
        super().__init__(self._take)
        self.url += "/webhook"

    def _take(self, request: Request) -> Answer:
        with self._new:
            self._came[request.headers["webhook-id"]] = time.perf_counter()
            self._new.notify_all()
        return DONE

    def wait(self, webhook_id: str) -> float:
        """When the delivery came. Raises `TimeoutError`."""
        with self._new:
            if not self._new.wait_for(lambda: webhook_id in self._came, _TIMEOUT_SECONDS):
                raise TimeoutError(f"{webhook_id} did not come within {_TIMEOUT_SECONDS:.0f} s")
            return self._came[webhook_id]


@contextmanager
def _listening(stack: Stack, url: str) -> Iterator[None]:
    command = [BINARIES / "openai-webhooks", "listen", "--forward-to", url, "--json"]
    with subprocess.Popen(command, env=stack.command_environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            # It prints its secret before it begins.
            if process.stdout is None or "secret" not in json.loads(process.stdout.readline()):
                raise RuntimeError("listen did not begin")
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield
        finally:
            process.kill()


def _deliver(openai: StandIn, program: _Program) -> float:
    file_id = openai.put_file(text="four")["id"]
    began = time.perf_counter()
    (delivery,) = openai.deliver("file.processed", {"id": file_id})
    return (program.wait(delivery["webhook_id"]) - began) * 1000


if __name__ == "__main__":
    sys.exit(main())
