"""The state of a pool's admission as figures: what it counts, what it shows, what a refusal says.

Everything here reads; only :class:`Admission` moves an entry. All of it is under one lock, which the
admission shares with the pool's workers.
"""

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from holdfast._core.clock import Clock
from holdfast.errors import QueueFull, RateLimited, Rejected
from holdfast.limits.rates import Gate, Rates, Weights
from holdfast.pools._stats import Counters, PoolStats, Tally
from holdfast.pools._timings import Timings

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.pools._entry import Entry, Line

__all__ = ("Ledger",)


class Ledger:
    """Permits, the line and the counters of one pool."""

    __slots__ = (
        "_blocked",
        "_clock",
        "_cut",
        "_line",
        "_made_at",
        "_shown",
        "_shown_at",
        "_tallies",
        "_waiting_turns",
        "abandoned",
        "cap",
        "ceiling",
        "closed",
        "contended",
        "counters",
        "door",
        "gate",
        "gate_opens_in",
        "in_flight",
        "limit",
        "lock",
        "max_queue",
        "max_queue_bytes",
        "name",
        "queued_bytes",
        "room",
        "show_stuck",
        "timings",
        "turns_refused",
        "weighs",
    )

    def __init__(
        self, name: str, limit: int, *, max_queue: int, gate: Gate | None, clock: Clock
    ) -> None:
        self.name = name
        self.limit = limit
        self.ceiling = limit  # the limit and the replacements for abandoned calls
        self.cap: int | None = None  # what whoever governs the pool allows, while there is pressure
        self.max_queue = max_queue
        self.max_queue_bytes: int | None = None  # of what is queued, where calls have a size
        self.queued_bytes = 0
        self.gate = gate
        self.weighs = isinstance(gate, Rates) and gate.weighs  # whether calls weigh differently
        self.gate_opens_in = 0.0  # seconds, where the rate has denied the last claim
        self.room = (
            0  # so many may be in line or in flight, where that is all that is asked of a call
        )
        self.in_flight = 0
        self.abandoned: int = 0
        self.closed = False
        self.turns_refused = False  # closed to streams under way, too
        self._cut = False  # streams pull nothing more
        self.contended = False  # somebody waits for a permit that is out, or too many are out
        self.lock = threading.Lock()
        self.counters = Counters()
        self.timings = Timings()
        self._clock = clock
        self._made_at = clock.now()
        self.show_stuck: Callable[[], str] | None = None  # says where abandoned calls stand
        self._shown = ""
        self._shown_at: float | None = None
        self._line: Line = OrderedDict()
        self._blocked: OrderedDict[Entry, None] = OrderedDict()
        self._waiting_turns: int = 0  # of the entries in line, those of streams
        self._tallies: set[Tally] = set()

    # ------------------------------------------------------------ figures

    def in_line(self) -> int:
        """Calls that wait. A stream's place in line is beyond them, and its items are counted apart."""
        return len(self._line) - self._waiting_turns

    def queued_calls(self) -> int:
        """Under the lock: who stands in line, streams among them."""
        return len(self._line)

    def queued(self) -> int:
        """Calls that wait for somebody else's permit."""
        return max(0, self.in_line() - max(0, self.ceiling - self.in_flight))

    def progress(self) -> int:
        """Changes whenever a call, or an item of a stream, has ended."""
        with self.lock:
            items = sum(tally.completed + tally.failed for tally in self._tallies)
            return self.counters.completed + self.counters.failed + items

    def open_tally(self, tally: Tally) -> None:
        """Count the items of one more stream among the pool's calls."""
        with self.lock:
            self._tallies.add(tally)

    def stats(self, *, threads: int = 0, refused_threads: int = 0) -> PoolStats:
        """Return one consistent reading."""
        with self.lock:
            return self._stats(threads, refused_threads)

    def _stats(self, threads: int, refused_threads: int) -> PoolStats:
        counters = self.counters.copy()
        for tally in self._tallies:
            counters.add(tally)
        wait, run = self.timings.read()
        queued = self.queued()
        return PoolStats(
            name=self.name,
            limit=self.limit,
            cap=self.cap,
            max_queue=self.max_queue,
            in_flight=self.in_flight,
            max_queue_bytes=self.max_queue_bytes,
            starting=self.in_line() - queued,
            queued=queued,
            queued_bytes=self.queued_bytes,
            blocked=len(self._blocked),
            abandoned=self.abandoned,
            threads=threads,
            refused_threads=refused_threads,
            submitted=counters.submitted,
            completed=counters.completed,
            failed=counters.failed,
            withdrawn=counters.withdrawn,
            timeouts=counters.timeouts,
            late=counters.late,
            rejected=dict(counters.rejected),
            peak_in_flight=counters.peak_in_flight,
            peak_queued=counters.peak_queued,
            wait=wait,
            run=run,
            seconds=self._clock.now() - self._made_at,
        )

    def _forget_figures(self) -> None:
        self.lock = threading.Lock()
        self._tallies.clear()
        self.counters = Counters()
        self.timings = Timings()
        self.abandoned = 0
        self.contended = False
        self._made_at = self._clock.now()

    # ------------------------------------------------------------ refusals

    def _check_stuck(self) -> None:
        if self.abandoned >= self.ceiling:
            raise self._refusal(
                QueueFull,
                f"all {self.ceiling} permits are held by abandoned calls that do not end; give what "
                f"they wait for a timeout of its own{self._where_stuck()}",
            )

    def _where_stuck(self) -> str:
        """Where the abandoned calls stand; looked up once a second at most."""
        now = self._clock.now()
        if self.show_stuck is not None and (self._shown_at is None or now >= self._shown_at + 1.0):
            self._shown, self._shown_at = f": {self.show_stuck()}", now
        return self._shown

    def _check_rate(self, gate: Gate, weights: Weights | None) -> None:
        now = self._clock.now()
        wait = gate.wait(now) if weights is None else gate.wait(now, weights)
        if wait > 0.0:
            raise self._refusal(
                RateLimited, f"the rate allows the next start in {wait:.3f} s", retry_after=wait
            )

    def _refusal(
        self, kind: type[Rejected], text: str, *, retry_after: float | None = None
    ) -> Rejected:
        rejected = self.counters.rejected
        rejected[kind.reason] = rejected.get(kind.reason, 0) + 1
        return kind(
            f"pool {self.name!r} did not start the call: {text}",
            retry_after=retry_after,
            stats=self._stats(0, 0),
        )

    def refusal(self, kind: type[Rejected], text: str) -> Rejected:
        """Make and count an error for a call that the pool itself refuses."""
        with self.lock:
            return self._refusal(kind, text)
