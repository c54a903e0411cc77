"""How fast it goes now: items per second over the last half minute."""

from collections import deque

__all__ = ("Pace",)

WINDOW_S = 30.0


class Pace:
    """A rate from readings of a counter.

    Args:
        now: The time of the start; the counter stood at 0 then.
    """

    __slots__ = ("_readings",)

    def __init__(self, now: float) -> None:
        self._readings: deque[tuple[float, int]] = deque([(now, 0)])

    def add(self, now: float, count: int) -> None:
        """Take a reading of the counter; what is older than the window is forgotten."""
        self._readings.append((now, count))
        while len(self._readings) > 2 and self._readings[1][0] <= now - WINDOW_S:  # noqa: PLR2004
            self._readings.popleft()

    def per_second(self) -> float:
        """Items per second between the oldest reading kept and the newest."""
        (then, before), (now, after) = self._readings[0], self._readings[-1]
        return (after - before) / (now - then) if now > then else 0.0
