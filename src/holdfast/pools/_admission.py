"""Who may start: permits, the line for them, and what a full pool does. Arithmetic under one lock.

Purpose: decide for every kind of pool which call is in flight, which waits and which is refused.
Workers, loops and processes are somebody else's: an admission starts nothing and waits for nothing.

Guarantees
- in flight is never above the ceiling through an admission of its own (a resize may leave it above
  until work ends); the queue is never above ``max_queue``, those not counted who have a permit coming;
- first come, first served: nobody is admitted while somebody waits;
- a waiting entry is in exactly one place, so it is claimed, withdrawn or refused, exactly once;
- everything is O(1), but for refusing all that wait.

States of an entry: WAITING (in the line, or blocked before it) -> RUNNING (holds a permit) -> ENDED;
or WAITING -> ENDED when withdrawn or refused. Only methods of this class move it, under the lock.

Assumes: ``accepted`` of an entry does nothing but release a lock; everything else that an entry or
a pool does happens outside the lock.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from holdfast.pools._entry import ENDED, RUNNING, WAITING, Entry
from holdfast.pools._permits import Permits, call_all

__all__ = ("Admission",)

_QUEUED: Final = (True, None)


class Admission(Permits):
    """Permits and the line for them. Every method may be called from any thread."""

    __slots__ = ()

    # ------------------------------------------------------------ in

    def try_enter(self) -> bool:
        """Take a permit for one call if one is free and nobody waits for it."""
        with self.lock:
            in_flight = self.in_flight
            if in_flight >= self.door or self._line:
                return False
            self.in_flight = in_flight = in_flight + 1
            counters = self.counters
            counters.submitted += 1
            if (
                in_flight > counters.peak_in_flight
            ):  # a call of max() would cost as much as all this
                counters.peak_in_flight = in_flight
            return True

    def try_borrow(self) -> bool:
        """Take a permit for a stream, which counts its items by itself, in a tally."""
        with self.lock:
            if self.in_flight >= self.door or self._line:
                return False
            self.in_flight += 1
            self._note_peak()
            return True

    def line_up(self, entry: Entry, *, may_block: bool) -> bool:
        """Give ``entry`` a place.

        Returns:
            True if it is in the queue (or will start at once); False if it is blocked before a full
            queue, which happens only with ``overflow="wait"`` and ``may_block``.

        Raises:
            QueueFull: There is no place.
            PoolClosed: The pool admits nothing any more.
            RateLimited: The rate is used up, and the pool rejects rather than waits.
        """
        with self.lock:
            queued, dropped = self._line_up(entry, may_block=may_block)
        if dropped is not None:
            self.refuse_dropped(dropped)
        return queued

    def line_up_if_free(self, entry: Entry) -> bool:
        """Give ``entry`` a place, if a permit is free that nobody else waits for: so it starts at once."""
        with self.lock:
            if len(self._line) + self.in_flight >= self.door:
                return False
            self._line_up(entry, may_block=False)
            return True

    def _line_up(self, entry: Entry, *, may_block: bool) -> tuple[bool, list[Entry] | None]:
        """Under the lock: whether ``entry`` is in the queue, and which were dropped for it."""
        counters, waiting, in_flight = self.counters, len(self._line), self.in_flight
        if (
            waiting + in_flight < self.room
        ):  # the common case: nothing speaks against it, and nobody is blocked
            counters.submitted += 1
            self._line[entry] = None
            if in_flight >= self.ceiling:
                self.contended = True
                if waiting >= counters.peak_queued:
                    if self._waiting_turns:
                        self._note_peak_queued()
                    else:  # the same, without the calls: all who wait are queued
                        counters.peak_queued = waiting + 1
            elif waiting + in_flight - self.ceiling >= counters.peak_queued:
                self._note_peak_queued()
            return _QUEUED
        return self._line_up_closely(entry, may_block=may_block)

    def _line_up_closely(self, entry: Entry, *, may_block: bool) -> tuple[bool, list[Entry] | None]:
        """The same, where something may speak against it."""
        if self.closed:
            raise self._refusal(
                self.why_closed,
                'it is closed (a standard executor says "RuntimeError: cannot schedule new futures after '
                'shutdown"); make a new pool, or submit before the end',
            )
        if self.abandoned:
            self._check_stuck()
        queued = True
        dropped: list[Entry] | None = None
        if not self._has_room(entry):
            if self.overflow == "wait" and may_block:
                queued = False
            elif self.overflow == "drop_oldest" and self._may_drop():
                dropped = self._drop_for(entry)
            else:
                raise self._refusal_when_full(entry)
        elif self.gate is not None and self.overflow == "reject":
            self._check_rate(self.gate, getattr(entry, "weights", None))
        self.counters.submitted += 1
        if queued:
            self._put(entry)
        else:
            self._blocked[entry] = None
            if (
                self.max_queue_bytes is not None
            ):  # an order may have put it before one that is too large
                self._accept_blocked()
                queued = entry not in self._blocked
        if self.in_flight >= self.ceiling:
            self.contended = True
        return queued, dropped

    def _line_up_all(self, entries: Sequence[Entry]) -> bool:
        """Under the lock: a place in the queue for each, if nothing speaks against it; else for none."""
        if self.closed or self.abandoned or self.gate is not None:
            return False
        if not self._has_room_for_all(entries):
            return False
        line: Any = self._line
        counters, count = self.counters, len(entries)
        if isinstance(self._line, OrderedDict):
            each = map(line.setdefault, entries)
            counters.submitted += count  # an interrupt comes before this, or after the next step
            any(each)  # all of them: what each is set to is None
        else:
            for entry in entries:
                line[entry] = None
                counters.submitted += 1
        self._note_peak_queued()
        if self.in_flight >= self.ceiling:
            self.contended = True
        return True

    def line_up_turn(self, entry: Entry, *, under_way: bool = False) -> bool:
        """Give a stream its one place in the line, over and above ``max_queue``; False if closed.

        Args:
            entry: Its turn.
            under_way: Whether it has had a permit: then it still has turns while the pool drains.
        """
        with self.lock:
            if self.closed and (self.turns_refused or not under_way):
                return False
            self._line[entry] = None
            self._waiting_turns += 1
            self._recount()
            return True

    def claim(self) -> Entry | None:
        """Give a permit to whoever is first in line, if there is one to give."""
        with self.lock:
            return self._claim()

    # ------------------------------------------------------------ out

    def leave(self, *, ok: bool) -> Entry | None:
        """Give one call's permit back; returns the entry that got it, or None."""
        with self.lock:
            if ok:
                self.counters.completed += 1
            else:
                self.counters.failed += 1
            if self._line or self._blocked or self.contended or self._idle_watchers:
                return self._give_back()
            self.in_flight -= 1  # the common case: nobody waits for anything
            return None

    def end(self, entry: Entry, ok: bool) -> Entry | None:
        """End a running entry; returns who got its permit.

        From here on ``entry.abandoned`` is final: whether somebody still waits for the outcome.
        """
        with self.lock:
            entry.state = ENDED
            if ok and not entry.abandoned:
                self.counters.completed += 1
            else:
                self.counters.failed += 1
                if entry.abandoned:
                    self._unabandon()
            if not self.room or self._blocked or self.rivals.starved:
                return self._give_back()
            line = self._line
            if line and self.in_flight <= self.ceiling:
                # The common case of a busy pool: the permit goes on, and nothing else changes.
                then, _ = line.popitem(False)
                then.state = RUNNING
                if not then.counted:
                    self._waiting_turns -= 1
                    self._note_peak_queued()
                if not line:
                    self.contended = False
                return then
            if line or self.contended or self._idle_watchers:
                return self._give_back()
            self.in_flight -= 1  # the common case of one that is not
            return None

    def give_back(self) -> Entry | None:
        """Return a permit that was borrowed, or that came too late to its entry."""
        with self.lock:
            return self._give_back()

    def give_back_unused(self, entry: Entry) -> Entry | None:
        """Return the permit of a claimed entry that was gone when it came, and so never started."""
        with self.lock:
            entry.state = ENDED
            self.counters.withdrawn += entry.counted
            return self._give_back()

    def withdraw(self, entry: Entry) -> bool:
        """Take a waiting entry out; False if it no longer waits."""
        with self.lock:
            if entry.state != WAITING:
                return False
            if entry in self._line:
                self._take_out(entry)
                self._accept_blocked()
            elif entry in self._blocked:
                del self._blocked[entry]
                self._accept_blocked()  # where calls have a size, the next may fit where it did not
            else:
                return False
            entry.state = ENDED
            self.counters.withdrawn += entry.counted
            watchers = self._recount()
        call_all(watchers)
        return True

    def abandon(self, entry: Entry, *, timed_out: bool) -> bool:
        """Note that nobody waits for a running entry any more; False if it isn't running."""
        with self.lock:
            if entry.state != RUNNING or entry.abandoned:
                return False
            entry.abandoned = True
            entry.abandoned_at = self._clock.now()
            self._abandon()
            self.counters.timeouts += timed_out
            watchers = self._recount()
        call_all(watchers)
        return True

    def count_timeout(self) -> None:
        """Note that a call was cancelled at its deadline."""
        with self.lock:
            self.counters.timeouts += 1

    def abandon_item(self, *, timed_out: bool = True) -> None:
        """Note that an item of a stream outlived its deadline, or its consumer; its permit stays held."""
        with self.lock:
            self._abandon()
            self.counters.timeouts += timed_out
            watchers = self._recount()
        call_all(watchers)

    def unabandon_item(self) -> None:
        """Note that such an item has ended at last."""
        with self.lock:
            self._unabandon()
            self._note_peak_queued()
            self._recount()

    # ------------------------------------------------------------ numbers from outside

    def resize(self, limit: int) -> None:
        """Set the limit. Who fits now is claimed by the caller; who no longer fits runs to its end."""
        with self.lock:
            self.own_limit = limit
            self._limit_anew()

    def restrict(self, cap: int | None) -> None:
        """Allow at most ``cap`` in flight for now, whatever the limit is; None lifts that, 0 starts nothing."""
        with self.lock:
            self.cap = cap
            self._limit_anew()

    def close(self, *, refuse_waiting: bool, keep_turns: bool = False) -> None:
        """Admit nothing any more; what waits is refused, or still gets its turn.

        Args:
            refuse_waiting: What waits is refused.
            keep_turns: Streams under way still have turns, until :meth:`end_turns`; else they are cut off.
        """
        with self.lock:
            self.closed = True
            if not keep_turns:
                self.turns_refused = True
            self.room = self.door = 0
            waiting: list[Entry] = list(self._blocked)
            self._blocked.clear()
            if refuse_waiting:
                waiting += self._clear()
            for entry in waiting:
                entry.state = ENDED
            self.counters.withdrawn += sum(entry.counted for entry in waiting)
            watchers = self._recount()
        for entry in waiting:
            entry.refuse(self.refusal(self.why_closed, "it closed before the call could start"))
        call_all(watchers)
        if not keep_turns:
            self.cut_off_streams()

    def end_turns(self) -> None:
        """A closed pool has drained, or the time for it is up: there are no turns any more."""
        with self.lock:
            self.turns_refused = True
        self.cut_off_streams()

    def waiting(self) -> list[Entry]:
        """Return who waits now, first come first."""
        with self.lock:
            return [*self._line, *self._blocked]

    def lone(self) -> bool:
        """Whether one entry waits, and nothing else is in the pool."""
        return len(self._line) == 1 and self.in_flight == 0

    def is_wanted(self) -> bool:
        """Whether somebody, here or in another pool, waits for what a stream holds on to."""
        return self.contended or self.rivals.starved > 0

    def after_fork(self, in_flight: int) -> None:
        """In a child: forget what is the parent's, but for calls in flight on the thread that forked."""
        self._forget_all()
        self._idle_watchers.clear()
        self.in_flight = in_flight
        self.waiting_inside = 0
        self._set_ceiling()

    def has(self, entry: Entry) -> bool:
        """Whether ``entry`` waits, in line or before it."""
        with self.lock:
            return entry in self._line or entry in self._blocked

    def has_work(self) -> bool:
        """Whether somebody in line could start now."""
        return bool(self._line) and self.in_flight < self.ceiling
