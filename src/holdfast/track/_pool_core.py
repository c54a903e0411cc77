"""The state of a resource pool: which places there are, who waits, who is next. It runs nothing.

Purpose: arithmetic under one lock. Whatever takes time (the functions of the user, waking somebody,
asking the timer) is put on a list and done after the lock was released.

Guarantees
- never more places than ``max_size``; a place is taken from before ``create`` until ``destroy`` has
  returned;
- first come, first served: whoever comes finds an idle resource only if nobody waits who could use it;
- at most ``max_opening`` resources are being opened at once, and only as many as somebody waits for, or
  ``min_size`` lacks; after a failure none until a pause has passed, longer each time;
- a resource that is on its way to somebody who has gone goes to the next (see ``_place.py``);
- resources that belong to a loop are lent in that loop alone. At the bound, when the first in line
  waits in a loop for which nothing is open or on its way, the next idle one of another loop is closed
  for it: so no loop starves.

States of a slot are in ``_pool_slot.py``; of a place in the line in ``_place.py``; of the pool: open ->
closing (nobody is let in, what comes back is closed) -> closed (no slot is left).
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from holdfast.errors import Rejected
from holdfast.limits import Retry
from holdfast.track._place import GONE as LEFT, REFUSED, SERVED, WAITING, Place
from holdfast.track._pool_lease import Lease
from holdfast.track._pool_places import PoolPlaces
from holdfast.track._pool_reports import Loan, tell_lost, tell_return
from holdfast.track._pool_slot import GONE, LEAKED, LENT, RESETTING, Asked, Slot
from holdfast.track._pool_words import closed_refusal, full_refusal, own_deadlock, timeout_refusal

if TYPE_CHECKING:
    from holdfast.track._pool_home import Home

__all__ = ("PoolCore",)

T = TypeVar("T")

_PAUSES: Final = Retry(2, on=(Exception,), wait=0.1, wait_max=30.0)


class PoolCore(PoolPlaces[T]):
    """See above. Every method may be called from any thread."""

    watch: Callable[[], None]
    """Called when there is something to look at now and then."""
    watch_retry: Callable[[float], None]
    """Called with the pause after which the next attempt to open is due."""
    watch_line: Callable[[], None]
    """Called when somebody waits: what finalizers leave has to be looked for."""

    def start_clean(self) -> None:
        """As in a child after a fork: nothing is open here, and nobody waits."""
        super().start_clean()
        self.ending: OrderedDict[Place[bool], None] = OrderedDict()

    # ------------------------------------------------------------ asking

    def take(self, asked: Asked) -> Lease[T] | None:
        """Return an idle resource at once, or None: then the caller has to wait."""
        with self:
            self.counters.requests += 1
            if self.closed:
                raise self.refused(closed_refusal(self))
            slot = self.pop_idle(asked.home)
            return None if slot is None else self._lend(slot, asked, 0.0)

    def line_up(self, place: Place[Lease[T]], *, again: bool = False) -> None:
        """Put somebody in line, or, ``again``, who was served something broken, at its head."""
        with self:
            if self.closed:
                raise self.refused(closed_refusal(self))
            if len(self.line) >= self.options.max_waiting and not again:
                raise self.refused(full_refusal(self))
            deadlock = own_deadlock(self, place.wants)
            if deadlock is not None:
                raise self.refused(deadlock)
            self.line[place] = None
            if again:
                self.line.move_to_end(place, last=False)
            else:
                self.counters.queued += 1
            self.counters.peak_waiting = max(self.counters.peak_waiting, len(self.line))
            self._pump()
        self.watch_line()

    def refuse_unasked(self, error: Rejected) -> Rejected:
        """Count a refusal that was decided outside."""
        with self:
            return self.refused(error)

    def leave(self, place: Place[Any]) -> None:
        """See :class:`holdfast.track._place.Host`: a wait was broken off."""
        with self:
            self._take_out(place)

    unheard = leave

    def leave_later(self, place: Place[Any]) -> None:
        """See :class:`holdfast.track._place.Host`: one was thrown away."""
        self.later.put(lambda: self._take_out(place))

    def expire(self, place: Place[Any]) -> None:
        """See :class:`holdfast.track._place.Host`: one has waited long enough."""
        with self:
            if place.state != WAITING:
                return
            if place in self.ending:
                del self.ending[place]
                place.state, place.thing = SERVED, False
                return
            del self.line[place]
            place.state = REFUSED
            place.error = self.refused(timeout_refusal(self, self.clock.now() - place.since))

    # ------------------------------------------------------------ giving back

    def give_back(self, slot: Slot[T], *, spoilt: str = "") -> bool:
        """A loan has ended; whether the caller has to have the resource reset.

        Args:
            slot: What was lent.
            spoilt: Why it can't be lent again; empty if it can.
        """
        with self:
            return self.end_loan(slot, spoilt)

    def found_broken(self, slot: Slot[T]) -> None:
        """A check has failed: what was lent does not work."""
        with self:
            if slot.state == LENT:
                self.counters.checks_failed += 1
                self.counters.served -= 1
                self.end_loan(slot, "broken")

    def lost(self, slot: Slot[T]) -> None:
        """A lease was collected; from anywhere."""
        self.later.put(lambda: self._lose(slot))

    def was_reset(self, slot: Slot[T], error: BaseException | None) -> None:
        """``reset`` has ended."""
        with self:
            if slot.state != RESETTING:
                return
            if error is not None:
                self.counters.resets_failed += 1
                self.close_slot(slot, "broken")
            elif self.closed or self.surplus() > 0:
                self.close_slot(slot, "closed" if self.closed else "shrunk")
            else:
                self.make_idle(slot)
            self._pump()

    # ------------------------------------------------------------ opening and closing

    def opened(self, slot: Slot[T], resource: T, took_s: float) -> None:
        """``create`` has returned."""
        with self:
            self.opening -= 1
            slot.home.opening -= 1
            self.failure, self.failures, self.retry_at = None, 0, 0.0
            self.counters.opened += 1
            self.counters.opening_time.add(took_s)
            slot.resource = resource
            slot.expires_at = self.options.expiry(self.clock.now())
            if self.closed or self.surplus() > 0:
                self.close_slot(slot, "closed" if self.closed else "shrunk")
            else:
                self.make_idle(slot)
            self._pump()
        self.watch()

    def open_failed(self, slot: Slot[T], error: BaseException) -> None:
        """``create`` has raised, or its loop has gone."""
        with self:
            self.opening -= 1
            slot.home.opening -= 1
            slot.state = GONE
            self.slots.pop(slot, None)
            self.counters.open_failures += 1
            self.failure = error
            self.failures += 1
            pause = _PAUSES.wait * 2.0 ** min(self.failures - 1, 16)
            self.retry_at = self.clock.now() + self.options.jittered(min(pause, _PAUSES.wait_max))
            self._pump()

    def gone(self, slot: Slot[T], error: BaseException | None) -> None:
        """``destroy`` has ended, or there is nothing left to be destroyed."""
        record, slot.record = slot.record, None
        if record is not None:
            record.drop()
        with self:
            if slot.state == GONE:
                return
            slot.state = GONE
            slot.resource = None
            self.closing -= 1
            self.slots.pop(slot, None)
            if error is not None:
                self.counters.close_failures += 1
            self._pump()
            self._end_if_empty()

    # ------------------------------------------------------------ the pool

    def pump(self) -> None:
        """Serve and open what can be."""
        with self:
            self._pump()

    def close(self) -> None:
        """Let nobody in any more, refuse those who wait, close what is idle."""
        with self:
            self.closed = True
            while self.line:
                place, _ = self.line.popitem(last=False)
                place.state = REFUSED
                place.error = self.refused(closed_refusal(self))
                self.todo.append((self._wake, place))
            for home in self.homes:
                while home.idle:
                    self.idle_count -= 1
                    self.close_slot(home.idle.pop(), "closed")
            self._end_if_empty()

    def when_empty(self, place: Place[bool]) -> None:
        """Serve ``place`` as soon as no slot is left."""
        with self:
            self.ending[place] = None
            self._end_if_empty()

    def close_one_idle(self, reason: str) -> bool:
        """Close the resource that has been idle for longest, if there are more than ``min_size``."""
        with self:
            if self.open_count() <= self.options.min_size:
                return False
            oldest = self.oldest_idle(None)
            if oldest is not None:
                self.close_slot(oldest, reason)
            return oldest is not None

    # ------------------------------------------------------------ inside, under the lock

    def _lend(self, slot: Slot[T], asked: Asked, waited_s: float) -> Lease[T]:
        slot.state = LENT
        slot.lent_at = now = self.clock.now()
        slot.site, slot.who, slot.in_block = asked.site, asked.who, asked.in_block
        slot.stage = 0
        counters = self.counters
        counters.served += 1
        counters.wait.add(waited_s)
        self.lent += 1
        if self.lent > counters.peak_lent:
            counters.peak_lent = self.lent
        return Lease(self, slot, now - slot.idle_since)

    def end_loan(self, slot: Slot[T], spoilt: str) -> bool:
        """See :meth:`give_back`; under the lock."""
        if slot.state != LENT or slot not in self.slots:
            return False  # given back before; or in a child after a fork, where it is the parent's
        self.lent -= 1
        now = self.clock.now()
        self.counters.usage.add(now - slot.lent_at)
        if slot.stage:
            self.todo.append((tell_return, Loan.of(self, slot, now)))
            self.counters.unleaked += slot.stage == LEAKED
        slot.who = None
        if spoilt:
            self.close_slot(slot, spoilt)
        elif self.closed or self.surplus() > 0:
            self.close_slot(slot, "closed" if self.closed else "shrunk")
        elif now >= slot.expires_at:
            self.close_slot(slot, "expired")
        elif self.options.resets:
            slot.state = RESETTING
            return True
        else:
            self.make_idle(slot)
        self._pump()
        return False

    def _lose(self, slot: Slot[T]) -> None:
        if slot.state == LENT:
            self.todo.append((tell_lost, Loan.of(self, slot, self.clock.now())))
            self.end_loan(slot, "lost")

    def _take_out(self, place: Place[Any]) -> None:
        if place.state == WAITING:
            self.ending.pop(place, None)
            if self.line.pop(place, _ABSENT) is not _ABSENT:
                self.counters.withdrawn += 1
        elif place.state == SERVED and place.thing is not None and place.thing is not True:
            lease, place.thing = place.thing, None
            slot = cast("Lease[T]", lease).forget() if isinstance(lease, Lease) else None
            if slot is not None and slot.state == LENT:
                self.counters.withdrawn += 1
                self._untouched(slot)
        place.state = LEFT
        self._pump()

    def _untouched(self, slot: Slot[T]) -> None:
        """A resource did not reach its borrower: it goes on to the next."""
        self.lent -= 1
        self.counters.served -= 1
        slot.who = None
        if self.closed:
            self.close_slot(slot, "closed")
        else:
            self.make_idle(slot)

    def _pump(self) -> None:
        if self.line and self.idle_count and not self.closed:
            self._serve()
        if (self.line or self._lacking()) and not self.closed:
            self._grow()

    def _lacking(self) -> bool:
        return self.fill_home is not None and self.open_count() < self.options.min_size

    def _serve(self) -> None:
        """Hand out what is idle, in the order of the line."""
        served: list[tuple[Place[Lease[T]], Slot[T]]] = []
        relief = self.opening + self.closing > 0 or len(self.slots) < self.options.max_size
        for place in self.line:
            if not self.idle_count:
                break
            slot = self.pop_idle(place.wants.home)
            if slot is not None:
                served.append((place, slot))
            elif not relief and (other := self.oldest_idle(place.wants.home)) is not None:
                self.close_slot(other, "replaced")
                relief = True
        now = self.clock.now()
        for place, slot in served:
            del self.line[place]
            place.thing = self._lend(slot, place.wants, now - place.since)
            place.state = SERVED
            self.todo.append((self._wake, place))

    def _wake(self, place: Place[Any]) -> None:
        if not place.wake():
            self.unheard(place)

    def _grow(self) -> None:
        """Have as many opened as are waited for, or lacking, and may be."""
        options = self.options
        while self.opening < options.max_opening and len(self.slots) < options.max_size:
            home = self._home_to_open()
            if home is None:
                return
            left = self.retry_at - self.clock.now()
            if left > 0.0:
                self.todo.append((self.watch_retry, left))
                return
            slot: Slot[T] = Slot(home)
            self.slots[slot] = None
            self.homes[home] = None
            self.opening += 1
            home.opening += 1
            self.counters.peak_size = max(self.counters.peak_size, len(self.slots))
            self.todo.append((home.open, slot))

    def _home_to_open(self) -> "Home[T] | None":
        waiting: dict[Home[T], int] = {}
        for place in self.line:
            home: Home[T] = place.wants.home
            waiting[home] = waiting.get(home, 0) + 1
            if waiting[home] > home.opening:
                return home
        return self.fill_home if self._lacking() else None

    def _end_if_empty(self) -> None:
        if self.slots or not self.closed:
            return
        while self.ending:
            place, _ = self.ending.popitem(last=False)
            place.state, place.thing = SERVED, True
            self.todo.append((self._wake, place))


_ABSENT: Final = object()
