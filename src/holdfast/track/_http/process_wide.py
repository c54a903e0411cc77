"""The blocking clients of this process, by purpose, and their end.

A client lives until it is closed: with the runtime that was asked for it, by hand, or with the process.
What is under way then has a few seconds to end; what waits before the client is refused at once.

In a child after a fork there are none: their connections are the parent's.
"""

import asyncio
import atexit
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from holdfast._core import clock
from holdfast.pools._forked import forks
from holdfast.track._http.plan import Held, Plan, of_purpose
from holdfast.track._http.thread_gate import ThreadGate
from holdfast.track._http.thread_sweeper import ThreadSweeper
from holdfast.track._http.tickets import HttpStats

__all__ = ("PROCESS_CLIENTS", "BlockingShared", "ProcessClients")

log = logging.getLogger("holdfast.track")

_PAUSE: Final = 0.01


@dataclass(slots=True, kw_only=True)
class BlockingShared(Held):
    """A client that is shared by the threads of the process.

    Attributes:
        gate: Its line.
        sweeper: Looks after it.
        close: Closes it.
    """

    gate: ThreadGate
    sweeper: ThreadSweeper
    close: Callable[[], object]

    def end(self) -> None:
        """Close it, whoever is still under way."""
        self.gate.close()
        self.sweeper.close()
        left = self.gate.who_is_out()
        if left:
            log.warning("%s: closed although these were under way: %s", self.gate.name, left)
        try:
            self.close()
        except Exception:
            log.exception("%s: could not be closed", self.gate.name)
        self.forget()


class ProcessClients:
    """Those of one process. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._shared: dict[tuple[str, str], BlockingShared] = {}
        forks(self)

    def get(self, plan: Plan, make: Callable[[Plan], BlockingShared]) -> BlockingShared:
        """Return the client of a purpose; see :func:`of_purpose`."""
        with self._lock:
            return of_purpose(self._shared, plan, make)

    def stats(self) -> tuple[HttpStats, ...]:
        """Return a reading of each."""
        with self._lock:
            shared = list(self._shared.values())
        return tuple(s.gate.stats(s.plan.library) for s in shared)

    def close(self, timeout: float) -> None:
        """Close all of them, the youngest first, when what is under way has ended or time is up."""
        ending = self._take_all()
        for pause in _until_idle(ending, timeout):
            clock.sleep(pause)
        for shared in ending:
            shared.end()

    async def aclose(self, timeout: float) -> None:
        """Do the same without holding the loop."""
        ending = self._take_all()
        try:
            for pause in _until_idle(ending, timeout):
                await asyncio.sleep(pause)
        finally:
            for shared in ending:
                shared.end()

    def _take_all(self) -> list[BlockingShared]:
        with self._lock:
            ending = list(self._shared.values())[::-1]
            self._shared.clear()
        for shared in ending:
            shared.gate.close()
        return ending

    def after_fork(self) -> None:
        """In a child: start with none."""
        self._lock = threading.RLock()
        self._shared = {}


def _until_idle(ending: list[BlockingShared], timeout: float) -> Iterator[float]:
    """Give the pauses to be made until nothing is under way, or ``timeout`` seconds have passed."""
    until = clock.now() + timeout
    while any(shared.gate.out() for shared in ending) and clock.now() < until:
        yield _PAUSE


PROCESS_CLIENTS: Final = ProcessClients()
"""The ones of this process."""

atexit.register(PROCESS_CLIENTS.close, 0.0)
