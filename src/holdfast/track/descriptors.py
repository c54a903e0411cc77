"""The descriptor budget: who opens something asks here first, and learns who holds the rest.

Purpose: the process never meets "Too many open files" for what holdfast opens. Opening beyond the bound
waits for its turn, or is refused with the names of the holders, while the process can still log, look
up a name and write its report.

The bound: what has been drawn stays within ``Budget.descriptors``; and what is really open (whoever
opened it), with what has been granted and is about to be opened, stays below the soft RLIMIT_NOFILE by
a reserve of a quarter of it, from 8 to 32. The limit is read each time, as it may be changed.

Guarantees
- first come, first served, over all threads and loops; nobody overtakes;
- a draw is given back once, by whom it was given to, or when it is collected;
- while somebody waits, pools with idle resources are asked to close one (``lend``), and the bound is
  looked at again now and then, because what others close is not told to anybody;
- a wait ends: granted, or refused after its timeout.

States of a draw: *opening* (granted, and not open yet as far as anybody knows: counted on top of what
the system says is open) -> *open* (the system counts it) -> given back. A draw for what comes and goes,
such as the limit of a client, is *open* at once.
"""

import asyncio
import os
import threading
import weakref
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from holdfast._core import check, clock
from holdfast.errors import UnderPressure
from holdfast.pools._timer import TIMER
from holdfast.pools.budget import current_budget
from holdfast.sense import overview  # for the budget: at the limit nothing can be imported any more
from holdfast.sense.own import read_own_descriptors
from holdfast.track._draws import Draw, Lender, LookAgain, Wanted, reserve_of, shortage
from holdfast.track._later import Later
from holdfast.track._place import GONE, REFUSED, SERVED, WAITING, LoopPlace, Place, ThreadPlace

_NEEDED_AT_THE_LIMIT: Final = (overview,)

__all__ = ("DESCRIPTORS", "DescriptorSupply", "Draw", "Lender", "reserve_of")

_LOOK_AGAIN: Final = 0.02
_LONGEST_PAUSE: Final = 0.5
"""Seconds after which the bound is looked at again while somebody waits, doubling from the first."""

_MOST_WAITING: Final = 10_000


class DescriptorSupply:
    """Hands out rights to descriptors. Every method may be called from any thread.

    There is one for the process, ``DESCRIPTORS``; others are for tests.

    Args:
        read: Returns how many descriptors are open and the soft limit; None for what is unknown.
        bound: Returns how many may be drawn in all.
    """

    def __init__(
        self,
        read: Callable[[], tuple[int | None, int | None]] = read_own_descriptors,
        bound: Callable[[], int] = lambda: current_budget().descriptors,
    ) -> None:
        self._read = read
        self._bound = bound
        self._lenders: weakref.WeakSet[Lender] = weakref.WeakSet()
        self._holders: Counter[str] = Counter()
        self._drawn = 0
        self.refused = 0
        self.waited = 0
        self._era = 0
        self._start_clean()

    def _start_clean(self) -> None:
        self._lock = threading.Lock()
        self._returned: Later[tuple[str, int, bool]] = Later()
        self._left: Later[Place[Draw]] = Later()
        self._line: OrderedDict[Place[Draw], None] = OrderedDict()
        self._opening = 0
        self._watched = False
        self._pause = _LOOK_AGAIN

    # ------------------------------------------------------------ asking

    def take(
        self,
        count: int = 1,
        *,
        owner: str,
        timeout: float | None = 10.0,
        least: int | None = None,
        is_open: bool = False,
    ) -> Draw:
        """Draw ``count`` descriptors, blocking while there are not as many left.

        In a thread that runs an event loop it does not block: there it is refused at once.

        Args:
            count: How many, at least 1.
            owner: Who will hold them, as it shall read in reports: ``"pool 'db'"``, ``"http 'llm'"``.
            timeout: Longest wait in seconds; 0 is none, None is no bound.
            least: Be content with as few as this, when there is not room for all; None is ``count``.
            is_open: For what comes and goes, such as the limit of a client: whether the draw is to be
                taken for open at once, and not to be announced by ``draw.opened()``.

        Returns:
            The right to as many as ``draw.count`` says. Call ``draw.opened()`` when they are open and
            ``draw.give_back()`` when they are closed.

        Raises:
            UnderPressure: Nothing was opened: there was no room within ``timeout``. The message names
                the holders.
        """
        wanted = self._wanted(owner, count, least, is_open=is_open)
        found = self._try(wanted)
        if found is not None:
            return found
        if timeout == 0.0 or _get_running_loop() is not None or not self._may_fit(wanted):
            raise self._refuse(wanted)
        now = clock.current()
        place: ThreadPlace[Draw] = ThreadPlace(now.now(), wanted)
        self._line_up(place)
        return place.wait(self, now, timeout)

    async def atake(
        self,
        count: int = 1,
        *,
        owner: str,
        timeout: float | None = 10.0,
        least: int | None = None,
        is_open: bool = False,
    ) -> Draw:
        """Do the same as :meth:`take` without holding the loop."""
        wanted = self._wanted(owner, count, least, is_open=is_open)
        found = self._try(wanted)
        if found is not None:
            return found
        if timeout == 0.0 or not self._may_fit(wanted):
            raise self._refuse(wanted)
        place: LoopPlace[Draw] = LoopPlace(clock.now(), asyncio.get_running_loop(), self, wanted)
        self._line_up(place)
        return await place.wait(timeout)

    def note(self, owner: str, count: int = 1) -> Draw:
        """Count descriptors that are open already, beyond the bound if need be.

        Args:
            owner: Who holds them.
            count: How many, at least 1.
        """
        with self._holding():
            return self._grant(Wanted(owner, count, count, is_open=True), count)

    def lends(self, lender: Lender) -> None:
        """Have ``lender`` asked for an idle descriptor when there are none left, while it lives."""
        with self._holding():
            self._lenders.add(lender)

    # ------------------------------------------------------------ what is known

    @property
    def drawn(self) -> int:
        """How many are drawn."""
        with self._holding():
            return self._drawn

    @property
    def waiting(self) -> int:
        """How many wait."""
        with self._holding():
            return len(self._line)

    def holders(self) -> tuple[tuple[str, int], ...]:
        """Return who has drawn how many, those with most first."""
        with self._holding():
            found = self._holders.most_common()
        return tuple((owner, count) for owner, count in found if count > 0)

    def left(self) -> int:
        """How many more could be drawn now."""
        with self._holding():
            room = self._room()
        return max(0, room)

    # ------------------------------------------------------------ of a draw

    def opened(self, draw: Draw) -> None:
        """The descriptors of a ``draw`` are open."""
        with self._holding():
            if not draw.is_open:
                draw.is_open = True
                self._opening -= draw.count if draw.era == self._era else 0

    def return_(self, draw: Draw, keep: int = 0) -> None:
        """The descriptors of a ``draw`` are closed, but for ``keep`` of them."""
        self.return_later(draw, keep)
        if self._line:
            self._pump()

    def return_later(self, draw: Draw, keep: int = 0) -> None:
        """Do the same as :meth:`return_` from where no lock can be taken."""
        count, draw.count = draw.count - keep, keep
        if count:
            self._returned.put((draw.owner, count, self._is_opening(draw)))

    # ------------------------------------------------------------ of a place in the line

    def leave(self, place: Place[Draw]) -> None:
        """See :class:`holdfast.track._place.Host`: a wait was broken off."""
        with self._holding():
            self._take_out(place)
        self._pump()

    def leave_later(self, place: Place[Draw]) -> None:
        """See :class:`holdfast.track._place.Host`: one was thrown away."""
        self._left.put(place)

    unheard = leave

    def expire(self, place: Place[Draw]) -> None:
        """See :class:`holdfast.track._place.Host`: one has waited long enough."""
        refusal = self._refusal(place.wants, clock.now() - place.since)
        with self._holding():
            if place.state == WAITING:
                place.state = REFUSED
                place.error = refusal
                del self._line[place]
                self.refused += 1
        self._pump()

    # ------------------------------------------------------------ inside

    def _wanted(self, owner: str, most: int, least: int | None, *, is_open: bool) -> Wanted:
        check.count("count", most, least=1)
        fewest = most if least is None else min(most, check.count("least", least, least=1))
        return Wanted(owner, most, fewest, is_open=is_open)

    def _try(self, wanted: Wanted) -> Draw | None:
        with self._holding():
            room = 0 if self._line else self._room()
            return self._grant(wanted, min(room, wanted.most)) if room >= wanted.least else None

    def _room(self) -> int:
        """How many may still be granted; under the lock."""
        room = self._bound() - self._drawn
        held, limit = self._read()
        if held is not None and limit is not None:
            room = min(room, limit - reserve_of(limit) - held - self._opening)
        return room

    def most(self) -> int:
        """How many there would be for everybody together, if none were open."""
        _, limit = self._read()
        return self._bound() if limit is None else min(self._bound(), limit - reserve_of(limit))

    def _may_fit(self, wanted: Wanted) -> bool:
        """Whether there would be room for it if nobody held anything."""
        return wanted.least <= self.most()

    def _refuse(self, wanted: Wanted) -> UnderPressure:
        with self._holding():
            self.refused += 1
        return self._refusal(wanted, 0.0)

    def _grant(self, wanted: Wanted, count: int) -> Draw:
        self._drawn += count
        self._holders[wanted.owner] += count
        if not wanted.is_open:
            self._opening += count
        return Draw(self, wanted.owner, count, self._era, is_open=wanted.is_open)

    def _take_back(self, returned: tuple[str, int, bool]) -> None:
        owner, count, was_opening = returned
        self._drawn -= count
        self._holders[owner] -= count
        if self._holders[owner] <= 0:
            del self._holders[owner]
        if was_opening:
            self._opening -= count

    def _is_opening(self, draw: Draw) -> bool:
        return not draw.is_open and draw.era == self._era

    def _line_up(self, place: Place[Draw]) -> None:
        with self._holding():
            full = len(self._line) >= _MOST_WAITING
            if not full:
                self._line[place] = None
                self.waited += 1
        if full:
            raise self._refuse(place.wants)
        self._ask_lenders()
        self._pump()  # room may have come since it looked

    def _take_out(self, place: Place[Draw]) -> None:
        """Under the lock: a place is given up, with what it may have been served."""
        if place.state == WAITING:
            self._line.pop(place, None)
        elif place.state == SERVED and place.thing is not None:
            draw = place.thing
            count, draw.count = draw.count, 0
            if count:
                self._take_back((draw.owner, count, self._is_opening(draw)))
        place.state = GONE

    def _pump(self) -> None:
        """Serve those who come first, as far as there is room; then see that somebody looks again."""
        while True:
            with self._holding():
                served = self._serve_first()
            if served is None:
                break
            if not served.wake():
                with self._holding():
                    self._take_out(served)
        self._watch()

    def _serve_first(self) -> Place[Draw] | None:
        for place in self._line:
            wanted: Wanted = place.wants
            room = self._room()
            if room < wanted.least:
                return None
            del self._line[place]
            place.thing = self._grant(wanted, min(room, wanted.most))
            place.state = SERVED
            self._pause = _LOOK_AGAIN
            return place
        return None

    @contextmanager
    def _holding(self) -> Generator[None]:
        """Hold the lock, and first do what was left by those who could not."""
        with self._lock:
            while (returned := self._returned.take()) is not None:
                self._take_back(returned)
            while (place := self._left.take()) is not None:
                self._take_out(place)
            yield

    # ------------------------------------------------------------ looking again

    def _watch(self) -> None:
        with self._holding():
            if self._watched or not self._line:
                return
            self._watched = True
            pause = self._pause
            self._pause = min(2 * pause, _LONGEST_PAUSE)
        try:
            TIMER.watch(LookAgain(self), pause)
        except RuntimeError:  # no thread to be had: those who give back look as well
            self._watched = False

    def look_again(self) -> None:
        """On the timer's thread: others may have closed something."""
        with self._holding():
            self._watched = False
        self._ask_lenders()
        self._pump()

    def _ask_lenders(self) -> None:
        """Have as many idle ones closed as the first in line lacks."""
        with self._holding():
            lenders = list(self._lenders)
            first = next(iter(self._line), None)
            lacking = 0 if first is None else first.wants.least - self._room()
        for lender in lenders:
            if lacking <= 0:
                return
            lacking -= lender.lend()

    def _refusal(self, wanted: Wanted, waited_s: float) -> UnderPressure:
        return shortage(
            wanted,
            waited_s=waited_s,
            drawn=self._drawn,
            bound=self._bound(),
            holders=self.holders(),
            read=self._read(),
        )

    def after_fork(self) -> None:
        """Start clean in a child: those who waited stayed with the parent, what is open is here too."""
        self._era += 1
        self._start_clean()


DESCRIPTORS: Final = DescriptorSupply()
"""The one supply of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=DESCRIPTORS.after_fork)
