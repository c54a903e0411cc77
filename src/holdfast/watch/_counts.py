"""A count over the last day, minute by minute: its floors and its peaks.

Purpose: what a trend needs to know of a series besides the ages. Memory is bounded: 1,500 minutes,
whatever the number of samples.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

__all__ = ("MINUTE", "Counts")

MINUTE: Final = 60.0
_MINUTES: Final = 1500


class _Minute:
    __slots__ = ("at", "high", "low")

    def __init__(self, at: float, value: float) -> None:
        self.at = at
        self.low = self.high = value


class Counts:
    """Samples in, figures of minutes out."""

    def __init__(self) -> None:
        self.last = self.last_at = 0.0
        self._minutes: deque[_Minute] = deque(maxlen=_MINUTES)

    def add(self, at: float, value: float) -> None:
        """Take in one sample; ``at`` never goes back."""
        self.last, self.last_at = value, at
        if not self._minutes or at >= self._minutes[-1].at + MINUTE:
            self._minutes.append(_Minute(at, value))
        minute = self._minutes[-1]
        if value < minute.low:
            minute.low = value
        if value > minute.high:
            minute.high = value

    def __len__(self) -> int:
        return len(self._minutes)

    @property
    def since(self) -> float:
        """When the first minute that is kept began; infinite before the first sample."""
        return self._minutes[0].at if self._minutes else float("inf")

    def highest(self, until: float) -> float:
        """The highest value before ``until``; minus infinity if there was none."""
        return max(
            (minute.high for minute in self._minutes if minute.at < until), default=float("-inf")
        )

    def floors(self, since: float, until: float, count: int) -> list[float]:
        """The lowest value in each of ``count`` equal parts of the time; empty if one has no sample."""
        width = (until - since) / count
        found: list[float | None] = [None] * count
        for minute in self._from(since):
            part = min(int((minute.at - since) / width), count - 1)
            low = found[part]
            found[part] = minute.low if low is None else min(low, minute.low)
        known = [low for low in found if low is not None]
        return known if len(known) == count else []

    def minutes(self, since: float) -> Sequence[tuple[float, float, float]]:
        """When each minute from ``since`` on began, its lowest and its highest value."""
        return [(minute.at, minute.low, minute.high) for minute in self._from(since)][::-1]

    def _from(self, since: float) -> Sequence[_Minute]:
        found: list[_Minute] = []
        for minute in reversed(self._minutes):
            if minute.at < since:
                break
            found.append(minute)
        return found
