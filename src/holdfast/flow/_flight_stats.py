"""What a single-flight counts, and the frozen record that it shows."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

__all__ = ("FlightCounters", "FlightStats", "RunStats")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStats:
    """One run in flight.

    Attributes:
        key: What it runs for.
        age_s: Seconds since it began.
        waiting: Callers that wait for its outcome, the leader's own among them.
        stalled: Whether it has been in flight for longer than ``stall_after``.
    """

    key: Hashable
    age_s: float
    waiting: int
    stalled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FlightStats:
    """One consistent reading of a :class:`SingleFlight`.

    Attributes:
        name: The flight's name.
        in_flight: Runs that callers can join now.
        waiting: Callers that wait for an outcome now.
        ending: Runs that were cancelled and whose work has not ended yet; nobody can join them.
        leaders: Calls that began a run.
        joiners: Calls that joined a run in flight.
        shared: Joiners to whom a result, or an error of the work, was handed.
        aborts: Runs that ended without an outcome.
        promotions: Times that a waiting caller took over the work of an aborted leader.
        left: Callers that were cancelled while they waited.
        timeouts: Callers that waited for their whole ``timeout``.
        stalls: Runs that were reported for ``stall_after``.
        rejected: Refusals by reason.
        runs: The runs in flight, the oldest first. Empty in the statistics that an error carries.
    """

    name: str
    in_flight: int
    waiting: int
    ending: int
    leaders: int
    joiners: int
    shared: int
    aborts: int
    promotions: int
    left: int
    timeouts: int
    stalls: int
    rejected: Mapping[str, int]
    runs: tuple[RunStats, ...] = ()


class FlightCounters:
    """What a single-flight counts. Changed only under its lock."""

    __slots__ = (
        "aborts",
        "joiners",
        "leaders",
        "left",
        "promotions",
        "rejected",
        "shared",
        "stalls",
        "timeouts",
    )

    def __init__(self) -> None:
        self.leaders = 0
        self.joiners = 0
        self.shared = 0
        self.aborts = 0
        self.promotions = 0
        self.left = 0
        self.timeouts = 0
        self.stalls = 0
        self.rejected: dict[str, int] = {}
