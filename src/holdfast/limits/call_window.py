"""What some calls in a row show of the server behind them: the input of every adaptive limit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ("CallGauge", "CallWindow")

_MOST_KEPT: Final = 1024
"""Durations of one window that are kept; of more, the first stand for all."""

_MOST_MEDIANS: Final = 3.0
"""No call counts for more than this many medians in the mean of a window."""

_DEEP: Final = 0.75
"""A limit that slow calls cut to less than this share is a new one: what began before is expected to be slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallWindow:
    """The calls that ended within one window, all of them begun under the limit of that window.

    Attributes:
        limit: The limit that was in force.
        most_in_flight: Most calls in flight at once.
        calls: Calls that ended well.
        overloads: Calls that ended with a sign of overload: a 429 or 503, a timeout, a full pool.
        ran_s: How long those that ended well took, in seconds (:func:`mean_of`, or a percentile); None
            without any.
        noise_s: The standard error of that: what chance alone makes of it.
        alarm_per_s: In a window that was ended by slow calls: how many of them ended a second. None in any
            other.
        delay_s: The mean time from a permit to the first step of the call, in seconds: how far this
            process is behind with its own work; None where nobody measured it.
    """

    limit: int
    most_in_flight: int
    calls: int
    overloads: int
    ran_s: float | None
    noise_s: float = 0.0
    alarm_per_s: float | None = None
    delay_s: float | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the limit was what held the calls back; otherwise the program had no more to do."""
        return self.most_in_flight * 2 > self.limit

    @property
    def per_s(self) -> float:
        """Calls a second that end, by Little's law."""
        return min(self.limit, self.most_in_flight) / self.ran_s if self.ran_s else 0.0

    @property
    def scatter(self) -> float:
        """By which share of their mean running times scatter, 1 at most."""
        return min(1.0, self.noise_s * math.sqrt(self.calls) / self.ran_s) if self.ran_s else 0.0


class CallGauge:
    """Collects calls until they are a window. Not safe from several threads: its owner holds a lock.

    A call that began before the window did is not counted: it ran under another limit. A window ends
    early when a quarter of its calls, all of the last ones, were slower than ``alarm_s``: a server that has
    lost its capacity is met with the next few calls, and not with the next window. So these may have begun
    before the window; but not before slow calls last made the limit fall deeply, as they would be slow for
    what is past. After such an end there is none for ``alarm_s``: what a pause has held up ends all at once,
    but for some that had stood behind the others at the server.

    Args:
        limit: The limit in force.
        now: When the first window begins, in seconds on a clock that never goes back.
        least_calls: Calls that make a window, at least 1.
        least_s: Seconds that a window lasts at least.
        most_s: Seconds after which a window is one although it has fewer calls.
        percentile: Which percentile of the running times stands for the window, 0 to 100; None is their
            mean, as in :func:`mean_of`.
    """

    __slots__ = (
        "_alarm_s",
        "_begun",
        "_delay_s",
        "_delays",
        "_least_calls",
        "_least_s",
        "_limit",
        "_most_in_flight",
        "_most_s",
        "_overloads",
        "_percentile",
        "_quiet_until",
        "_ran",
        "_settled",
        "_slow",
        "_slow_since",
        "_well",
    )

    def __init__(
        self,
        limit: int,
        now: float,
        *,
        least_calls: int,
        least_s: float,
        most_s: float,
        percentile: float | None,
    ) -> None:
        self._least_calls = least_calls
        self._least_s = least_s
        self._most_s = most_s
        self._percentile = percentile
        self._limit = limit
        self._settled = now  # a call that began earlier alarms nobody
        self._quiet_until = now  # until then no call alarms anybody
        self.open(limit, now)

    def open(self, limit: int, now: float, alarm_s: float = math.inf) -> None:
        """Begin a window under ``limit``, in which calls of more than ``alarm_s`` seconds are alarming."""
        if limit < _DEEP * self._limit and now < self._quiet_until:
            self._settled = now
        self._limit = limit
        self._alarm_s = alarm_s
        self._slow: list[float] = []  # the last ones in a row
        self._slow_since = now  # when the first of them ended
        self._begun = now
        self._ran: list[float] = []
        self._well = self._overloads = self._delays = self._most_in_flight = 0
        self._delay_s = 0.0

    def begin(self, in_flight: int, delay_s: float | None = None) -> None:
        """Note that a call begins, as one of ``in_flight``, after a delay where that was measured."""
        if in_flight > self._most_in_flight:
            self._most_in_flight = in_flight
        if delay_s is not None:
            self._delays += 1
            self._delay_s += delay_s

    def end(self, began: float, now: float, *, overload: bool) -> CallWindow | None:
        """Note that a call has ended; returns the window that it completes, or None."""
        ran = now - began
        looked_at = (ran > self._alarm_s or self._slow) and not overload
        if looked_at and self._may_alarm(began, now) and self._alarms(ran, now):
            return self._alarm(now)
        if began < self._begun:
            return None
        if overload:
            self._overloads += 1
        else:
            self._well += 1
            if len(self._ran) < _MOST_KEPT:
                self._ran.append(ran)
        lasted = now - self._begun
        enough = self._well + self._overloads >= self._least_calls and lasted >= self._least_s
        return self._window(self._ran) if enough or lasted >= self._most_s else None

    def _may_alarm(self, began: float, now: float) -> bool:
        return began >= self._settled and now >= self._quiet_until

    def _alarms(self, ran: float, now: float) -> bool:
        """Whether this is one slow call too many in a row."""
        if ran <= self._alarm_s:
            self._slow = []
            return False
        if not self._slow:
            self._slow_since = now
        self._slow.append(ran)
        return len(self._slow) * 4 >= self._least_calls

    def _alarm(self, now: float) -> CallWindow:
        self._quiet_until = now + self._alarm_s
        self._well = len(self._slow)
        took = now - self._slow_since
        return self._window(self._slow, (self._well - 1) / took if took > 0.0 else math.inf)

    def _window(self, ran: Sequence[float], alarm_per_s: float | None = None) -> CallWindow:
        ran_s, noise_s = (None, 0.0) if not ran else mean_of(ran)
        if ran and self._percentile is not None:
            ran_s = percentile_of(ran, self._percentile)
        return CallWindow(
            limit=self._limit,
            most_in_flight=self._most_in_flight,
            calls=self._well,
            overloads=self._overloads,
            ran_s=ran_s,
            noise_s=noise_s,
            alarm_per_s=alarm_per_s,
            delay_s=self._delay_s / self._delays if self._delays else None,
        )


def mean_of(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of ``values``, none counted for more than three medians, and its standard error.

    By Little's law it is the mean by which one in ten that queues shows; the median shows nothing until half
    of all do. What is cut off are single calls that take many times longer.
    """
    most = _MOST_MEDIANS * percentile_of(values, 50.0)
    count = len(values)
    mean = math.fsum(min(value, most) for value in values) / count
    if count < 2:  # noqa: PLR2004 - of one nothing is known
        return mean, 0.0
    squares = math.fsum((min(value, most) - mean) ** 2 for value in values)
    return mean, math.sqrt(squares / (count - 1) / count)


def percentile_of(values: Sequence[float], percentile: float) -> float:
    """Return the value below which so many per cent of ``values`` lie; the nearest rank, exact."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percentile / 100.0))]
