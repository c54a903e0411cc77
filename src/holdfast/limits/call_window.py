"""What some calls in a row show of the server behind them: the input of every adaptive limit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ("CallGauge", "CallWindow")

_MOST_KEPT: Final = 1024
"""Durations of one window that are kept; of more, the first stand for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallWindow:
    """The calls that ended within one window, all of them begun under the limit of that window.

    Attributes:
        limit: The limit that was in force.
        most_in_flight: Most calls in flight at once.
        calls: Calls that ended well.
        overloads: Calls that ended with a sign of overload: a 429 or 503, a timeout, a full pool.
        ran_s: A percentile of the running times of those that ended well, in seconds; None without any.
        delay_s: The mean time from a permit to the first step of the call, in seconds: how far this
            process is behind with its own work; None where nobody measured it.
    """

    limit: int
    most_in_flight: int
    calls: int
    overloads: int
    ran_s: float | None
    delay_s: float | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the limit was what held the calls back; otherwise the program had no more to do."""
        return self.most_in_flight * 2 > self.limit


class CallGauge:
    """Collects calls until they are a window. Not safe from several threads: its owner holds a lock.

    A call that began before the window did is not counted: it ran under another limit. A window ends
    early, with a quarter of its calls, when all of the last ones were slower than ``alarm_s``: a server
    that has lost its capacity is met with the next few calls, and not with the next window.

    Args:
        limit: The limit in force.
        now: When the first window begins, in seconds on a clock that never goes back.
        least_calls: Calls that make a window, at least 1.
        least_s: Seconds that a window lasts at least.
        most_s: Seconds after which a window is one although it has fewer calls.
        percentile: Which percentile of the running times stands for the window, 0 to 100.
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
        "_ran",
        "_slow",
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
        percentile: float,
    ) -> None:
        self._least_calls = least_calls
        self._least_s = least_s
        self._most_s = most_s
        self._percentile = percentile
        self.open(limit, now)

    def open(self, limit: int, now: float, alarm_s: float = math.inf) -> None:
        """Begin a window under ``limit``, in which calls of more than ``alarm_s`` seconds are alarming."""
        self._limit = limit
        self._alarm_s = alarm_s
        self._slow = 0
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
        if began < self._begun:
            return None
        if overload:
            self._overloads += 1
        else:
            self._well += 1
            ran = now - began
            if len(self._ran) < _MOST_KEPT:
                self._ran.append(ran)
            self._slow = self._slow + 1 if ran > self._alarm_s else 0
        lasted = now - self._begun
        enough = self._well + self._overloads >= self._least_calls and lasted >= self._least_s
        alarmed = self._slow * 4 >= self._least_calls
        return self._window() if enough or alarmed or lasted >= self._most_s else None

    def _window(self) -> CallWindow:
        return CallWindow(
            limit=self._limit,
            most_in_flight=self._most_in_flight,
            calls=self._well,
            overloads=self._overloads,
            ran_s=percentile_of(self._ran, self._percentile) if self._ran else None,
            delay_s=self._delay_s / self._delays if self._delays else None,
        )


def percentile_of(values: Sequence[float], percentile: float) -> float:
    """Return the value below which so many per cent of ``values`` lie; the nearest rank, exact."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percentile / 100.0))]
