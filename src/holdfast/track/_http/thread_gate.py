"""The line before a client that blocks: threads wait in it, first come first served.

States of whoever asks: let through at once, or in line -> SERVED (a ticket is in its hands, and counted
as out) | REFUSED (it has waited too long, or the client was closed) | GONE (an interrupt). Each change is
made under the lock; see ``_place.py``.

Guarantees: at most ``limit`` tickets are out; nobody overtakes; a ticket that was handed to a thread
which an interrupt has taken out of the line goes to the next. A thread that runs an event loop does not
wait: it is refused at once, because its loop would stand still.
"""

import threading
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from holdfast._core import clock
from holdfast.errors import PoolClosed
from holdfast.pools._forked import forks
from holdfast.track._http.plan import Plan
from holdfast.track._http.tickets import Door, Ticket, told
from holdfast.track._place import GONE, REFUSED, SERVED, WAITING, ThreadPlace
from holdfast.track._site import caller

__all__ = ("ThreadGate", "thread_gate_for")


class ThreadGate(Door):
    """Lets ``limit`` requests through at once. Every method may be called from any thread."""

    def __init__(
        self, purpose: str, limit: int, *, max_queue: int, queue_timeout: float | None
    ) -> None:
        super().__init__(
            f"http.blocking {purpose!r}",
            purpose,
            limit,
            max_queue=max_queue,
            queue_timeout=queue_timeout,
        )
        self._lock = threading.Lock()
        self._line: OrderedDict[ThreadPlace[Ticket], None] = OrderedDict()
        self._forked = False
        forks(self)

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._line)

    def out(self) -> list[Ticket]:
        """Return the tickets that are out, the oldest first."""
        with self._lock:
            return super().out()

    def enter(self, what: str) -> Ticket:
        """Wait for a ticket.

        Raises:
            QueueFull: Before start: ``max_queue`` requests wait, or an event loop runs in this thread.
            QueueTimeout: Before start: it waited ``queue_timeout`` seconds, or until the deadline.
            PoolClosed: Before start.
        """
        ticket = Ticket(self, what, caller())
        patience = self._patience()
        place: ThreadPlace[Ticket] = ThreadPlace(clock.now(), (ticket, patience))
        try:
            if self._let_through(ticket, place):
                return ticket
            return place.wait(self, clock.current(), patience)
        except BaseException:
            self.leave(place)
            ticket.give_back()  # an interrupt may come just after it was let out
            raise

    def _let_through(self, ticket: Ticket, place: ThreadPlace[Ticket]) -> bool:
        """Let a request through; or put it in line, and return False."""
        with self._lock:
            self._check_open()
            if not self._line and len(self._out) < self.limit:
                self._let_out(ticket)
                return True
            if len(self._line) >= self._max_queue:
                raise self._too_many()
            if _get_running_loop() is not None:
                why = (
                    "this thread runs an event loop, which must not wait: use the client of "
                    "holdfast.http there, which is awaited"
                )
                raise self._too_many(why)
            self._line[place] = None
            return False

    def take_back(self, ticket: Ticket) -> None:
        """A ticket's request is over."""
        with self._lock:
            self._out.pop(ticket, None)
            served = self._serve()
        for place in served:
            place.wake()

    def _serve(self) -> list[ThreadPlace[Ticket]]:
        """Hand tickets to those who come first; under the lock."""
        served: list[ThreadPlace[Ticket]] = []
        while self._line and len(self._out) < self.limit:
            place, _ = self._line.popitem(last=False)
            ticket, _ = place.wants
            place.thing = ticket
            place.state = SERVED
            self._let_out(ticket)
            served.append(place)
        return served

    # ------------------------------------------------------------ of a place in the line

    def leave(self, place: ThreadPlace[Ticket]) -> None:
        """See :class:`holdfast.track._place.Host`: a wait was broken off."""
        with self._lock:
            if place.state == WAITING:
                self._line.pop(place, None)
            unused = place.thing if place.state == SERVED else None
            place.state = GONE
        if unused is not None:
            unused.give_back()

    leave_later = unheard = leave  # of coroutines, which do not wait here

    def expire(self, place: ThreadPlace[Ticket]) -> None:
        """See :class:`holdfast.track._place.Host`: one has waited long enough."""
        with self._lock:
            if place.state != WAITING:
                return
            del self._line[place]
            ticket, patience = place.wants
            self._refuse(place, self._too_long(ticket.what, patience or 0.0))

    def _refuse(self, place: ThreadPlace[Any], error: Exception) -> None:
        place.state = REFUSED
        place.error = error

    # ------------------------------------------------------------ the end

    def close(self) -> None:
        """Refuse what waits, and all that comes."""
        refused: list[ThreadPlace[Ticket]] = []
        with self._lock:
            self._closed = True
            while self._line:
                place, _ = self._line.popitem(last=False)
                self._refuse(place, self._no_more())
                refused.append(place)
        for place in refused:
            place.wake()

    def who_is_out(self) -> str:
        """Return those that are out, in words; empty if there are none."""
        return told(self.out())

    def _check_open(self) -> None:
        if self._forked:
            msg = f"{self.name} belongs to the parent of this process; ask for it again here"
            raise PoolClosed(msg)
        super()._check_open()

    def after_fork(self) -> None:
        """In a child: its connections are the parent's, and are not to be used."""
        self._lock = threading.Lock()
        self._forked = True


def thread_gate_for(plan: Plan) -> Callable[[int], ThreadGate]:
    """Return what makes the gate of a plan, as wide as it is told."""
    return lambda limit: ThreadGate(
        plan.purpose, limit, max_queue=plan.max_queue, queue_timeout=plan.queue_timeout
    )
