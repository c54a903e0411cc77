"""Leak or noise, and the time that is left: samples in, a verdict out."""

from bisect import bisect_left
from collections.abc import Hashable, Iterable
from math import inf
from typing import Final

from holdfast.watch._ages import Ages, Living
from holdfast.watch._alarms import Alarm, Alarms, strongest
from holdfast.watch._counts import Counts
from holdfast.watch._floors import rise_of
from holdfast.watch._forecast import Pace, left_until, pace_of, sum_of
from holdfast.watch.verdict import Growth, Verdict

__all__ = ("Growth", "Living", "Trend", "Verdict")

_LOOK_EVERY: Final = 10.0
_LOOK_AT_FLOORS_EVERY: Final = 60.0
_HELD: Final = 1800.0
_BEFORE: Final = 300.0
"""Higher than ever: than all that was until so many seconds ago."""


class Trend:
    """Says of one series whether it leaks, and when the limit is reached.

    What it goes by is not the slope of a count, which rises in every wave and after every start, but
    the age of what lives, for each place of creation: :mod:`holdfast.watch._survivors` has the rule.
    Where the ages are not known (memory), it goes by the floors of the count, and calls it weak.

    Nothing is read here, neither a clock nor the system, and nothing is started. Not for several
    threads at once. Memory is that of what lives, and a day of minutes.

    Args:
        name: What is counted, in the plural: ``"descriptors"``.
        limit: The most that there may be, more than 0; None for no bound. Can be set later, too.
        ages: Whether :meth:`see` or :meth:`change` will tell what lives. Without, only counts are
            gone by.

    Example:
        >>> trend = Trend("descriptors", limit=1024)
        >>> for minute in range(6 * 60):
        ...     leaked = [Living(n, "app.py:10 fetch") for n in range(max(0, minute - 240))]
        ...     trend.see(minute * 60.0, [*leaked, Living("log", "app.py:2 main")])
        ...     trend.add(minute * 60.0, len(leaked) + 1)
        >>> trend.verdict.evidence
        'strong'
        >>> str(trend.verdict).split("; ")[1]
        'the limit of 1,024 is reached in about 15 hours (12 to 19)'
    """

    def __init__(self, name: str, *, limit: float | None = None, ages: bool = True) -> None:
        self.name = name
        self.limit = limit
        self._ages = Ages() if ages else None
        self._counts = Counts()
        self._alarms: Alarms | None = None
        self._looked = self._risen = -inf
        self._verdict = Verdict(name=name, at=0.0, value=0.0, limit=limit)

    # ------------------------------------------------------------ samples in

    def add(self, at: float, value: float) -> None:
        """Take in a count.

        Args:
            at: When, in seconds on any clock that does not go back.
            value: How many there were.
        """
        self._counts.add(at, value)
        if at - self._looked >= (_LOOK_AT_FLOORS_EVERY if self._ages is None else _LOOK_EVERY):
            self._looked = at
            self._verdict = self._look(at) or Verdict(
                name=self.name, at=at, value=value, limit=self.limit
            )

    def see(self, at: float, living: Iterable[Living]) -> None:
        """Take in all that lives at one moment. What was there last time and is no more was closed.

        The rarer this is, the later a leak is found; what comes and goes in between is not seen, and
        need not be.

        Args:
            at: When, on the same clock as that of :meth:`add`.
            living: What there is.

        Raises:
            ValueError: This trend was made without ages.
        """
        self._known().see(at, living)

    def change(
        self, at: float, living: Iterable[Living] = (), closed: Iterable[Hashable] = ()
    ) -> None:
        """Take in what has come and gone, for who learns of every opening and closing.

        Args:
            at: When, on the same clock as that of :meth:`add`.
            living: What is new, or has another state.
            closed: The identities of what was closed.

        Raises:
            ValueError: This trend was made without ages.
        """
        self._known().change(at, living, closed)

    # ------------------------------------------------------------ a verdict out

    @property
    def verdict(self) -> Verdict:
        """What the samples so far say."""
        return self._verdict

    @property
    def suspects(self) -> bool:
        """Whether something looks like growth, told or not yet: worth a closer look."""
        return bool(self._alarms)

    def _known(self) -> Ages:
        if self._ages is None:
            msg = f"the trend of {self.name} was made with ages=False: it takes counts alone"
            raise ValueError(msg)
        return self._ages

    def _look(self, at: float) -> Verdict | None:
        left = inf if self.limit is None else max(0.0, self.limit - self._counts.last)
        if self._ages is None:
            return self._say_of_floors(at, left)
        if self._alarms is None:
            self._alarms = Alarms(at)
        self._alarms.look(self._ages, at, left, lambda: self._is_higher_than_ever(at))
        told = self._alarms.told
        return self._say(self._ages, told, at) if told else None

    def _is_higher_than_ever(self, at: float) -> bool:
        return self._counts.last > self._counts.highest(at - _BEFORE)

    def _say_of_floors(self, at: float, left: float) -> Verdict | None:
        rise, before = rise_of(self._counts, at, left), self._verdict
        if rise is None:
            return before if at - self._risen < _HELD else None
        self._risen = at
        return Verdict(
            name=self.name,
            at=at,
            value=self._counts.last,
            limit=self.limit,
            evidence="weak",
            since=before.since if before.growing else at,
            per_minute=rise.per_s * 60.0,
            per_minute_low=rise.low * 60.0,
            per_minute_high=rise.high * 60.0,
            left_s=_finite(left / rise.per_s),
            left_low_s=_finite(left / rise.high),
            left_high_s=_finite(left / rise.low) if rise.low > 0.0 else None,
        )

    def _say(self, ages: Ages, told: list[Alarm], at: float) -> Verdict:
        paces = [_pace(alarm) for alarm in told]
        whole = sum_of(paces)
        grown = sorted(birth for alarm in told for birth in _grown(alarm))
        left = None
        if self.limit is not None:
            left = left_until(self.limit, self._counts, at, grown, whole)
        parts = [_part(ages, *each, whole) for each in zip(told, paces, strict=True)]
        return Verdict(
            name=self.name,
            at=at,
            value=self._counts.last,
            limit=self.limit,
            evidence=strongest(told),
            since=min(alarm.since for alarm in told),
            per_minute=whole.per_s * 60.0,
            per_minute_low=whole.low * 60.0,
            per_minute_high=whole.high * 60.0,
            left_s=None if left is None else _finite(left.about),
            left_low_s=None if left is None else _finite(left.soon),
            left_high_s=None if left is None else _finite(left.late),
            growth=tuple(sorted(parts, key=lambda part: -part.per_minute)),
        )


def _times(alarm: Alarm) -> list[float]:
    return alarm.place.half_closed if alarm.stretch.half_closed else alarm.place.births


def _grown(alarm: Alarm) -> list[float]:
    times = _times(alarm)
    return times[bisect_left(times, alarm.stretch.since) :]


def _pace(alarm: Alarm) -> Pace:
    return pace_of(_times(alarm), alarm.stretch)


def _part(ages: Ages, alarm: Alarm, pace: Pace, whole: Pace) -> Growth:
    stretch = alarm.stretch
    states = ages.states(alarm.place.name, stretch.since, stretch.until)
    state, most = max(states.items(), key=lambda each: each[1], default=("", 0))
    in_state = most / max(1, sum(states.values()))
    return Growth(
        place=alarm.place.name,
        state=state,
        per_minute=pace.per_s * 60.0,
        share=in_state * pace.per_s / whole.per_s if whole.per_s else 0.0,
        survivors=stretch.born,
        evidence=alarm.evidence,
    )


def _finite(seconds: float) -> float | None:
    return seconds if seconds < inf else None
