"""The permits of a pool: how many there may be, who gets one that is free, and when a pool is idle.

Permits are given and taken by :class:`Admission`, under its lock.
"""

from collections.abc import Callable

from holdfast._core.clock import Clock
from holdfast.errors import PoolClosed
from holdfast.limits.rates import Gate
from holdfast.pools._entry import NOBODY, RUNNING, Entry, Line, Overflow, Rivals
from holdfast.pools._queue import Queue
from holdfast.pools._stats import Tally

__all__ = ("Permits", "call_all")


class Permits(Queue):
    """Permits that are out, and the ceiling on them."""

    __slots__ = (
        "_idle_watchers",
        "max_abandoned",
        "overflow",
        "own_limit",
        "rivals",
        "waiting_inside",
        "why_closed",
    )

    def __init__(
        self,
        name: str,
        limit: int,
        *,
        max_queue: int,
        overflow: Overflow,
        max_abandoned: int,
        gate: Gate | None,
        clock: Clock,
        max_queue_bytes: int | None = None,
        line: Line | None = None,
    ) -> None:
        super().__init__(name, limit, max_queue, max_queue_bytes, line, gate=gate, clock=clock)
        self.own_limit = limit  # as the pool was told; less may be allowed for now
        self.overflow: Overflow = overflow
        self.rivals: Rivals = NOBODY
        self.max_abandoned = max_abandoned
        self._idle_watchers: list[Callable[[], None]] = []
        self.why_closed: type[PoolClosed] = PoolClosed
        self.waiting_inside = 0  # calls in flight that wait for the pool to fall idle
        self._set_ceiling()

    def _claim(self) -> Entry | None:
        line = self._line
        if not line or self.in_flight >= self.ceiling:
            return None
        if self.gate is not None:
            now = self._clock.now()
            self.gate_opens_in = (
                self.gate.take(now, getattr(self._first(), "weights", None))
                if self.weighs
                else self.gate.take(now)
            )
            if self.gate_opens_in > 0.0:
                return None
        if self.room:
            entry, _ = line.popitem(last=False)
            if not entry.counted:
                self._waiting_turns -= 1
        else:
            entry = self._take_first()
        entry.state = RUNNING
        self.in_flight = in_flight = self.in_flight + 1
        counters = self.counters
        if in_flight > counters.peak_in_flight:
            counters.peak_in_flight = in_flight
        if not entry.counted:
            self._note_peak_queued()  # a call behind it had that permit coming
        if self._blocked:
            self._accept_blocked()
        self.contended = in_flight >= self.ceiling and bool(line)
        return entry

    def _give_back(self) -> Entry | None:
        self.in_flight -= 1
        if self._blocked:
            self._accept_blocked()
        if self._line and not self.rivals.starved:
            return self._claim()
        if self.contended or self._idle_watchers:
            # Rare: the pool was over its ceiling, or somebody waits for it to fall idle.
            call_all(self._recount())  # they only release locks and post letters
        return None

    def _abandon(self) -> None:
        self.abandoned += 1
        self._set_ceiling()

    def _unabandon(self) -> None:
        self.abandoned -= 1
        self.counters.late += 1
        self._set_ceiling()

    @property
    def is_restricted(self) -> bool:
        """Whether less is allowed for now than the pool was told."""
        return self.limit < self.own_limit

    def _limit_anew(self) -> None:
        own, cap = self.own_limit, self.cap
        self.limit = own if cap is None or cap > own else cap
        self._set_ceiling()
        self._note_peak_queued()  # who had a permit coming may be queued now
        self._recount()

    def _set_ceiling(self) -> None:
        self.ceiling = self.limit + min(self.abandoned, self.max_abandoned)
        self.door = self.ceiling if self.gate is None and not self.closed else 0
        plain = self.gate is None and self.max_queue_bytes is None
        if plain and not self.closed and not self.abandoned:
            self.room = self.ceiling + self.max_queue
        else:
            self.room = 0  # each call is looked at more closely
        self._accept_blocked()

    def _note_peak(self) -> None:
        self.counters.peak_in_flight = max(self.counters.peak_in_flight, self.in_flight)

    def _waits_for_streams(self) -> bool:
        """Whether streams that pull nothing more have work to do; not where one waits for itself."""
        if not self._cut or self.waiting_inside:
            return False
        return any(stream.pending() for stream in self._tallies)

    def _recount(self) -> list[Callable[[], None]]:
        over = self.in_flight > self.ceiling
        self.contended = over or (bool(self._line) and self.in_flight >= self.ceiling)
        rest = self.abandoned + self.waiting_inside
        waits = self._line or self._blocked or self._waits_for_streams()
        if self._idle_watchers and not waits and self.in_flight <= rest:
            watchers, self._idle_watchers = self._idle_watchers, []
            return watchers
        return []

    # ------------------------------------------------------------ when it is idle

    def on_idle(self, watcher: Callable[[], None], *, inside: int = 0) -> None:
        """Call ``watcher`` once, when nothing waits and nothing but abandoned work is in flight.

        Args:
            watcher: Called under the lock or without; releases a lock or posts a letter.
            inside: How many calls in flight wait for this themselves, until :meth:`off_idle`.
        """
        with self.lock:
            self._idle_watchers.append(watcher)
            self.waiting_inside += inside
            watchers = self._recount()
        call_all(watchers)

    def off_idle(self, inside: int) -> None:
        """So many calls in flight have given up to wait, or have waited long enough."""
        with self.lock:
            self.waiting_inside -= inside

    def close_tally(self, tally: Tally) -> None:
        """A stream has ended: add its figures to the pool's."""
        with self.lock:
            if tally in self._tallies:
                self._tallies.remove(tally)
                self.counters.add(tally)
            watchers = self._recount() if self._cut else []
        call_all(watchers)

    def cut_off_streams(self) -> None:
        """Have no stream pull anything more; what they have pulled still has its turns.

        From now on the pool is idle when that has ended, too.
        """
        with self.lock:
            self._cut = True
            streams = list(self._tallies)
        for stream in streams:
            stream.cut_off()


def call_all(watchers: list[Callable[[], None]]) -> None:
    """Tell those who have waited for a pool to fall idle."""
    for watcher in watchers:
        watcher()
