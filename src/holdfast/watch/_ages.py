"""What lives, since when, and where it was made: the ages behind a trend.

Purpose: for each place of creation the birth times of all that lives, and how many were closed after
they had reached an age. Numbers in, numbers out; no clock, no thread.

Guarantees: memory is that of what lives, and of at most :data:`MOST_PLACES` places. What was closed
is remembered as one fading count for each age, so that a place that closes its old ones is known
for it, without a record of each.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Hashable, Iterable
from typing import Final, NamedTuple

__all__ = ("AGES", "HALF_CLOSED", "MOST_PLACES", "Ages", "Living", "Place")

AGES: Final = (60.0, 150.0, 600.0, 1200.0, 2400.0, 4800.0, 9600.0, 19200.0)
"""Ages in seconds at which something counts as a survivor; a slow place is judged by a later one."""

HALF_CLOSED: Final = "CLOSE_WAIT"
"""The peer has closed, this program has not: the state of a response that nobody closes."""

MOST_PLACES: Final = 512
_ELSEWHERE: Final = "other places"
_HALF_LIFE: Final = 12 * 3600.0


class Living(NamedTuple):
    """One thing that lives: a descriptor, a thread.

    Attributes:
        identity: What tells it from all others, also from a later one with the same number.
        place: Where it was made, or what it is for, in words for a person.
        state: Its state, if it has one, such as ``"CLOSE_WAIT"``.
        born: When it was made, on the clock of the samples; None: when it was first seen.
    """

    identity: Hashable
    place: str
    state: str = ""
    born: float | None = None


class _Life:
    __slots__ = ("born", "counted", "half_closed", "place", "state")

    def __init__(self, place: "Place", born: float, *, counted: bool) -> None:
        self.place = place
        self.born = born
        self.counted = counted  # whether its birth is known
        self.state = ""
        self.half_closed: float | None = None  # since when


class Place:
    """What was made at one place.

    Attributes:
        name: The place.
        births: When each of those that live was made, the oldest first.
        half_closed: Since when each of those in ``CLOSE_WAIT`` has been, the longest first.
    """

    __slots__ = ("_closed", "_closed_at", "births", "half_closed", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.births: list[float] = []
        self.half_closed: list[float] = []
        self._closed = [0.0] * len(AGES)
        self._closed_at = 0.0

    def older_than(self, age: float, at: float) -> int:
        """How many live that were made ``age`` seconds before ``at``, or earlier."""
        return bisect_right(self.births, at - age)

    def closed(self, nth_age: int, at: float) -> float:
        """How many were closed after they had reached that age; half of what it was in 12 hours."""
        return self._closed[nth_age] * self._faded(at)

    def close(self, born: float, at: float) -> None:
        """Count one that was closed."""
        reached = bisect_right(AGES, at - born)
        if reached:
            faded = self._faded(at)
            self._closed = [count * faded for count in self._closed]
            self._closed_at = at
            for nth in range(reached):
                self._closed[nth] += 1.0

    def _faded(self, at: float) -> float:
        return math.exp2(-max(0.0, at - self._closed_at) / _HALF_LIFE)


class Ages:
    """All that lives, by identity and by place."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self._lives: dict[Hashable, _Life] = {}
        self._begun = False
        self._seen_at: float | None = None

    def __len__(self) -> int:
        return len(self._lives)

    def see(self, at: float, living: Iterable[Living]) -> None:
        """Take in all that lives at one moment: what is not among them has been closed."""
        now = {each.identity: each for each in living}
        self._seen_at = at
        self.change(at, now.values(), [gone for gone in self._lives if gone not in now])

    def change(self, at: float, living: Iterable[Living], closed: Iterable[Hashable]) -> None:
        """Take in what is new or has another state, and the identities of what was closed.

        What is there the first time, and does not tell since when, is older than can be known: it
        counts among those that live, and its birth among no others.
        """
        for identity in closed:
            life = self._lives.pop(identity, None)
            if life is not None:
                self._set_state(life, "", at)
                if life.counted:
                    _drop(life.place.births, life.born)
                life.place.close(life.born, at)
        for each in living:
            life = self._lives.get(each.identity)
            if life is None:
                life = self._lives[each.identity] = self._begin(each, at)
            if life.state != each.state:
                self._set_state(life, each.state, at)
        self._begun = True

    def known_until(self, at: float) -> float:
        """Until when it is known what was made: the last look, or ``at`` if each making is told."""
        return at if self._seen_at is None else min(at, self._seen_at)

    def states(self, place: str, since: float, until: float) -> dict[str, int]:
        """How many of a place, made in that time, are in each state now."""
        found: dict[str, int] = {}
        for life in self._lives.values():
            if life.place.name == place and since <= life.born <= until:
                found[life.state] = found.get(life.state, 0) + 1
        return found

    def _begin(self, each: Living, at: float) -> _Life:
        counted = self._begun or each.born is not None
        life = _Life(
            self._place(each.place),
            at if each.born is None else min(each.born, at),
            counted=counted,
        )
        if counted:
            insort(life.place.births, life.born)
        return life

    @staticmethod
    def _set_state(life: _Life, state: str, at: float) -> None:
        life.state = state
        if state == HALF_CLOSED:
            life.half_closed = at
            insort(life.place.half_closed, at)
        elif life.half_closed is not None:
            _drop(life.place.half_closed, life.half_closed)
            life.half_closed = None

    def _place(self, name: str) -> Place:
        place = self.places.get(name)
        if place is None:
            if len(self.places) >= MOST_PLACES:
                self._forget_empty()
            if len(self.places) >= MOST_PLACES:
                name = _ELSEWHERE
            place = self.places.setdefault(name, Place(name))
        return place

    def _forget_empty(self) -> None:
        self.places = {name: place for name, place in self.places.items() if place.births}


def _drop(sorted_times: list[float], time: float) -> None:
    place = bisect_left(sorted_times, time)
    if place < len(sorted_times) and sorted_times[place] == time:
        del sorted_times[place]
