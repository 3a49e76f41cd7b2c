"""Something between a function and AWS that a test commands: it passes everything on, unless told otherwise."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from infra.local.proxy import Proxy, Request, Treatment
from infra.local.stack import Stack

__all__ = ["Between", "Request"]


@dataclass
class _Refusal:
    fits: Callable[[Request], bool]
    status: int
    answer: bytes
    left: int


class Between(Proxy):
    """A proxy that refuses, delays and changes what a test says."""

    def __init__(self, stack: Stack) -> None:
        """Start it. Nothing uses it before `take`."""
        self._refusals: list[_Refusal] = []
        self._changes: list[tuple[Callable[[Request], bool], Callable[[bytes], bytes]]] = []
        self._delays: list[tuple[Callable[[Request], bool], float]] = []
        self._lock = threading.Lock()
        self.seen: list[Request] = []
        """Every request so far."""
        self.refused: list[Request] = []
        """Those of them that were refused."""
        super().__init__(stack)

    def refuse(self, fits: Callable[[Request], bool], times: int, *, status: int, answer: bytes) -> None:
        """Answer the next `times` requests that fit with this, and pass none of them on."""
        self._refusals.append(_Refusal(fits, status, answer, times))

    def delay(self, fits: Callable[[Request], bool], seconds: float) -> None:
        """Pass every request that fits on only after this time."""
        self._delays.append((fits, seconds))

    def change(self, fits: Callable[[Request], bool], change: Callable[[bytes], bytes]) -> None:
        """Change the body of every successful answer to a request that fits. A later change replaces earlier ones."""
        self._changes[:] = [(fits, change)]

    def count(self, operation: str) -> int:
        """How many requests of this operation there were."""
        return sum(request.operation == operation for request in self.seen)

    def treat(self, request: Request) -> Treatment:
        """Refuse or delay it, if the test said so."""
        with self._lock:
            self.seen.append(request)
            for refusal in self._refusals:
                if refusal.left > 0 and refusal.fits(request):
                    refusal.left -= 1
                    self.refused.append(request)
                    return Treatment(answer=(refusal.status, refusal.answer))
        return Treatment(delay=sum(seconds for fits, seconds in self._delays if fits(request)))

    def changed(self, request: Request, status: int, body: bytes) -> bytes:
        """Change the answer, if the test said so."""
        if status == 200:
            for fits, change in self._changes:
                if fits(request):
                    return change(body)
        return body
