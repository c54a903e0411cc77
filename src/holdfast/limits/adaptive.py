"""A limit that follows how the calls go: what a user sets, and the counter of one pool."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from holdfast._core import check
from holdfast.errors import QueueFull, QueueTimeout, RateLimited, UnderPressure
from holdfast.limits.call_window import CallGauge, CallWindow
from holdfast.limits.gradient import Gradient

__all__ = ("Adaptive", "AdaptiveLimit", "Law", "LawState", "LimitChange", "is_overload")

_OVERLOAD_STATUS = frozenset({408, 429, 503, 504, 529})
"""HTTP answers by which a server says that it has too much to do."""


class LawState(Protocol):
    """Where a law is; frozen, so that a step is a pure function."""

    @property
    def limit(self) -> float:
        """The limit, not rounded."""
        ...

    @property
    def alarm_s(self) -> float:
        """Seconds that no call should take; infinite where the law does not go by them."""
        ...


class Law(Protocol):
    """How a limit follows from what the calls of a window show."""

    def start(self, limit: int) -> Any:
        """Return the state before any window."""
        ...

    def step(self, state: Any, window: CallWindow) -> Any:
        """Return the state after ``window``."""
        ...


def is_overload(error: BaseException) -> bool:
    """Whether ``error`` says that whoever was called has too much to do.

    A timeout, a refusal by a pool, or an error that carries one of the HTTP statuses 408, 429, 503, 504
    and 529 as ``status_code``, ``status`` or ``code``, itself or on its ``response``.
    """
    if isinstance(error, (TimeoutError, QueueFull, QueueTimeout, RateLimited, UnderPressure)):
        return True
    for said in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            status = getattr(said, name, None)
            if isinstance(status, int) and status in _OVERLOAD_STATUS:
                return True
    return "PoolTimeout" in type(error).__name__


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptive:
    """A limit that is found while the calls run, instead of guessed.

    Calls are looked at in windows, each under one limit. After a window the law says what the next limit
    is. With the default, :class:`~holdfast.limits.gradient.Gradient`, that is about what the server works
    on without queueing.

    Args:
        law: How the limit follows: :class:`~holdfast.limits.gradient.Gradient` from running times,
            :class:`~holdfast.limits.aimd.Aimd` from refusals,
            :class:`~holdfast.limits.queue_delay.QueueDelay` from the process's own lateness, or
            anything else that follows :class:`Law`.
        initial: The limit to begin with, at least 1.
        min_limit: The floor, at least 1.
        max_limit: The most that it may ever be.
        window_calls: Calls that make a window, at least 1.
        window_s: Seconds that a window lasts at least; it ends after a hundred times that with whatever
            it has.
        percentile: Which percentile of the running times stands for a window, 0 to 100. None is their mean,
            in which no call counts for more than three medians: it shows a queue in which few wait, and is
            steady where single calls take many times longer.
        overload: Whether an error that a call raised is a sign of overload; others don't count at all.

    Example:
        >>> limit = Adaptive(max_limit=50).counter(now=0.0)
        >>> limit.limit
        4
    """

    law: Law = field(default_factory=Gradient)
    initial: int = 4
    min_limit: int = 1
    max_limit: int = 200
    window_calls: int = 30
    window_s: float = 0.1
    percentile: float | None = None
    overload: Callable[[BaseException], bool] = is_overload

    def __post_init__(self) -> None:
        check.count("min_limit", self.min_limit, least=1)
        check.count("initial", self.initial, least=1)
        check.count("max_limit", self.max_limit, least=1)
        check.count("window_calls", self.window_calls, least=1)
        check.seconds("window_s", self.window_s)
        check.callable_("overload", self.overload)
        if not self.min_limit <= self.initial <= self.max_limit:
            msg = (
                f"min_limit <= initial <= max_limit must hold, not "
                f"{self.min_limit} <= {self.initial} <= {self.max_limit}"
            )
            raise ValueError(msg)
        if self.percentile is not None and not 0 <= self.percentile <= 100:  # noqa: PLR2004 - per cent
            msg = f"percentile must be from 0 to 100, or None, not {self.percentile!r}"
            raise ValueError(msg)

    def counter(self, now: float) -> "AdaptiveLimit":
        """Return a fresh counter of this limit, that of one pool.

        Args:
            now: Seconds on a clock that never goes back.
        """
        return AdaptiveLimit(self, now)


@dataclass(frozen=True, slots=True)
class LimitChange:
    """One change of a limit, with what it was made for.

    Attributes:
        at: When, in seconds on the pool's clock.
        before: The limit until then.
        after: The limit from then on.
        window: What the calls showed.
    """

    at: float
    before: int
    after: int
    window: CallWindow


class AdaptiveLimit:
    """The counter of one adaptive limit. Not safe from several threads: its owner holds a lock."""

    __slots__ = ("_gauge", "_options", "_state", "limit")

    def __init__(self, options: Adaptive, now: float) -> None:
        self._options = options
        self.limit = options.initial
        self._state: Any = options.law.start(self.limit)
        self._gauge = CallGauge(
            self.limit,
            now,
            least_calls=options.window_calls,
            least_s=options.window_s,
            most_s=100.0 * options.window_s,
            percentile=options.percentile,
        )

    def begin(self, in_flight: int, delay_s: float | None = None) -> None:
        """Note that a call begins, as one of ``in_flight``, ``delay_s`` after it had its permit."""
        self._gauge.begin(in_flight, delay_s)

    def end(self, began: float, now: float, *, overload: bool) -> LimitChange | None:
        """Note that a call has ended; returns the change of the limit that follows from it, or None."""
        window = self._gauge.end(began, now, overload=overload)
        if window is None:
            return None
        before = self.limit
        self._state = self._bounded(self._options.law.step(self._state, window))
        self.limit = max(1, round(self._state.limit))
        self._gauge.open(self.limit, now, self._state.alarm_s)
        return LimitChange(now, before, self.limit, window) if self.limit != before else None

    def _bounded(self, state: Any) -> Any:
        limit = min(max(state.limit, self._options.min_limit), self._options.max_limit)
        if not math.isfinite(limit):
            msg = (
                f"the law {self._options.law!r} made the limit {state.limit!r}, which is no number"
            )
            raise ValueError(msg)
        return state if limit == state.limit else replace(state, limit=limit)
