"""The places in which calls wait: the queue, and those who are blocked before it when it is full.

The order in which the queue is served is that of its line: an ``OrderedDict`` of entries serves who
came first, and a pool with an order has a line of that order, and another one for those who are
blocked. Everything here is done under the admission's lock; only :class:`Admission` changes the state
of an entry, but for one that is dropped.

Bytes are those of calls that wait for somebody else's permit. A call that is given its place while a
permit is free for it starts at once, so it counts as empty, and may be of any size; no other call may
be larger than the bound. Where calls have a size, nobody who comes has a place while others are
blocked, or small calls would for ever overtake a large one.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any, cast

from holdfast._core.clock import Clock
from holdfast.errors import QueueFull, Rejected, UnderPressure
from holdfast.limits.rates import Gate
from holdfast.pools._entry import ENDED, Entry, Line
from holdfast.pools._ledger import Ledger
from holdfast.pools._order_line import FirstCome, OrderedLine

__all__ = ("Queue",)


class Queue(Ledger):
    """The line, bounded in calls and in bytes, and the blocked."""

    __slots__ = ()

    def __init__(
        self,
        name: str,
        limit: int,
        max_queue: int,
        max_queue_bytes: int | None,
        line: Line | None,
        *,
        gate: Gate | None,
        clock: Clock,
    ) -> None:
        super().__init__(name, limit, max_queue=max_queue, gate=gate, clock=clock)
        self.max_queue_bytes = max_queue_bytes
        if line is not None:
            self._line = line
        if isinstance(line, OrderedLine):
            self._blocked = cast("Any", line.beside())

    # ------------------------------------------------------------ room

    def _has_room(self, entry: Entry) -> bool:
        """Whether ``entry``, which has just come, may have a place: in the queue, or at once.

        Raises:
            QueueFull: It is larger than the whole queue may be, so it would wait for ever.
        """
        bound = self.max_queue_bytes
        if bound is None:
            taken = len(self._line) - self._waiting_turns + self.in_flight
            return taken < self.ceiling + self.max_queue
        if entry.size > bound and not self._starts_at_once():
            raise self._refusal(
                QueueFull,
                f"it has {entry.size} bytes, more than the {bound} that may be queued, and no permit "
                "is free for it; send smaller pieces, or raise max_queue_bytes",
            )
        if self._blocked or self._taken() >= self.ceiling + self.max_queue:
            return False
        return self._fits(entry, bound)

    def _fits(self, entry: Entry, bound: int) -> bool:
        """Whether the bytes of ``entry`` fit into the queue, or need not."""
        return self.queued_bytes + entry.size <= bound or self._starts_at_once()

    def _has_room_for_all(self, entries: Sequence[Entry]) -> bool:
        taken = self._taken() + len(entries)
        return taken <= self.ceiling + self.max_queue and self.max_queue_bytes is None

    def _may_drop(self) -> bool:
        """Whether a call could make room for one that has come, which is not too large for that."""
        return self.max_queue > 0 and self.in_line() > self._starting()

    def _taken(self) -> int:
        """Places that are taken: permits that are out, and calls in line."""
        return len(self._line) - self._waiting_turns + self.in_flight

    def _starting(self) -> int:
        """How many of the calls in line start at once, so that they are not queued."""
        return 0 if self.gate is not None else max(0, self.ceiling - self.in_flight)

    def _starts_at_once(self) -> bool:
        """Whether a permit is free for the next call that comes, as far as calls go."""
        if self._taken() >= self.ceiling:
            return False
        gate = self.gate
        return gate is None or (not self._line and gate.wait(self._clock.now()) == 0.0)

    # ------------------------------------------------------------ in and out

    def _put(self, entry: Entry, came: Any = None) -> None:
        """Give ``entry`` a place; ``came`` is what it brings from the line of the blocked."""
        if self.max_queue_bytes is not None:
            if entry.size and self._starts_at_once():
                entry.size = 0
            self.queued_bytes += entry.size
        self._line[entry] = came
        self._note_peak_queued()

    def _first(self) -> Entry:
        """Whose turn it is; somebody waits."""
        line = self._line
        return line.first() if isinstance(line, OrderedLine) else next(iter(line))

    def _take_first(self) -> Entry:
        entry, _ = self._line.popitem(last=False)
        self._forget_place(entry)
        return entry

    def _take_out(self, entry: Entry) -> None:
        del self._line[entry]
        self._forget_place(entry)

    def _forget_place(self, entry: Entry) -> None:
        if not entry.counted:
            self._waiting_turns -= 1
        elif self.max_queue_bytes is not None:
            self.queued_bytes -= entry.size

    def _clear(self) -> list[Entry]:
        """Empty the queue; returns who was in it."""
        waiting = list(self._line)
        self._line.clear()
        self._waiting_turns = self.queued_bytes = 0
        return waiting

    def _oldest(self) -> Entry:
        """The call that a newer one may push out; there is one.

        O(1), but for the first time, and where permits are free that nobody has claimed yet: those
        who start at once are passed over.
        """
        line, starting = self._line, self._starting()
        if 0 < starting < self.in_line():
            return next(islice((entry for entry in line if entry.counted), starting, None))
        if isinstance(line, OrderedLine):
            return line.to_drop()
        first = next(iter(line))
        if first.counted:
            return first
        # Streams stand before the first call: from now on they and the calls are kept apart.
        self._line = apart = FirstCome.of(line)
        return apart.to_drop()

    def _drop_for(self, entry: Entry) -> list[Entry]:
        """Let the oldest calls go until ``entry`` has room; at least one."""
        dropped, bound = [self._drop_oldest()], self.max_queue_bytes
        while bound is not None and self.in_line() and not self._fits(entry, bound):
            dropped.append(self._drop_oldest())
        return dropped

    def _drop_oldest(self) -> Entry:
        dropped = self._oldest()
        self._take_out(dropped)
        dropped.state = ENDED
        self.counters.withdrawn += 1
        return dropped

    def _accept_blocked(self) -> None:
        """Let those who are blocked have the places that have become free, in their order."""
        blocked, bound = self._blocked, self.max_queue_bytes
        places = self.ceiling + self.max_queue - self._taken()
        while blocked and places > 0:
            if bound is not None and not self._fits(self._first_blocked(), bound):
                break
            entry, came = blocked.popitem(last=False)
            self._put(entry, came)
            places -= 1
            entry.accepted()

    def _first_blocked(self) -> Entry:
        blocked: Line = self._blocked
        return blocked.first() if isinstance(blocked, OrderedLine) else next(iter(blocked))

    def _note_peak_queued(self) -> None:
        waiting, peak = len(self._line) - self._waiting_turns, self.counters.peak_queued
        # Most often it is none, and nothing more is asked.
        if waiting > peak and (self.gate or waiting + self.in_flight - self.ceiling > peak):
            self.counters.peak_queued = max(peak, self.queued())

    def _forget_all(self) -> None:
        """In a child after a fork: nothing waits, nothing has been, and nobody holds the lock."""
        self._forget_figures()
        self._clear()
        self._blocked.clear()

    # ------------------------------------------------------------ refusals

    def _refusal_when_full(self, entry: Entry) -> Rejected:
        if self.cap is not None and self.limit == self.cap:
            return self._refusal(
                UnderPressure,
                f"the process is short of something, so only {self.cap} may be in flight for now, and "
                f"{self.queued()} of {self.max_queue} are queued; try again in some seconds, or send less",
            )
        bound = self.max_queue_bytes
        if bound is not None and self.queued() < self.max_queue:
            return self._refusal(
                QueueFull,
                f"it has {entry.size} bytes, and {self.queued_bytes} of {bound} bytes are queued; "
                "send smaller pieces, slow the producer down, or raise max_queue_bytes",
            )
        return self._refusal(
            QueueFull,
            f"{self.in_flight} of {self.limit} in flight and {self.queued()} of {self.max_queue} "
            "queued; slow the producer down, or raise the limit or max_queue",
        )

    def refuse_dropped(self, dropped: list[Entry]) -> None:
        """Tell the entries that made room for a newer one; without the lock."""
        for entry in dropped:
            entry.refuse(
                self.refusal(
                    QueueFull, "it was the oldest in a full queue, and made room for a newer call"
                )
            )
