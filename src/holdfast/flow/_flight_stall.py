"""The report of a run that has been in flight for suspiciously long: once in the log, and counted."""

import logging
from threading import Lock
from typing import Protocol

from holdfast._core.clock import Clock
from holdfast.flow._flight_ring import shown
from holdfast.flow._flight_run import OPEN, Run
from holdfast.flow._flight_stats import FlightCounters
from holdfast.pools._timer import TIMER

__all__ = ("unwatch", "watch")

log = logging.getLogger("holdfast.flow")


class Host(Protocol):
    """What the report is made from."""

    lock: Lock
    clock: Clock
    counters: FlightCounters

    @property
    def name(self) -> str: ...
    @property
    def stall_after(self) -> float | None: ...


def watch(host: Host, run: Run) -> None:
    """Have a run reported when it is still in flight after ``stall_after`` seconds.

    By the process's timer and not by a loop: a loop that stands still is what may be to blame.
    """
    if host.stall_after is None:
        return
    stall = _Stall(host, run)
    try:
        due = TIMER.watch(stall, host.stall_after)
    except RuntimeError:  # no thread to be had: the work matters more than the report
        return
    with host.lock:
        if run.state == OPEN:
            run.watch = (stall, due)
            return
    TIMER.unwatch(stall, due)


def unwatch(run: Run) -> None:
    """The run is over; without the flight's lock."""
    if run.watch is not None:
        TIMER.unwatch(*run.watch)
        run.watch = None


class _Stall:
    """Comes due when a run has stalled."""

    __slots__ = ("_host", "_run")

    def __init__(self, host: Host, run: Run) -> None:
        self._host = host
        self._run = run

    def expire(self) -> None:
        """On the timer's thread."""
        host, run = self._host, self._run
        with host.lock:
            if run.state != OPEN:
                return
            run.stalled = True
            host.counters.stalls += 1
            waiting = run.places
        log.warning(
            "flight %r: the run for %s has been in flight for %.3g s and %d callers wait for it; "
            "see what its leader is waiting for",
            host.name,
            shown(run.key),
            host.clock.now() - run.began,
            waiting,
        )
