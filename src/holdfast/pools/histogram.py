"""How long calls waited and ran, as counts in buckets that double."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ("BUCKETS", "Histogram", "bucket_of")

BUCKETS: Final = 38
"""The last one holds everything from 2**36 microseconds, 19 hours, on."""


def bucket_of(seconds: float) -> int:
    """Return the bucket of a duration: 0 below 1 microsecond, then one for each doubling."""
    return min(int(seconds * 1e6).bit_length(), BUCKETS - 1) if seconds > 0.0 else 0


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations of calls.

    Bucket 0 counts those below 1 microsecond, bucket ``k`` those from ``2**(k-1)`` to below ``2**k``
    microseconds. So a quantile is known to within a factor of two, in 38 numbers.

    Attributes:
        counts: Calls in each bucket.
        total_s: The sum of all durations, in seconds.

    Example:
        >>> times = Histogram.of([0.010, 0.011, 0.250])
        >>> times.count, times.quantile(0.5), round(times.mean_s, 3)
        (3, 0.016384, 0.09)
    """

    counts: tuple[int, ...] = (0,) * BUCKETS
    total_s: float = 0.0

    @classmethod
    def of(cls, durations: Iterable[float]) -> "Histogram":
        """Make one.

        Args:
            durations: In seconds.
        """
        counts, total = [0] * BUCKETS, 0.0
        for seconds in durations:
            counts[bucket_of(seconds)] += 1
            total += seconds
        return cls(tuple(counts), total)

    @property
    def count(self) -> int:
        """How many calls."""
        return sum(self.counts)

    @property
    def mean_s(self) -> float:
        """The mean in seconds; 0.0 of nothing."""
        return self.total_s / self.count if self.count else 0.0

    def quantile(self, q: float) -> float:
        """Return a bound in seconds below which a share ``q`` of the calls stayed; 0.0 of nothing.

        Args:
            q: The share, 0 to 1.

        Returns:
            The upper end of the bucket in which the quantile lies, at most twice its value.

        Raises:
            ValueError: ``q`` is no share.
        """
        if not 0.0 <= q <= 1.0:
            msg = f"q must be from 0 to 1, not {q!r}"
            raise ValueError(msg)
        below, wanted = 0, q * self.count
        for bucket, count in enumerate(self.counts):
            below += count
            if count and below >= wanted:
                return 2.0**bucket / 1e6
        return 0.0

    def since(self, earlier: "Histogram") -> "Histogram":
        """Return what has come in addition to an earlier reading.

        Args:
            earlier: A reading of the same histogram.
        """
        counts = tuple(now - then for now, then in zip(self.counts, earlier.counts, strict=True))
        return Histogram(counts, self.total_s - earlier.total_s)
