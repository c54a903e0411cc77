"""Three levels with hysteresis: a reading near a threshold does not make it flap."""

from dataclasses import dataclass
from math import isfinite
from typing import Final, Literal

__all__ = ("LEVELS", "Gauge", "Level", "Threshold")

Level = Literal["ok", "caution", "critical"]

LEVELS: Final[tuple[Level, ...]] = ("ok", "caution", "critical")
"""From the best to the worst."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """When a reading is worth caution, and when it is critical.

    A level is left upwards at once. It is left downwards, one step at a time, when the reading has been
    lower than its threshold by ``margin`` for ``calm_s`` seconds without a break.

    Args:
        caution: From this value on.
        critical: From this value on, more than ``caution``.
        margin: The part of a threshold by which a reading has to be below it, 0 to below 1.
        calm_s: For so many seconds, 0 or more.

    Example:
        >>> Threshold(0.75, 0.9)
        Threshold(caution=0.75, critical=0.9, margin=0.1, calm_s=10.0)
    """

    caution: float
    critical: float
    margin: float = 0.1
    calm_s: float = 10.0

    def __post_init__(self) -> None:
        if not 0.0 < self.caution < self.critical or not isfinite(self.critical):
            msg = f"caution must be more than 0 and less than critical, not {self.caution!r} and {self.critical!r}"
            raise ValueError(msg)
        if not 0.0 <= self.margin < 1.0 or not 0.0 <= self.calm_s < float("inf"):
            msg = f"margin must be from 0 to below 1, and calm_s 0 or more, not {self.margin!r} and {self.calm_s!r}"
            raise ValueError(msg)


class Gauge:
    """One reading against its thresholds. Pure arithmetic: the time comes with the reading.

    Args:
        threshold: When it is worth caution, and when it is critical.
    """

    def __init__(self, threshold: Threshold) -> None:
        self.threshold = threshold
        self.level: Level = "ok"
        self._calm_since: float | None = None

    def update(self, at: float, value: float) -> Level:
        """Take in a reading, and return the level from now on.

        Args:
            at: When, in seconds on a clock that does not go back.
            value: The reading, in the unit of the threshold.
        """
        found = self._level_of(value)
        if LEVELS.index(found) >= LEVELS.index(self.level):
            self.level = found
            self._calm_since = None
        if self.level != "ok":
            self._step_down(at, value)
        return self.level

    def _level_of(self, value: float) -> Level:
        if value >= self.threshold.critical:
            return "critical"
        return "caution" if value >= self.threshold.caution else "ok"

    def _step_down(self, at: float, value: float) -> None:
        critical = self.level == "critical"
        threshold = self.threshold.critical if critical else self.threshold.caution
        if value >= threshold * (1.0 - self.threshold.margin):
            self._calm_since = None
            return
        if self._calm_since is None:
            self._calm_since = at
        if at - self._calm_since >= self.threshold.calm_s:
            self.level = "caution" if critical else "ok"
            self._calm_since = None
