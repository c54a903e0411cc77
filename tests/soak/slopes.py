"""Whether a series grows: a plain regression, and a test by ranks that no single jump can deceive."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ("Slope", "slope_of")


@dataclass(frozen=True, slots=True)
class Slope:
    """How a series goes.

    Attributes:
        per_million: The slope of the least squares, in units for each million of sessions.
        error: Its standard error, likewise.
        z: Mann and Kendall's statistic: how many standard deviations there are more pairs that rise than
            pairs that fall.
    """

    per_million: float
    error: float
    z: float

    @property
    def rises(self) -> bool:
        """Whether both tests say so, each with less than one chance in a thousand of being wrong."""
        return self.z > 3.1 and self.per_million > 3.1 * self.error


def slope_of(sessions: Sequence[int], values: Sequence[float]) -> Slope:
    """Fit a line through the values, and compare all pairs of them.

    Sources: Mann 1945, Kendall 1975, with the variance corrected for ties.
    """
    count = len(values)
    mean_x, mean_y = sum(sessions) / count, sum(values) / count
    spread = sum((x - mean_x) ** 2 for x in sessions)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(sessions, values, strict=True)) / spread
    rest = sum(
        (y - mean_y - slope * (x - mean_x)) ** 2 for x, y in zip(sessions, values, strict=True)
    )
    error = math.sqrt(rest / max(1, count - 2) / spread)
    return Slope(slope * 1e6, error * 1e6, _mann_kendall(values))


def _mann_kendall(values: Sequence[float]) -> float:
    count = len(values)
    score = sum(
        (later > earlier) - (later < earlier)
        for n, earlier in enumerate(values)
        for later in values[n + 1 :]
    )
    ties = {value: values.count(value) for value in set(values)}
    variance = (
        count * (count - 1) * (2 * count + 5)
        - sum(same * (same - 1) * (2 * same + 5) for same in ties.values())
    ) / 18
    if variance <= 0 or score == 0:
        return 0.0
    return (score - math.copysign(1, score)) / math.sqrt(variance)
