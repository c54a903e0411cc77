"""How often work may start, and how much of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from holdfast._core import check

__all__ = ("Rate", "RateGate")

Weigh = Callable[..., float]
"""Called with a call's arguments; returns how much of the rate it takes."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` starts per ``per`` seconds, evenly spread; or so many tokens, bytes, dollars.

    In any window of ``per`` seconds (its end not included) at most ``count + burst - 1`` calls
    start. After a pause up to ``burst`` of them may start at once; the pause is not saved up beyond
    that, so the rate never doubles at a boundary.

    With ``weigh`` each call takes as much of the rate as it weighs, and starts when that much is free;
    one that weighs more than ``burst`` starts when all of it is, and what follows waits until that is
    paid back. Nobody overtakes, so a heavy call is not starved by light ones.

    Args:
        count: Starts (or weight) per period, at least 1.
        per: Length of the period in seconds, more than 0.
        burst: Starts (or weight) that may come at once, at least 1; default one second's worth.
        weigh: Called with a call's arguments before it has a place in line; returns what it weighs, 0
            or more, such as the tokens of a prompt. None: every call weighs 1.

    Source:
        The generic cell rate algorithm (ITU-T I.371, annex A), virtual scheduling form.

    Example:
        >>> gate = Rate(60, per=60).gate()
        >>> gate.take(now=0.0), gate.take(now=0.0)
        (0.0, 1.0)
        >>> tokens = Rate(60_000, per=60, weigh=len).gate()
        >>> tokens.take(now=0.0, weight=3_000), tokens.take(now=0.0)
        (0.0, 2.001)
    """

    count: int
    per: float = 1.0
    burst: int | None = None
    weigh: Weigh | None = None

    def __post_init__(self) -> None:
        check.count("count", self.count, least=1)
        if not (math.isfinite(self.per) and self.per > 0):
            msg = f"per must be more than 0 seconds, not {self.per!r}"
            raise ValueError(msg)
        if self.burst is not None:
            check.count("burst", self.burst, least=1)
        if self.weigh is not None:
            check.callable_("weigh", self.weigh)

    @property
    def interval(self) -> float:
        """Seconds from one start to the next at full rate."""
        return self.per / self.count

    def gate(self) -> "RateGate":
        """Return a fresh counter for this rate."""
        burst = self.burst if self.burst is not None else max(1, int(self.count / self.per))
        return RateGate(self.interval, (burst - 1) * self.interval)


class RateGate:
    """The counter of one rate. Not safe from several threads: its owner holds a lock.

    Args:
        interval: Seconds from one start to the next at full rate.
        slack: Seconds by which starts may come early, after a pause.
    """

    __slots__ = ("_interval", "_paused_until", "_slack", "_theoretical")

    def __init__(self, interval: float, slack: float) -> None:
        self._interval = interval
        self._slack = slack
        self._theoretical = -math.inf
        self._paused_until = -math.inf

    def wait(self, now: float, weight: float = 1.0) -> float:
        """Seconds until a start of this weight is allowed, 0.0 if it is allowed at ``now``.

        Args:
            now: Seconds on a clock that never goes back.
            weight: How much of the rate the start takes.
        """
        early = self._slack
        if weight != 1.0:  # what weighs more than all that may come at once waits for all of it
            early -= min((weight - 1.0) * self._interval, self._slack)
        return max(0.0, self._theoretical - early - now, self._paused_until - now)

    def take(self, now: float, weight: float = 1.0) -> float:
        """Take one start and return 0.0, or take none and return the seconds to wait.

        Args:
            now: Seconds on a clock that never goes back.
            weight: How much of the rate the start takes.
        """
        wait = self.wait(now, weight)
        if wait == 0.0:
            self.charge(now, weight)
        return wait

    def charge(self, now: float, weight: float) -> None:
        """Take so much of the rate without asking: what follows waits until it is paid back.

        Args:
            now: Seconds on a clock that never goes back.
            weight: How much; below 0 gives back.
        """
        self._theoretical = max(self._theoretical, now) + weight * self._interval

    def pause(self, until: float) -> None:
        """Allow no start before ``until``; an earlier pause that lasts longer stands."""
        self._paused_until = max(self._paused_until, until)

    def learn(
        self,
        now: float,
        *,
        interval: float | None = None,
        remaining: float | None = None,
        reset_s: float | None = None,
    ) -> None:
        """Keep to what the service says of its own counter, where that is tighter than this one.

        Args:
            now: Seconds on a clock that never goes back.
            interval: Seconds from one start to the next at the service's full rate; a longer one than
                this rate's takes its place.
            remaining: Starts that the service still allows now; with none, the next is when it is reset.
            reset_s: Seconds until the service allows all of its rate again.
        """
        if interval is not None and interval > self._interval:
            self._slack *= interval / self._interval
            self._interval = interval
        if remaining is None:
            return
        if remaining < 1.0:
            if reset_s is not None:
                self.pause(now + reset_s)
            return
        # So many starts may come early by the slack; with fewer left than that, the next come later.
        owed = now + self._slack - (remaining - 1.0) * self._interval
        self._theoretical = max(self._theoretical, owed)
