"""One simulated day: samples every ten seconds, scans as the monitor makes them, verdicts noted."""

import heapq
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from benchmarks.leaks.shapes import DAY, Descriptor
from holdfast.watch._scans import ScanPace
from holdfast.watch.trend import Living, Trend, Verdict

__all__ = ("LIMIT", "TICK", "Day", "Told", "live")

LIMIT = 1024
TICK = 10.0

_RANKS = {"none": 0, "weak": 1, "strong": 2, "certain": 3}


@dataclass(slots=True)
class Told:
    """One alarm, from its first word to its last.

    Attributes:
        at: When it began.
        evidence: The surest in it.
        places: The places that it named first.
    """

    at: float
    evidence: str
    places: tuple[str, ...]


@dataclass(slots=True)
class Day:
    """What a day brought.

    Attributes:
        alarms: Alarms, in order.
        blamed: When each place was first told to grow.
        strongly_blamed: When each was first told with more than weak evidence.
        exhausted: When the limit was reached; infinite if it was not.
        halfway: When half of the limit was.
        counts: The count at each tick.
    """

    alarms: list[Told] = field(default_factory=list)
    blamed: dict[str, float] = field(default_factory=dict)
    strongly_blamed: dict[str, float] = field(default_factory=dict)
    exhausted: float = math.inf
    halfway: float = math.inf
    counts: list[int] = field(default_factory=list)

    def note_count(self, at: float, count: int) -> None:
        """Take note of a count."""
        self.counts.append(count)
        if count >= LIMIT / 2 and self.halfway == math.inf:
            self.halfway = at
        if count >= LIMIT and self.exhausted == math.inf:
            self.exhausted = at

    def note_verdict(self, at: float, verdict: Verdict, before: Verdict) -> None:
        """Take note of a verdict, and of how it differs from the one before."""
        if not verdict.growing:
            return
        if not before.growing:
            places = tuple(growth.place for growth in verdict.growth)
            self.alarms.append(Told(at, verdict.evidence, places))
        told = self.alarms[-1]
        if _RANKS[verdict.evidence] > _RANKS[told.evidence]:
            told.evidence = verdict.evidence
        for growth in verdict.growth:
            self.blamed.setdefault(growth.place, at)
            if _RANKS[growth.evidence] > 1:
                self.strongly_blamed.setdefault(growth.place, at)


Stop = Callable[[float, Day, Verdict], object]


def live(
    descriptors: Iterable[Descriptor],
    *,
    ages: bool = True,
    until: float = DAY,
    stop: Stop = lambda _at, _day, _verdict: False,
) -> Day:
    """Let a trend watch a day.

    Args:
        descriptors: What is opened and closed.
        ages: Whether the trend sees what lives, or counts alone.
        until: When the day ends, in seconds.
        stop: Ends it earlier, once it has seen enough.
    """
    left = sorted(descriptors, key=lambda each: each.opened, reverse=True)
    trend, scans, day = Trend("descriptors", limit=LIMIT, ages=ages), ScanPace(), Day()
    closings: list[tuple[float, int]] = []
    new: dict[int, Living] = {}
    gone: list[int] = []
    count = number = 0
    before = trend.verdict
    for tick in range(1, int(until / TICK) + 1):
        at = tick * TICK
        while left and left[-1].opened <= at:
            one, number = left.pop(), number + 1
            count += 1
            new[number] = Living(number, one.place)
            heapq.heappush(closings, (one.closed, number))
        while closings and closings[0][0] <= at:
            _, closed = heapq.heappop(closings)
            count -= 1
            if new.pop(closed, None) is None:  # opened and closed between two scans: never seen
                gone.append(closed)
        day.note_count(at, count)
        if ages and scans.due(at, count, LIMIT, suspected=trend.suspects):
            trend.change(at, new.values(), gone)
            scans.scanned(at, count, 0.0)
            new.clear()
            gone.clear()
        trend.add(at, count)
        verdict = trend.verdict
        if verdict is not before:
            day.note_verdict(at, verdict, before)
            before = verdict
            if stop(at, day, verdict):
                break
    return day
