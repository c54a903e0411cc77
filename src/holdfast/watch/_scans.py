"""When to look at what every descriptor is, which costs more than counting them.

Rarely while the count is steady, every half minute while it grows or something is suspected, every ten
seconds while it is on its way to the limit within the hour. Whatever it is, a hundred times as much time
passes between two scans as the last one took, so that they never take more than 1 % of a CPU.
"""

from dataclasses import dataclass
from math import inf
from typing import Final

__all__ = ("ScanPace",)

_GROWN: Final = 4
_SOON: Final = 3600.0
_REST: Final = 100.0


@dataclass(slots=True)
class ScanPace:
    """Decides whether a scan is due.

    Attributes:
        steady_s: Seconds between scans while the count is steady.
        growing_s: While it grows.
        hurried_s: While it grows fast.
    """

    steady_s: float = 300.0
    growing_s: float = 30.0
    hurried_s: float = 10.0
    _at: float = -inf
    _lowest: float = inf
    _took_s: float = 0.0

    def due(self, at: float, count: float, limit: float | None, *, suspected: bool) -> bool:
        """Whether to scan now.

        Args:
            at: Now; asked with every count.
            count: How many descriptors there are; what they have grown by is told from the fewest
                since the last scan.
            limit: The most that there may be.
            suspected: Whether a trend would like to know more.
        """
        passed = at - self._at
        self._lowest = min(self._lowest, count)
        if passed < max(self.hurried_s, self._took_s * _REST):
            return False
        if passed >= self.steady_s:
            return True
        grown = count - self._lowest
        if passed >= self.growing_s and (suspected or grown >= _GROWN):
            return True
        if limit is None or grown < _GROWN:
            return False
        return (limit - count) * passed <= _SOON * grown

    def scanned(self, at: float, count: float, took_s: float) -> None:
        """Take note of a scan."""
        self._at, self._lowest, self._took_s = at, count, took_s
