"""The places in which calls wait: the queue, and those who are blocked before it when it is full.

The order in which the queue is served is that of its line, a mapping of entries: an ``OrderedDict``
serves who came first. Everything here is done under the admission's lock; only :class:`Admission`
changes the state of an entry, but for one that is dropped.
"""

from collections.abc import Sequence

from holdfast._core.clock import Clock
from holdfast.errors import QueueFull, Rejected
from holdfast.limits import RateGate
from holdfast.pools._entry import ENDED, Entry, Line
from holdfast.pools._ledger import Ledger

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
        gate: RateGate | None,
        clock: Clock,
    ) -> None:
        super().__init__(name, limit, max_queue=max_queue, gate=gate, clock=clock)
        self.max_queue_bytes = max_queue_bytes
        if line is not None:
            self._line = line

    # ------------------------------------------------------------ room

    def _has_room(self, entry: Entry) -> bool:
        """Whether ``entry`` may have a place now: in the queue, or at once with a free permit."""
        taken = len(self._line) - self._waiting_turns + self.in_flight
        if taken >= self.ceiling + self.max_queue:
            return False
        if self.max_queue_bytes is None or taken < self.ceiling:
            return True
        return self.queued_bytes + entry.size <= self.max_queue_bytes

    def _has_room_for_all(self, entries: Sequence[Entry]) -> bool:
        taken = len(self._line) - self._waiting_turns + self.in_flight + len(entries)
        return taken <= self.ceiling + self.max_queue and self.max_queue_bytes is None

    def _may_drop_for(self, entry: Entry) -> bool:
        """Whether there would be room for ``entry`` without the oldest call."""
        if len(self._line) == self._waiting_turns or not self.max_queue:
            return False
        if self.max_queue_bytes is None:
            return True
        oldest = self._oldest()
        return self.queued_bytes - oldest.size + entry.size <= self.max_queue_bytes

    # ------------------------------------------------------------ in and out

    def _put(self, entry: Entry) -> None:
        self._line[entry] = None
        if self.max_queue_bytes is not None:
            self.queued_bytes += entry.size
        self._note_peak_queued()

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
        return next(entry for entry in self._line if entry.counted)

    def _drop_oldest(self) -> Entry:
        dropped = self._oldest()
        self._take_out(dropped)
        dropped.state = ENDED
        self.counters.withdrawn += 1
        return dropped

    def _accept_blocked(self) -> None:
        """Let those who are blocked have the places that have become free, first come first served."""
        while self._blocked and self._has_room(entry := next(iter(self._blocked))):
            del self._blocked[entry]
            self._put(entry)
            entry.accepted()

    def _note_peak_queued(self) -> None:
        queued = len(self._line) - self._waiting_turns
        if queued > self.counters.peak_queued:
            self.counters.peak_queued = queued

    # ------------------------------------------------------------ refusals

    def _refusal_when_full(self, entry: Entry) -> Rejected:
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

    def refuse_dropped(self, dropped: Entry) -> None:
        """Tell the entry that made room for a newer one; without the lock."""
        dropped.refuse(
            self.refusal(
                QueueFull, "it was the oldest in a full queue, and made room for a newer call"
            )
        )
