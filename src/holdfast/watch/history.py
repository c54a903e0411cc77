"""Readings of the last day at several resolutions, in bounded memory.

Each resolution is a ring of slots, and each slot holds the lowest, the mean and the highest value of its
time. What is too old for one ring is still in the coarser one. The memory is taken at once and does not
grow: 29 KB for each ring of 900 slots and each series.
"""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ("RESOLUTIONS", "History", "Point")

RESOLUTIONS: Final = ((1.0, 900), (15.0, 960), (120.0, 780))
"""Seconds in a slot, and how many slots: 15 minutes, four hours, 26 hours."""

_NEVER: Final = -math.inf


@dataclass(frozen=True, slots=True)
class Point:
    """The readings of one slot.

    Attributes:
        at: When it begins, in seconds on the clock of the samples.
        low: The lowest reading.
        mean: The mean of the readings.
        high: The highest reading.
    """

    at: float
    low: float
    mean: float
    high: float


class _Ring:
    def __init__(self, step: float, size: int, series: int) -> None:
        self.step = step
        self.size = size
        self.begins = array("d", [_NEVER]) * size
        zeros = array("d", [0.0]) * size
        self.lows = [array("d", zeros) for _ in range(series)]
        self.highs = [array("d", zeros) for _ in range(series)]
        self.totals = [array("d", zeros) for _ in range(series)]
        self.counts = [array("L", [0]) * size for _ in range(series)]

    @property
    def arrays(self) -> Iterable["array[float] | array[int]"]:
        return (self.begins, *self.lows, *self.highs, *self.totals, *self.counts)

    def slot(self, at: float) -> int:
        """The slot for ``at``, emptied if it still held what was there a round ago."""
        number = math.floor(at / self.step)
        place, begins = number % self.size, number * self.step
        if self.begins[place] != begins:
            self.begins[place] = begins
            for counts in self.counts:
                counts[place] = 0
        return place

    def add(self, place: int, nth: int, value: float) -> None:
        if not self.counts[nth][place]:
            self.lows[nth][place] = self.highs[nth][place] = value
            self.totals[nth][place] = 0.0
        elif value < self.lows[nth][place]:
            self.lows[nth][place] = value
        elif value > self.highs[nth][place]:
            self.highs[nth][place] = value
        self.totals[nth][place] += value
        self.counts[nth][place] += 1

    def points(self, nth: int, since: float) -> list[Point]:
        found: list[Point] = []
        for place, count in enumerate(self.counts[nth]):
            begins = self.begins[place]
            if count and begins + self.step > since:
                mean = self.totals[nth][place] / count
                found.append(Point(begins, self.lows[nth][place], mean, self.highs[nth][place]))
        return sorted(found, key=lambda point: point.at)


class History:
    """What some series were, by the second for a while and by the minute for a day.

    Not for several threads at once: the monitor guards its own.

    Args:
        names: The series.

    Example:
        >>> history = History(["descriptors"])
        >>> for second in range(60):
        ...     history.add(second, {"descriptors": 100 + second})
        >>> history.points("descriptors", seconds=1)[-1]
        Point(at=59.0, low=159.0, mean=159.0, high=159.0)
        >>> len(history.points("descriptors", seconds=3600))
        4
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._places = {name: nth for nth, name in enumerate(names)}
        self._rings = [_Ring(step, size, len(names)) for step, size in RESOLUTIONS]
        self._last = _NEVER

    @property
    def names(self) -> tuple[str, ...]:
        """The series."""
        return tuple(self._places)

    @property
    def size_bytes(self) -> int:
        """The memory that the readings take, now and later."""
        return sum(len(each) * each.itemsize for ring in self._rings for each in ring.arrays)

    def add(self, at: float, values: Mapping[str, float | None]) -> None:
        """Take in one reading of some series.

        Args:
            at: When, in seconds on a clock that does not go back.
            values: By name; None is left out.
        """
        self._last = max(self._last, at)
        for ring in self._rings:
            place = ring.slot(at)
            for name, value in values.items():
                if value is not None:
                    ring.add(place, self._places[name], value)

    def points(self, name: str, *, seconds: float) -> tuple[Point, ...]:
        """Return what a series was lately, at the finest resolution that reaches so far back.

        Args:
            name: The series.
            seconds: How far back, more than 0; a day at most is kept.

        Returns:
            The oldest first; slots without a reading are left out, one that reaches into the time is not.

        Raises:
            KeyError: There is no such series.
        """
        nth = self._places[name]
        ring = next(
            (ring for ring in self._rings if ring.step * ring.size >= seconds), self._rings[-1]
        )
        return tuple(ring.points(nth, self._last - seconds + 1e-9))
