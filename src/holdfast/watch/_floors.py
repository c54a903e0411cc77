"""The rule for a count of which the ages are not known, such as bytes of memory.

Only floors are compared, the lowest values of equal parts of time: what is given back does not show in
them. Such evidence is weak whatever its length, because a count says nothing of what it counts; the
verdict is "growing, not yet flat". It takes hours where ages take minutes.

A count grows over a length of time if the floors of its 18 parts are

- higher in each third than in the third before, by 4 and by a hundredth at least, and the second rise
  is at least 0.8 of the first: it does not level off;
- not risen in a jump: 35 % of the growth at most between one part and the next;
- higher than what was before it (within the last hours than its crests, else than its floors): waves
  return to where they have been;
- on their way to the limit within four times that length, by the median of all slopes.

Source of the slope: Theil (1950), Sen (1968).
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median, quantiles
from typing import Final, NamedTuple

from holdfast.watch._counts import Counts

__all__ = ("Rise", "rise_of", "slope")

_PARTS: Final = 18
_THIRD: Final = _PARTS // 3
_LENGTHS: Final = (1200.0, 3600.0, 10800.0, 21600.0, 43200.0)
_LONG: Final = 7200.0
_LEAST: Final = 4.0
_LEAST_PART: Final = 0.01
_STEADY: Final = 0.8
_LARGEST_JUMP: Final = 0.35
_RELEVANT: Final = 4.0
"""The limit is at most so many times the length away."""


class Rise(NamedTuple):
    """How fast a count grows, in its unit a second: between ``low`` and ``high`` nine times in ten."""

    since: float
    per_s: float
    low: float
    high: float


def rise_of(counts: Counts, at: float, left: float) -> Rise | None:
    """Return how the floors of a count rise, or None if they do not."""
    for length in _LENGTHS:
        if at - length < counts.since:
            return None
        floors = counts.floors(at - length, at, _PARTS)
        if floors and _rises(floors) and _is_new(counts, at - length, floors):
            rise = slope(floors, length / _PARTS)
            if rise.per_s > 0.0 and left / rise.per_s <= _RELEVANT * length:
                return Rise(at - length, *rise[1:])
    return None


def slope(values: Sequence[float], seconds: float) -> Rise:
    """Return the median of the slopes between all pairs of values that are ``seconds`` apart."""
    slopes = [
        (later - value) / ((there - here) * seconds)
        for here, value in enumerate(values)
        for there, later in enumerate(values[here + 1 :], here + 1)
    ]
    cuts = quantiles(slopes, n=20)
    return Rise(0.0, median(slopes), cuts[0], cuts[-1])


def _rises(floors: Sequence[float]) -> bool:
    thirds = [min(floors[start : start + _THIRD]) for start in range(0, _PARTS, _THIRD)]
    first, second = thirds[1] - thirds[0], thirds[2] - thirds[1]
    least = max(_LEAST, _LEAST_PART * abs(thirds[0]))
    if first < least or second < max(least, _STEADY * first):
        return False
    jumps = [after - before for before, after in pairwise(floors)]
    return max(jumps) <= _LARGEST_JUMP * (floors[-1] - floors[0])


def _is_new(counts: Counts, since: float, floors: Sequence[float]) -> bool:
    """The last floors are above all that was before; over hours, where a crest is long past, above its floors."""
    if since <= counts.since:
        return True
    lowest = min(floors[-_THIRD:])
    if counts.last_at - since < _LONG:
        return lowest > counts.highest(since)
    earlier = counts.floors(counts.since, since, len(floors))
    return not earlier or lowest > max(earlier)
