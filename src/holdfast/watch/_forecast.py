"""How fast survivors come, and when the limit is reached, each with the interval that holds it.

The pace is the mean of the counts in 12 equal parts of the stretch; its interval follows from how far
these counts differ (Student's t with 11 degrees of freedom), and is never narrower than that of events
that come by chance (Poisson). The growth is added to everything else, which has waves of its own: the
limit is reached first at one of their crests.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from math import inf, sqrt
from statistics import mean, variance
from typing import Final, NamedTuple

from holdfast.watch._counts import Counts
from holdfast.watch._survivors import PARTS, Stretch, parts

__all__ = ("Left", "Pace", "left_until", "pace_of", "sum_of")

_NINE_IN_TEN: Final = 1.796  # Student's t, 11 degrees of freedom, 5 % at each end
_LENGTHS: Final = (8, 4, 2)
_DAY: Final = 86400.0
_LATELY: Final = 3600.0
_CREST: Final = 0.9


class Pace(NamedTuple):
    """Things a second, with the standard error of that."""

    per_s: float
    error: float

    @property
    def low(self) -> float:
        """The lower end."""
        return max(0.0, self.per_s - _NINE_IN_TEN * self.error)

    @property
    def high(self) -> float:
        """The upper end."""
        return self.per_s + _NINE_IN_TEN * self.error


class Left(NamedTuple):
    """Seconds until the limit is reached; ``late`` is infinite if it may never be."""

    about: float
    soon: float
    late: float


def pace_of(births: Sequence[float], stretch: Stretch) -> Pace:
    """Return the pace of one place, over as long as it has been growing evenly."""
    length, since = stretch.until - stretch.since, stretch.since
    for times in _LENGTHS:
        longer = stretch.until - length * times
        if all(parts(births, longer, stretch.until)):
            since = longer
            break
    first = births[min(bisect_right(births, since), len(births) - 1)]
    if first - since > (stretch.until - since) / PARTS and first < stretch.until:
        since = first  # it began in the middle of the stretch
    counts = parts(births, since, stretch.until)
    width = (stretch.until - since) / PARTS
    level = mean(counts)
    return Pace(level / width, sqrt(max(variance(counts), level) / PARTS) / width)


def sum_of(paces: Iterable[Pace]) -> Pace:
    """Return the pace of several places together."""
    found = list(paces)
    return Pace(
        sum(pace.per_s for pace in found), sqrt(sum(pace.error * pace.error for pace in found))
    )


def left_until(limit: float, counts: Counts, at: float, grown: Sequence[float], pace: Pace) -> Left:
    """Return when a count reaches its limit.

    Args:
        limit: The most that there may be.
        counts: The count, growth included.
        at: Now.
        grown: When each of the survivors was made that are the growth, the oldest first.
        pace: How fast they come.
    """
    rest = [
        (when, low - bisect_left(grown, when), high - bisect_right(grown, when))
        for when, low, high in counts.minutes(at - _DAY)
    ]
    lately = [each for each in rest if each[0] >= at - _LATELY] or rest[-1:]
    crests = sorted(high for _, _, high in lately)
    room = limit - len(grown)
    crest = crests[min(int(_CREST * len(crests)), len(crests) - 1)]
    highest = max(high for _, _, high in rest)
    lowest = mean(low for _, low, _ in lately)
    about = max(0.0, room - crest) / pace.per_s if pace.per_s else inf
    soon = max(0.0, room - highest) / pace.high if pace.high else inf
    late = max(0.0, room - lowest) / pace.low if pace.low else inf
    # A count is as of a moment near a birth, before it or after it: one more or less, where few are left.
    return Left(about, min(soon, about), max(late, about))
