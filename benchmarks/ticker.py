"""By how much an event loop is late: a timer that should fire every millisecond."""

import asyncio
import time

__all__ = ("Ticker",)

TICK_S = 0.001


class Ticker:
    """The longest stall of ``loop`` since it was made.

    Attributes:
        worst_s: Longest delay of a tick, wall clock: what a timer or a socket would have seen. On a
            busy machine it holds the time that other processes took, too.
        worst_cpu_s: Most CPU time of the loop's thread between two ticks; without the others.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.worst_s = 0.0
        self.worst_cpu_s = 0.0
        self._loop = loop
        self._due = loop.time() + TICK_S
        self._cpu = time.thread_time()
        self._handle = loop.call_at(self._due, self._tick)

    def stop(self) -> None:
        """Count what is under way, and tick no more."""
        self._handle.cancel()
        self._look()

    def _tick(self) -> None:
        self._look()
        self._due = self._loop.time() + TICK_S
        self._handle = self._loop.call_at(self._due, self._tick)

    def _look(self) -> None:
        self.worst_s = max(self.worst_s, self._loop.time() - self._due)
        now = time.thread_time()
        self.worst_cpu_s = max(self.worst_cpu_s, now - self._cpu)
        self._cpu = now
