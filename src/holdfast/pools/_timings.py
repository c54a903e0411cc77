"""Measuring how long calls wait and run, so cheaply that it is always on.

Purpose: histograms of every pool's waiting and running times.

Every call is timed, but for quick ones: after a call that ran for less than five milliseconds, the next
seven are not, and each that is timed counts for eight; after one of less than 50 microseconds it is one
in sixty-four. Of coroutines that come while sixty-four others wait, one in eight is timed. To time a call
costs more than to run the smallest ones. So a histogram's count is that of all calls to within one
stride, and a rare slow one among many quick ones is seen with that chance.

Guarantees: whoever records takes no lock and loses nothing: records go to a deque, whose steps can't be
torn, and are counted when somebody asks or when there are many.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from holdfast.pools.histogram import BUCKETS, Histogram, bucket_of

__all__ = ("CROWD", "INSTANT", "QUICK", "STRIDE", "WIDE_STRIDE", "Timed", "Timing", "Timings")

QUICK: Final = 5e-3
"""Seconds under which a call is quick."""

STRIDE: Final = 8
"""Of the quick calls, one in so many is timed."""

INSTANT: Final = 50e-6
"""Seconds under which a call is over before it could be timed for nothing."""

WIDE_STRIDE: Final = 64
"""Of these, one in so many is timed."""

CROWD: Final = 64
"""While so many coroutines wait, one in :data:`STRIDE` of those that come is timed."""

_MANY: Final = 512


class Timings:
    """What is known of one pool's times."""

    __slots__ = ("_lock", "_records", "_run", "_run_s", "_wait", "_wait_s", "skip", "stride")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: deque[tuple[float, float, int]] = deque()
        self._wait, self._run = [0] * BUCKETS, [0] * BUCKETS
        self._wait_s = self._run_s = 0.0
        self.skip = 0  # so many calls from now on are not timed
        self.stride = 1  # one call in so many is timed now

    def is_due(self) -> bool:
        """Whether the next call is to be timed; a race between two threads times one more or fewer."""
        if self.skip > 0:
            self.skip -= 1
            return False
        self.skip = self.stride - 1
        return True

    def begin(self, now: Callable[[], float], waiting: int) -> "Timing | None":
        """Begin to time a call that comes while so many others wait, if it is due."""
        if self.skip > 0:
            self.skip -= 1
            return None
        stride = self.stride
        if waiting >= CROWD and stride < STRIDE:
            stride = STRIDE
        self.skip = stride - 1
        return Timing(self, now, stride)

    def due_of(self, calls: int) -> slice:
        """Which of so many calls that come together are to be timed."""
        first, stride = self.skip, self.stride
        self.skip = (first - calls) % stride
        return slice(first, None, stride)

    def record(self, waited_s: float, ran_s: float, weight: int) -> None:
        """Count a call that waited (below 0: it did not stand in line) and ran so long ``weight`` times."""
        self.stride = 1 if ran_s >= QUICK else STRIDE if ran_s >= INSTANT else WIDE_STRIDE
        self._records.append((waited_s, ran_s, weight))
        if len(self._records) >= _MANY:
            self._count()

    def _count(self) -> None:
        records = self._records
        with self._lock:
            for _ in range(len(records)):
                try:
                    waited, ran, weight = records.popleft()
                except IndexError:  # pragma: no cover - somebody else counts, under this lock
                    return
                if waited >= 0.0:
                    self._wait[bucket_of(waited)] += weight
                    self._wait_s += waited * weight
                self._run[bucket_of(ran)] += weight
                self._run_s += ran * weight

    def read(self) -> tuple[Histogram, Histogram]:
        """Return the waiting and the running times until now."""
        self._count()
        with self._lock:
            wait = Histogram(tuple(self._wait), self._wait_s)
            return wait, Histogram(tuple(self._run), self._run_s)


class Timing:
    """One call's times, where it is the caller's own code that runs it."""

    __slots__ = ("began", "now", "since", "timings", "weight")

    def __init__(self, timings: Timings, now: Callable[[], float], weight: int) -> None:
        self.timings = timings
        self.now = now
        self.since = self.began = now()
        self.weight = weight

    def start(self) -> None:
        """It has its permit."""
        self.began = self.now()

    def end(self) -> None:
        """It has ended."""
        self.timings.record(self.began - self.since, self.now() - self.began, self.weight)


class Timed:
    """A call's function that notes when it begins and when it has ended."""

    __slots__ = ("fn", "now", "since", "timings", "weight")

    def __init__(self, fn: Callable[..., Any], timings: Timings, now: Callable[[], float]) -> None:
        self.fn = fn
        self.timings = timings
        self.now = now
        self.since = now()
        self.weight = timings.stride

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        began = self.now()
        try:
            return self.fn(*args, **kwargs)
        finally:
            self.timings.record(began - self.since, self.now() - began, self.weight)
