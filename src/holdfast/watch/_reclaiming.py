"""The memory of this process, looked at often, and given back when it is short."""

from typing import Final

from holdfast._core.clock import Clock
from holdfast._core.reclaim import reclaim
from holdfast.sense.memory import memory_bound
from holdfast.watch.thresholds import Gauge, Level, Threshold

__all__ = ("MemoryWatch",)

_EVERY: Final = 10.0
"""Seconds from one collection to the next, as long as memory stays short."""


class MemoryWatch:
    """How near memory is to its bound, and the giving back. For one thread at a time.

    Args:
        threshold: When it is short, and when it is critical, as parts of the bound.
        clock: Tells when it was last given back.
    """

    def __init__(self, threshold: Threshold, clock: Clock) -> None:
        self._gauge = Gauge(threshold)
        self._clock = clock
        self._reclaimed_at = float("-inf")
        self.used: float | None = None

    @property
    def level(self) -> Level:
        """How near it was at the last look."""
        return self._gauge.level

    def look(self) -> Level:
        """Read it: the larger one of what the process and its control group hold, against the tightest bound."""
        self.used = memory_bound().used
        if self.used is not None:
            self._gauge.update(self._clock.now(), self.used)
        return self._gauge.level

    def give_back(self) -> int | None:
        """Give back what nobody uses, if it is short and that was not tried lately.

        Returns:
            By how many bytes the resident memory fell; None if nothing was tried.
        """
        now = self._clock.now()
        if self._gauge.level == "ok" or now - self._reclaimed_at < _EVERY:
            return None
        self._reclaimed_at = now
        freed = reclaim()
        self.look()
        return freed
