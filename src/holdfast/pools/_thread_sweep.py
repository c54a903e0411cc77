"""The deadlines of a stream's blocking calls: one entry in the timer for all of them.

The sweep looks at every running item when the one that started first may be due, and no more often
than a sixty-fourth of the timeout. An item past its deadline is left behind under the engine's lock,
so it is either handed over by its thread or given up here, never both.
"""

import threading
from typing import Protocol

from holdfast._core.clock import Clock
from holdfast.errors import CallTimeout
from holdfast.pools._admission import Admission
from holdfast.pools._thread_turn import ThreadTurn
from holdfast.pools._timer import TIMER
from holdfast.pools._window import Window

__all__ = ("SweepHost", "TurnSweep", "late_item")


class SweepHost(Protocol):
    """What a sweep asks of its engine."""

    clock: Clock
    lock: threading.Lock
    turns: set[ThreadTurn]
    window: Window

    def time_out(self, turn: ThreadTurn) -> None:
        """Under the lock: give the turn's item up."""
        ...

    def go_on_without(self) -> None:
        """Carry on without those that were given up."""
        ...


class TurnSweep:
    """Watches one stream's running items, from now until the stream ends."""

    __slots__ = ("_due", "_host", "_timeout")

    def __init__(self, host: SweepHost, timeout: float) -> None:
        self._host = host
        self._timeout = timeout
        self._due = 0.0
        self._watch(timeout)

    def stop(self) -> None:
        """The stream has ended."""
        TIMER.unwatch(self, self._due)

    def expire(self) -> None:
        """On the timer's thread: give up what has run for too long, and look again later."""
        host = self._host
        now = host.clock.now()
        nearest = self._timeout
        late = False
        with host.lock:
            for turn in tuple(host.turns):
                if turn.started is None:
                    continue
                left = turn.started + self._timeout - now
                if left > 0:
                    nearest = min(nearest, left)
                else:
                    late = True
                    host.time_out(turn)
        if late:
            host.go_on_without()
        if not host.window.ended:
            self._watch(max(nearest, self._timeout / 64, 0.001))

    def _watch(self, pause: float) -> None:
        self._due = TIMER.watch(self, pause)
        if self._host.window.ended:  # it may have ended before there was anything to unwatch
            TIMER.unwatch(self, self._due)


def late_item(admission: Admission, index: int, timeout: float | None) -> CallTimeout:
    """Make the error of an item that is past its deadline."""
    return CallTimeout(
        f"pool {admission.name!r}: item {index} ran longer than its timeout of {timeout or 0.0:g} s; a "
        f"thread can't be stopped, so it still runs and keeps its permit "
        f"({admission.abandoned} abandoned)",
        stopped=False,
    )
