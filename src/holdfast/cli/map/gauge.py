"""The most that the process has held while it was watched."""

from dataclasses import dataclass

from holdfast.sense.own import OwnReading, peak_rss_bytes, read_own

__all__ = ("Gauge",)


@dataclass(slots=True)
class Gauge:
    """Peaks over all readings so far; None where the platform has no such figure.

    Between two readings a peak can pass unseen, except for memory, whose peak the system keeps.

    Attributes:
        threads: Most threads.
        fds: Most open descriptors.
        rss_bytes: Most resident memory since the process began.
    """

    threads: int | None = None
    fds: int | None = None
    rss_bytes: int | None = None

    def read(self) -> OwnReading:
        """Take a reading into account and return it."""
        own = read_own()
        self.threads = _larger(self.threads, own.threads)
        self.fds = _larger(self.fds, own.fds)
        self.rss_bytes = _larger(peak_rss_bytes(), own.rss_bytes)
        return own


def _larger(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other)
