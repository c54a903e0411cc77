"""How often work may start."""

import math
from dataclasses import dataclass

from holdfast._core import check

__all__ = ("Rate", "RateGate")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` starts per ``per`` seconds, evenly spread.

    In any window of ``per`` seconds (its end not included) at most ``count + burst - 1`` calls
    start. After a pause up to ``burst`` of them may start at once; the pause is not saved up beyond
    that, so the rate never doubles at a boundary.

    Args:
        count: Starts per period, at least 1.
        per: Length of the period in seconds, more than 0.
        burst: Starts that may come at once, at least 1; default one second's worth.

    Source:
        The generic cell rate algorithm (ITU-T I.371, annex A), virtual scheduling form.

    Example:
        >>> gate = Rate(60, per=60).gate()
        >>> gate.take(now=0.0), gate.take(now=0.0)
        (0.0, 1.0)
    """

    count: int
    per: float = 1.0
    burst: int | None = None

    def __post_init__(self) -> None:
        check.count("count", self.count, least=1)
        if not (math.isfinite(self.per) and self.per > 0):
            msg = f"per must be more than 0 seconds, not {self.per!r}"
            raise ValueError(msg)
        if self.burst is not None:
            check.count("burst", self.burst, least=1)

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

    __slots__ = ("_interval", "_slack", "_theoretical")

    def __init__(self, interval: float, slack: float) -> None:
        self._interval = interval
        self._slack = slack
        self._theoretical = -math.inf

    def wait(self, now: float) -> float:
        """Seconds until a start is allowed, 0.0 if one is allowed at ``now``."""
        return max(0.0, self._theoretical - self._slack - now)

    def take(self, now: float) -> float:
        """Take one start and return 0.0, or take none and return the seconds to wait.

        Args:
            now: Seconds on a clock that never goes back.
        """
        wait = self.wait(now)
        if wait == 0.0:
            self._theoretical = max(self._theoretical, now) + self._interval
        return wait
