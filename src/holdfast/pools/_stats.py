"""What a pool counts, and the frozen record that it shows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from holdfast.pools.histogram import Histogram

__all__ = ("Counters", "PoolStats", "Tally")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStats:
    """One consistent reading of a pool.

    At every moment ``submitted == completed + failed + withdrawn + in_flight + starting + queued +
    blocked``, but that items of a stream are counted as they end.

    Attributes:
        name: The pool's name.
        limit: Permits that the pool has.
        max_queue: Most calls that may wait in the queue.
        max_queue_bytes: Most bytes that queued calls may have, where calls have a size.
        in_flight: Permits that are out, abandoned ones included.
        starting: Calls for which a permit is free, before they have taken it: their worker is on its way,
            or, where threads are short or a rate holds them back, to come.
        queued: Calls that wait in the queue for somebody else's permit; at most ``max_queue``, but after
            a pool was made smaller, or a stream that stood before them has taken a permit.
        queued_bytes: Bytes that they have, where calls have a size.
        blocked: Callers that wait for a place in the queue.
        abandoned: Calls in flight whose caller has timed out or was cancelled.
        threads: Worker threads that exist now.
        refused_threads: How often the system refused to start a thread.
        submitted: Calls that were given a permit or a place, since the pool was made.
        completed: Calls that returned.
        failed: Calls that raised, or whose result came too late.
        withdrawn: Calls that left the line, or were refused in it, before they started.
        timeouts: Calls that ran longer than their timeout.
        late: Abandoned calls that have ended since.
        rejected: Refusals by reason.
        peak_in_flight: Most permits that were out at once.
        peak_queued: Most calls that were queued at once.
        wait: How long calls waited in line. Like ``run`` it counts quick calls by samples of one in
            eight, or in sixty-four; items of streams don't stand in line one by one, and are not in it.
        run: How long calls and items ran.
        seconds: How long this reading covers: since the pool was made, or since the earlier one.
        cap: What the governor allows in flight while there is pressure, 0 for nothing; None without.
            ``limit`` is never more than that.
        reserved: The same of the permits that are kept for clean-up work, which are in no figure of
            these; None where the pool keeps none.
    """

    name: str
    limit: int
    max_queue: int
    max_queue_bytes: int | None
    in_flight: int
    queued: int
    queued_bytes: int
    blocked: int
    abandoned: int
    threads: int
    refused_threads: int
    submitted: int
    completed: int
    failed: int
    withdrawn: int
    timeouts: int
    late: int
    rejected: Mapping[str, int]
    peak_in_flight: int
    peak_queued: int
    wait: Histogram
    run: Histogram
    seconds: float
    starting: int = 0
    reserved: "PoolStats | None" = None
    cap: int | None = None

    @property
    def utilisation(self) -> float:
        """The share of the permits' time in which calls ran, of those that have ended: 0.0 to 1.0."""
        offered = self.limit * self.seconds
        return min(1.0, self.run.total_s / offered) if offered > 0.0 else 0.0

    def since(self, earlier: "PoolStats") -> "PoolStats":
        """Return what has happened since an earlier reading of the same pool.

        Counts, refusals and times are differences; what can't be subtracted (the limits, what is in
        flight, queued, abandoned now, the threads, the peaks) is that of this reading.

        Args:
            earlier: The other reading.

        Raises:
            ValueError: The other reading is of another pool, or later than this one.
        """
        if earlier.name != self.name or earlier.submitted > self.submitted:
            msg = f"not an earlier reading of pool {self.name!r}: {earlier.name!r} with {earlier.submitted} calls"
            raise ValueError(msg)
        rejected = {
            reason: count - earlier.rejected.get(reason, 0)
            for reason, count in self.rejected.items()
        }
        return replace(
            self,
            **{name: getattr(self, name) - getattr(earlier, name) for name in _COUNTS},
            rejected={reason: count for reason, count in rejected.items() if count},
            wait=self.wait.since(earlier.wait),
            run=self.run.since(earlier.run),
            seconds=self.seconds - earlier.seconds,
            reserved=self.reserved
            if self.reserved is None or earlier.reserved is None
            else self.reserved.since(earlier.reserved),
        )


_COUNTS: Final = (
    "refused_threads",
    "submitted",
    "completed",
    "failed",
    "withdrawn",
    "timeouts",
    "late",
)


class Tally(Protocol):
    """What one stream counts of its items; written by the stream alone, read under the pool's lock."""

    failed: int

    def pending(self) -> bool:
        """Whether, pulling nothing more, it still has work to do."""
        ...

    def cut_off(self) -> None:
        """Have the stream pull nothing more; from any thread, without the pool's lock."""
        ...

    @property
    def completed(self) -> int:
        """Items whose function has returned."""
        ...


class Counters:
    """What a pool counts. Changed only under the pool's lock."""

    __slots__ = (
        "completed",
        "failed",
        "late",
        "peak_in_flight",
        "peak_queued",
        "rejected",
        "submitted",
        "timeouts",
        "withdrawn",
    )

    def __init__(self) -> None:
        self.submitted = 0
        self.completed = 0
        self.failed = 0
        self.withdrawn = 0
        self.timeouts = 0
        self.late = 0
        self.peak_in_flight = 0
        self.peak_queued = 0
        self.rejected: dict[str, int] = {}

    def copy(self) -> "Counters":
        """Return the same figures in a record of their own."""
        other = Counters()
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def add(self, tally: Tally) -> None:
        """Add the items of one stream."""
        self.submitted += tally.completed + tally.failed
        self.completed += tally.completed
        self.failed += tally.failed
