"""What a resource pool counts, and the frozen record that it shows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from holdfast.pools.histogram import BUCKETS, Histogram, bucket_of

__all__ = ("PoolCounters", "ResourceStats", "Times")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceStats:
    """One consistent reading of a :class:`ResourcePool`.

    At every moment ``size == idle + lent + opening + resetting + closing <= max_size``, but after a
    ``resize`` to less, until so many have come back.

    Attributes:
        name: The pool's name.
        min_size: How many it keeps open.
        max_size: How many it may have.
        size: Places taken, those included whose resource is being opened or closed.
        idle: Resources that could be lent now.
        lent: Resources that somebody has.
        opening: Resources being opened.
        resetting: Resources that have come back and are being made fit for the next borrower.
        closing: Resources being closed.
        leaked_now: Lent ones that have been reported as leaked and are not back.
        waiting: Borrowers that wait.
        requests: How often somebody asked for a resource.
        queued: How many of them had to wait.
        served: How many got one.
        withdrawn: How many were cancelled while they waited.
        rejected: Refusals by reason: ``"queue_timeout"``, ``"full"``, ``"closed"``, ``"pressure"``,
            ``"deadlock"``.
        opened: Resources that were opened.
        open_failures: Attempts at it that failed.
        closed: Resources that were closed, by reason: ``"idle"``, ``"expired"``, ``"broken"`` (a check
            or a reset failed), ``"discarded"`` (by a borrower, or its block ended with an error that
            spoils it), ``"lost"`` (a lease was collected), ``"loop_ended"``, ``"replaced"`` (by one of
            another loop), ``"lent"`` (its descriptor was needed elsewhere), ``"shrunk"``, ``"closed"``.
        checks_failed: Resources that a check found broken.
        resets_failed: Resources that could not be reset.
        close_failures: Resources whose ``destroy`` raised.
        slow: Loans that were reported as slow.
        leaked: Loans that were reported as leaked.
        unleaked: Of these, those that came back after all.
        peak_size: Most places that were taken at once.
        peak_lent: Most resources that were lent at once.
        peak_waiting: Most borrowers that waited at once.
        wait: How long those that were served had waited.
        usage: How long resources were lent, of those that have come back.
        opening_time: How long ``create`` took, of those that were opened.
        seconds: How long this reading covers: since the pool was made, or since the earlier one.
    """

    name: str
    min_size: int
    max_size: int
    size: int
    idle: int
    lent: int
    opening: int
    resetting: int
    closing: int
    leaked_now: int
    waiting: int
    requests: int
    queued: int
    served: int
    withdrawn: int
    rejected: Mapping[str, int]
    opened: int
    open_failures: int
    closed: Mapping[str, int]
    checks_failed: int
    resets_failed: int
    close_failures: int
    slow: int
    leaked: int
    unleaked: int
    peak_size: int
    peak_lent: int
    peak_waiting: int
    wait: Histogram
    usage: Histogram
    opening_time: Histogram
    seconds: float

    @property
    def utilisation(self) -> float:
        """The share of the places' time in which resources were lent, of loans that ended: 0.0 to 1.0."""
        offered = self.max_size * self.seconds
        return min(1.0, self.usage.total_s / offered) if offered > 0.0 else 0.0

    def since(self, earlier: "ResourceStats") -> "ResourceStats":
        """Return what has happened since an earlier reading of the same pool.

        Counts and times are differences; what can't be subtracted (sizes, who waits now, peaks) is that
        of this reading.

        Args:
            earlier: The other reading.

        Raises:
            ValueError: The other reading is of another pool, or later than this one.
        """
        if earlier.name != self.name or earlier.requests > self.requests:
            msg = f"not an earlier reading of pool {self.name!r}: {earlier.name!r} with {earlier.requests} requests"
            raise ValueError(msg)
        return replace(
            self,
            **{name: getattr(self, name) - getattr(earlier, name) for name in _COUNTS},
            rejected=_less(self.rejected, earlier.rejected),
            closed=_less(self.closed, earlier.closed),
            wait=self.wait.since(earlier.wait),
            usage=self.usage.since(earlier.usage),
            opening_time=self.opening_time.since(earlier.opening_time),
            seconds=self.seconds - earlier.seconds,
        )


_COUNTS: Final = (
    "requests",
    "queued",
    "served",
    "withdrawn",
    "opened",
    "open_failures",
    "checks_failed",
    "resets_failed",
    "close_failures",
    "slow",
    "leaked",
    "unleaked",
)


def _less(now: Mapping[str, int], then: Mapping[str, int]) -> dict[str, int]:
    differences = {key: count - then.get(key, 0) for key, count in now.items()}
    return {key: count for key, count in differences.items() if count}


class Times:
    """Durations that are being counted."""

    __slots__ = ("_counts", "_total_s")

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self._total_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[bucket_of(seconds)] += 1
        self._total_s += seconds

    def reading(self) -> Histogram:
        """Return what was counted so far."""
        return Histogram(tuple(self._counts), self._total_s)


class PoolCounters:
    """What a resource pool counts. Changed only under the pool's lock."""

    __slots__ = (
        "checks_failed",
        "close_failures",
        "closed",
        "leaked",
        "open_failures",
        "opened",
        "opening_time",
        "peak_lent",
        "peak_size",
        "peak_waiting",
        "queued",
        "rejected",
        "requests",
        "resets_failed",
        "served",
        "slow",
        "unleaked",
        "usage",
        "wait",
        "withdrawn",
    )

    def __init__(self) -> None:
        self.requests = self.queued = self.served = self.withdrawn = 0
        self.opened = self.open_failures = 0
        self.checks_failed = self.resets_failed = self.close_failures = 0
        self.slow = self.leaked = self.unleaked = 0
        self.peak_size = self.peak_lent = self.peak_waiting = 0
        self.rejected: dict[str, int] = {}
        self.closed: dict[str, int] = {}
        self.wait = Times()
        self.usage = Times()
        self.opening_time = Times()

    def count_closed(self, reason: str) -> None:
        """One more was closed."""
        self.closed[reason] = self.closed.get(reason, 0) + 1

    def count_rejected(self, reason: str) -> None:
        """One more was refused."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
