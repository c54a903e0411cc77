"""The table of a flight's runs: who may come in, what is counted, what a refusal says; under one lock.

Everything here is called with the lock held, except where it says otherwise.
"""

import itertools
import threading
from collections.abc import Hashable
from typing import Final

from holdfast._core import clock
from holdfast.errors import PoolClosed, QueueFull, Rejected, WouldDeadlock
from holdfast.flow._flight_ring import Mark, shown, tie
from holdfast.flow._flight_run import ABORTED, Run, Waiters, Work
from holdfast.flow._flight_stats import FlightCounters, FlightStats, RunStats

__all__ = ("FlightTable",)

_WAY_OUT = "Give the inner call another key, or call the function itself"
_names = itertools.count(1)


class Alone:
    """A key that equals nothing but itself, for a call that nobody may join."""

    __slots__ = ("key",)

    def __init__(self, key: Hashable) -> None:
        self.key = key

    def __repr__(self) -> str:
        return repr(self.key)


def _frozen(run: Run) -> tuple[str, tuple[str, ...]]:
    """What is wrong with waiting for a run in a thread that runs an event loop."""
    loop = f"the event loop of thread {threading.current_thread().name!r}"
    why = f"{loop} would stand still while it waits for {run.mark}; await run() instead of calling run_sync()"
    return why, (f"{loop} waits for {run.mark}", f"{run.mark} may wait for {loop}")


class FlightTable:
    """Runs by key, and what becomes of those who ask for one.

    Attributes:
        lock: Held for every change of a run that is OPEN.
        runs: The runs that callers can join.
        ending: Work that was told to stop and has not ended yet.
        joinable: Of ``runs``, those that can be joined without a second look.
        came: Callers that were given a place, but joiners.
        went: Places that were given up, or were told the outcome.
        closed: Whether nobody is let in any more.
    """

    __slots__ = (
        "_mode",
        "_whole",
        "came",
        "clock",
        "closed",
        "counters",
        "ending",
        "joinable",
        "lock",
        "max_joiners",
        "name",
        "promote",
        "runs",
        "stall_after",
        "went",
    )

    def __init__(
        self,
        name: str | None,
        *,
        mode: str,
        scope: str,
        max_joiners: int,
        promote: bool,
        stall_after: float | None,
    ) -> None:
        self.name = name if name is not None else f"flight-{next(_names)}"
        self.max_joiners: Final = max_joiners
        self.promote: Final = promote
        self.stall_after: Final = stall_after
        self.clock = clock.current()
        self.lock = threading.Lock()
        self.closed = False
        self.counters = FlightCounters()
        self.runs: dict[Hashable, Run] = {}
        self.ending: set[Work] = set()
        self.came = 0
        self.went = 0
        self._mode = mode
        # With promote, a joiner leaves its call behind: not in the first look.
        self.joinable = self.runs if mode == "join" and not promote else {}
        self._whole = scope == "object" and mode != "off"

    # ------------------------------------------------------------ coming in

    def admit(
        self, key: Hashable, inside: Mark | None, *, blocks_loop: bool = False
    ) -> tuple[Run, bool]:
        """Let a caller in: the run for ``key``, and whether the caller leads it.

        Args:
            key: What it asks for.
            inside: The run that it calls from, where it will wait at once.
            blocks_loop: Whether a loop would stand still while it waits.
        """
        if key != key:  # noqa: PLR0124 - NaN is what this is about
            msg = f"the key {shown(key)} does not equal itself, so nobody could join its run; give another"
            raise ValueError(msg)
        if self.closed:
            raise self.refusal(PoolClosed, "it is closed; make a new one")
        run = self.runs.get(key) if self._mode != "off" else None
        if run is None:
            run = self._open(key if self._mode != "off" else Alone(key))
            if inside is not None and inside.live:
                tie(inside, run.mark)  # nobody waits for a new run, so this closes no ring
            return run, True
        self._check_joiner(run)
        if blocks_loop:
            raise self.would_freeze(run)
        if inside is not None and inside.live:
            self.tie(inside, run)
        self.counters.joiners += 1
        return run, False

    def _open(self, key: Hashable) -> Run:
        if self._whole and (self.runs or self.ending):
            raise self.refusal(
                QueueFull, "it runs one thing at a time, and another is in flight; try again later"
            )
        run = Run(self.name, key, self.clock.now())
        self.runs[key] = run
        self.counters.leaders += 1
        return run

    def _check_joiner(self, run: Run) -> None:
        if self._mode == "reject":
            raise self.refusal(
                QueueFull, f"a run for {shown(run.key)} is in flight; try again when it is over"
            )
        waiting = run.joiners
        if waiting >= self.max_joiners:
            raise self.refusal(
                QueueFull,
                f"{waiting} callers have joined the run for {shown(run.key)}, which is all that "
                f"max_joiners={self.max_joiners} allows; find what keeps its leader, or raise it",
            )

    def tie(self, inside: Mark, run: Run) -> None:
        """Note that code inside a run waits for another, unless that would never end."""
        ring = tie(inside, run.mark)
        if ring:
            raise self.deadlock(f"waiting would never end: {'; '.join(ring)}. {_WAY_OUT}", ring)  # noqa: EM102 - no exception: what returns one

    # ------------------------------------------------------------ the end of a run

    def finish(
        self, run: Run, state: int, value: object, error: BaseException | None, why: str = ""
    ) -> dict[Waiters, None]:
        """Take a run out of the table with its outcome; returns who is to be told."""
        self.runs.pop(run.key, None)
        if state == ABORTED:
            self.counters.aborts += 1
        else:
            self.counters.shared += run.joiners
        run.end(state, value, error, why)
        self.went += run.places
        groups, run.groups = run.groups, {}
        run.latest = run.led_in = None
        run.filling = {}
        return groups

    def take_if_left(self, run: Run) -> Work | None:
        """If nobody waits for a run any more: end it, and return the work that is to be stopped."""
        work = run.work
        if run.places or work is None:
            return None
        self.finish(run, ABORTED, None, None, "everyone who waited for it has left")
        self.ending.add(work)
        return work

    # ------------------------------------------------------------ refusals and figures

    def refusal(self, kind: type[Rejected], why: str) -> Rejected:
        """Return an error that says why, with the figures, and count it."""
        self._count_refusal(kind)
        return kind(f"flight {self.name!r}: {why}", stats=self.figures(()))

    def deadlock(self, why: str, cycle: tuple[str, ...]) -> WouldDeadlock:
        """The same for a wait that would never end."""
        self._count_refusal(WouldDeadlock)
        return WouldDeadlock(f"flight {self.name!r}: {why}", stats=self.figures(()), cycle=cycle)

    def would_freeze(self, run: Run) -> WouldDeadlock:
        """The same for a wait that would keep an event loop from running."""
        return self.deadlock(*_frozen(run))

    def _count_refusal(self, kind: type[Rejected]) -> None:
        rejected = self.counters.rejected
        rejected[kind.reason] = rejected.get(kind.reason, 0) + 1

    def stats(self) -> FlightStats:
        """Return one consistent reading; without the lock."""
        now = self.clock.now()
        with self.lock:
            runs = [
                RunStats(
                    key=run.key.key if isinstance(run.key, Alone) else run.key,
                    age_s=now - run.began,
                    waiting=run.places,
                    stalled=run.stalled,
                )
                for run in self.runs.values()
            ]
            return self.figures(tuple(runs))

    def figures(self, runs: tuple[RunStats, ...]) -> FlightStats:
        """The same, with ``runs`` for the runs."""
        counters = self.counters
        return FlightStats(
            name=self.name,
            in_flight=len(self.runs),
            waiting=self.came + counters.joiners - self.went,
            ending=len(self.ending),
            leaders=counters.leaders,
            joiners=counters.joiners,
            shared=counters.shared,
            aborts=counters.aborts,
            promotions=counters.promotions,
            left=counters.left,
            timeouts=counters.timeouts,
            stalls=counters.stalls,
            rejected=dict(counters.rejected),
            runs=runs,
        )
