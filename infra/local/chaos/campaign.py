"""Plays a plan: deliveries and trouble, then quiet, until nothing is left to do."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from infra.local.chaos.happenings import CALL_POLICY, Happening, Shared
from infra.local.chaos.plan import Delivery, Plan
from infra.local.chaos.sender import Sent, send
from infra.local.chaos.trouble import Trouble
from infra.local.stack import CATEGORIES, Stack
from infra.local.stand_in import StandIn

PARAMETERS = {"CallMaximumAge": "300"}
"""Parameters of the stack: a call waits long enough for a consumer to die and another one to take over."""

TIMEOUTS = {"seconds": 10, "visibility": 13}
"""Timeouts of every consumer and its queue. A lease is two seconds longer than the function's."""

_WORKERS = 12
_MOST_WAITING = 400
"""Messages in the queues at which deliveries pause, so that what happens at once keeps meeting."""
_REDRIVE_EVERY_SECONDS = 5.0
_STUCK_SECONDS = 180.0
"""Time without any change after which whatever is left is stuck. A killed redrive hides letters for a minute."""


class StuckError(Exception):
    """Something is left that does not end. The text says what."""


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    delivered: int
    waiting: int
    """Messages in the queues."""


class Campaign:
    """A plan on a stack."""

    def __init__(self, stack: Stack, openai: StandIn, plan: Plan) -> None:
        """Prepare the stack, and everything of which no webhook arrives in time."""
        self._stack, self._openai, self._plan = stack, openai, plan
        stack.set_call_policy(json.dumps(CALL_POLICY))
        for category in CATEGORIES:
            stack.set_timeouts(category, **TIMEOUTS)
        self.trouble = Trouble(stack, plan)
        self._shared = Shared.upload(openai)
        self._beginning: dict[int, threading.Lock] = {h.number: threading.Lock() for h in plan.happenings}
        self.sent: list[Sent] = []
        """Deliveries so far."""
        self._waiting = 0
        self._over = threading.Event()
        for happening in plan.happenings:
            if happening.is_lost:
                self._begin(happening)

    def play(self, tell: Callable[[Progress], None]) -> None:
        """Make every delivery, in trouble."""
        watching = threading.Thread(target=self._watch, args=(tell,), daemon=True)
        watching.start()
        self.trouble.start()
        workers = ThreadPoolExecutor(_WORKERS)
        try:
            for done in [workers.submit(self._deliver, delivery) for delivery in self._plan.deliveries]:
                done.result()
            # What fails now is for the quiet to mend; what is on its way shall still meet trouble.
            time.sleep(2)
        finally:
            workers.shutdown(cancel_futures=True)
            self.trouble.calm()
            self._over.set()
            watching.join()

    def settle(self, tell: Callable[[Progress], None]) -> None:
        """Redrive and reconcile until no message and no dead letter is left.

        Raises `StuckError` if that does not end.
        """
        self._openai.clear_faults()
        self._stack.invoke("reconcile", {"task": "reconcile"})
        changed_at, before = time.monotonic(), None
        redriven_at = 0.0
        while True:
            waiting, letters = self._messages("queue_url"), self._messages("dead_letter_queue_url")
            if not waiting and not letters:
                return
            tell(Progress(len(self.sent), waiting + letters))
            if (now := (waiting, letters)) != before:
                changed_at, before = time.monotonic(), now
            if time.monotonic() - changed_at > _STUCK_SECONDS:
                raise StuckError(f"{waiting} messages and {letters} dead letters are left: {self._left()}")
            if letters and time.monotonic() - redriven_at > _REDRIVE_EVERY_SECONDS:
                self.trouble.redrive()
                redriven_at = time.monotonic()
            time.sleep(1)

    def _deliver(self, delivery: Delivery) -> None:
        while self._waiting > _MOST_WAITING:
            time.sleep(0.1)
        happening, event = delivery.happening, delivery.event
        self._begin(happening)
        body = happening.body(event).encode()
        self.sent.append(send(self._stack, event.webhook_id, event.endpoint, body, forged=delivery.forged))
        if not delivery.forged:
            self.trouble.delivered.append(event.webhook_id)

    def _begin(self, happening: Happening) -> None:
        with self._beginning[happening.number]:
            if happening.object_id is None:
                happening.begin(self._openai, self._shared)

    def _watch(self, tell: Callable[[Progress], None]) -> None:
        while not self._over.wait(1):
            self._waiting = self._messages("queue_url")
            tell(Progress(len(self.sent), self._waiting))

    def _messages(self, url: str) -> int:
        """Messages in the queues or the dead-letter queues, hidden ones included."""
        sqs = self._stack.emulator.client("sqs")
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = [
            sqs.get_queue_attributes(QueueUrl=getattr(self._stack, url)(category), AttributeNames=names)["Attributes"]
            for category in CATEGORIES
        ]
        return sum(int(value) for attributes in found for value in attributes.values())

    def _left(self) -> str:
        """The messages that are left, in a few words each."""
        messages = [m for category in CATEGORIES for m in self._stack.messages(category)]
        messages += [m for category in CATEGORIES for m in self._stack.dead_letters(category)]
        told = [
            f"{m.attributes.get('webhook-id')} ({m.attributes.get('source')}, received {m.receives} times, "
            f"{m.attributes.get('failure-reason', 'no reason')})"
            for m in messages
        ]
        return "; ".join(told[:20])
