"""Waiting for what happens by itself."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEFAULT_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.05


def wait_until(what: str, probe: Callable[[], T], timeout: float = DEFAULT_TIMEOUT_SECONDS) -> T:
    """Call `probe` until what it answers counts as true, and answer that.

    `what` completes the sentence of the failure: `wait_until("the batch is done", ...)`. The timeout is generous on
    purpose: it only bounds a failing test.
    """
    deadline = time.monotonic() + timeout
    while True:
        if found := probe():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {timeout:.0f} s until {what}. Last seen: {found!r}")
        time.sleep(_POLL_SECONDS)


def stays(what: str, probe: Callable[[], T], seconds: float = 2.0) -> T:
    """Check that what `probe` answers counts as true now and for `seconds`, and answer the last."""
    deadline = time.monotonic() + seconds
    while True:
        if not (found := probe()):
            raise AssertionError(f"It did not stay so that {what}. Seen: {found!r}")
        if time.monotonic() > deadline:
            return found
        time.sleep(_POLL_SECONDS)
