"""The rule by which survivors of one place are a leak and not noise.

Counts that rise cry wolf: they rise in every wave, and after every start. What was made at one place,
has grown old, and is joined by more of its kind at an even pace while none is closed, does not.

A place grows, by one age, if of what was made there and has lived for that long

- there are enough: a 24th of what is left below the limit, 24 at least and 120 at most, made in the
  last stretch of time that holds so many (ten minutes at least);
- they came spread over that stretch, not in a jump: in 8 of its 12 parts, at most 35 % in one;
- their pace does not fall off (Laplace's test), neither in that stretch nor in one of twice or four
  times its length: a warm-up slows down as it nears its end, a leak does not;
- the young ones keep coming, and with them it does not fall off either;
- hardly any is closed once it is so old: 5 % at most, over half a day.

Ages double, from ten minutes on. A place whose healthy ones live for an hour is judged by those that
have outlived them. Two younger ages are for growth that would reach the limit within the hour, and
then only while the count is higher than it has been.

Source of the test: Cox and Lewis, The Statistical Analysis of Series of Events (1966), section 3.3.
The parameters are held by simulation: ``python -m benchmarks.leaks``.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, sqrt
from typing import Final

from holdfast.watch._ages import AGES, Place

__all__ = ("PARTS", "Stretch", "growth_of", "half_closed_growth")

PARTS: Final = 12

_FEWEST: Final = 24
_MOST: Final = 120
_PART_OF_WHAT_IS_LEFT: Final = 24
_FEWEST_HALF_CLOSED: Final = 12
_HALF: Final = 0.5
_USED_FOR: Final = 600.0
"""A connection that is leaked was made at most so long before its peer closed it."""

_FILLED_PARTS: Final = 8
_FILLED_PARTS_HALF_CLOSED: Final = 4
_LARGEST_PART: Final = 0.35
_MOST_CLOSED: Final = 0.05
_STILL_COMING: Final = 0.4
_FALLING_OFF: Final = -1.5
_FALLING_OFF_AT: Final = {60.0: -3.0}
"""Of Laplace's test, in standard deviations. Where minutes count, chance may not hide a leak for long."""
_LENGTHS: Final = (1, 2, 4)

_SHORTEST: Final = {60.0: 120.0, 150.0: 240.0}
_SHORTEST_ELSE: Final = 600.0
_SHORTEST_HALF_CLOSED: Final = 240.0
_WITHIN: Final = {60.0: 1800.0, 150.0: 3600.0}
"""The younger ages count only if the limit is so near, in seconds."""

_RELEVANT: Final = 90 * 86400.0
"""Farther away, nothing is told: a leak of eight a minute below a limit of a million still is."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The growth of one place over the last stretch of time.

    Attributes:
        place: Where.
        since: When the stretch begins.
        until: When it ends: as long ago as the age.
        age: The age by which it was found, in seconds.
        born: How many were made in it and live.
        half_closed: Whether they are sockets that the peer has closed.
    """

    place: str
    since: float
    until: float
    age: float
    born: int
    half_closed: bool = False

    @property
    def per_s(self) -> float:
        """The pace, in things a second."""
        return self.born / (self.until - self.since)


def growth_of(
    place: Place, at: float, left: float, higher_than_ever: Callable[[], bool], *, strict: bool
) -> Stretch | None:
    """Return how a place grows, or None if it does not.

    Args:
        place: The place.
        at: The moment.
        left: How much may be added before the limit is reached; infinite without one.
        higher_than_ever: Whether the count is above all that came before; asked if it matters.
        strict: Whether the pace must not fall off at all: while the program is young.
    """
    if len(place.births) < _FEWEST:
        return None
    found: Stretch | None = None
    need = int(min(max(left / _PART_OF_WHAT_IS_LEFT, _FEWEST), _MOST))
    for nth, age in enumerate(AGES):
        old = place.older_than(age, at)
        if old < need:
            break
        stretch = _stretch(place, old, need, at, age)
        if stretch.born < _HALF * need:
            continue  # most of them came at the one moment with which the stretch begins
        if not _is_near(stretch, left) or _closes(place, nth, old, at):
            continue
        falling_off = 0.0 if strict else _FALLING_OFF_AT.get(age, _FALLING_OFF)
        if not _is_even(place.births, old, stretch, falling_off):
            continue
        if not _goes_on(place.births, old, stretch, at, falling_off):
            continue
        if age not in _WITHIN:
            return stretch
        if higher_than_ever():
            found = stretch  # an older age would be surer
    return found


def _is_near(stretch: Stretch, left: float) -> bool:
    """Whether the limit is near enough to be told of; for the younger ages there has to be one."""
    within = _WITHIN.get(stretch.age)
    if within is None and left == inf:
        return True
    return left / stretch.per_s <= (_RELEVANT if within is None else within)


def _closes(place: Place, nth: int, old: int, at: float) -> bool:
    """Whether the place is known to close what has reached that age."""
    closed = place.closed(nth, at)
    return closed > _MOST_CLOSED * (old + closed)


def half_closed_growth(place: Place, at: float) -> Stretch | None:
    """Return how the sockets of a place grow that their peer closed more than a minute ago.

    A dozen at least, closed at four different moments, and as many new ones made meanwhile: an idle
    client, whose peer closes one connection after the other, notices when it uses them next.
    """
    times, age = place.half_closed, AGES[0]
    old = bisect_right(times, at - age)
    if old < _FEWEST_HALF_CLOSED:
        return None
    first = times[old - _FEWEST_HALF_CLOSED]
    since = min(first - 1.0, at - age - _SHORTEST_HALF_CLOSED)  # with the first in it
    born = old - bisect_right(times, since)
    counts = parts(times, since, at - age)
    filled = sum(count > 0 for count in counts)
    if filled < _FILLED_PARTS_HALF_CLOSED or max(counts) > _HALF * born:
        return None
    made = len(place.births) - bisect_left(place.births, since - _USED_FOR)
    if made < _HALF * born:
        return None
    return Stretch(place.name, since, at - age, age, born, half_closed=True)


def parts(births: Sequence[float], since: float, until: float) -> list[int]:
    """How many were made in each twelfth of the time after ``since`` and up to ``until``."""
    width = (until - since) / PARTS
    edges = [bisect_right(births, since + width * part) for part in range(PARTS)]
    edges.append(bisect_right(births, until))
    return [after - before for before, after in pairwise(edges)]


def _stretch(place: Place, old: int, need: int, at: float, age: float) -> Stretch:
    until, births = at - age, place.births
    since = min(births[old - need], until - _SHORTEST.get(age, _SHORTEST_ELSE))
    born = old - bisect_right(births, since)
    return Stretch(place.name, since, until, age, born)


def _is_even(births: Sequence[float], old: int, stretch: Stretch, falling_off: float) -> bool:
    counts = parts(births, stretch.since, stretch.until)
    if sum(count > 0 for count in counts) < _FILLED_PARTS:
        return False
    if max(counts) > _LARGEST_PART * stretch.born:
        return False
    length = stretch.until - stretch.since
    return all(
        laplace(births[bisect_left(births, stretch.until - length * times) : old], stretch.until)
        >= falling_off
        for times in _LENGTHS
    )


def _goes_on(
    births: Sequence[float], old: int, stretch: Stretch, at: float, falling_off: float
) -> bool:
    """Those made since are young; healthy ones among them can only make this too kind."""
    if len(births) - old < _STILL_COMING * stretch.per_s * stretch.age:
        return False
    since = stretch.until - (stretch.until - stretch.since) * _LENGTHS[-1]
    return laplace(births[bisect_left(births, since) :], at) >= falling_off


def laplace(births: Sequence[float], until: float) -> float:
    """Laplace's test: about 0 for an even pace, 1 for each standard deviation that it rises."""
    if len(births) <= 1 or until <= births[0]:
        return 0.0
    since, others = births[0], births[1:]
    whole = until - since
    mean = sum(others) / len(others) - since
    return (mean / whole - 0.5) * sqrt(12 * len(others))
