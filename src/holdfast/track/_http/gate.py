"""Requests are bounded before the client, first come first served, and each has a line in the program.

Purpose: a client's own pool is a poor queue. httpx looks at every connection for every request that
waits, and answers none of a thousand; all of them wait for ten minutes without a word about who holds
the connections. Here a request waits before the client, in O(1), and the error names the holders.

Guarantees: at most ``limit`` tickets are out; nobody overtakes; who is cancelled leaves in O(1), and a
ticket that was just handed to somebody who has gone goes to the next. Everything happens on the loop's
own thread; a ticket that the collector finds elsewhere is brought there.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from holdfast.track._http.plan import Plan
from holdfast.track._http.tickets import Door, Ticket
from holdfast.track._site import caller

__all__ = ("Gate", "gate_for")


class Gate(Door):
    """Lets ``limit`` requests through at once. One for each client, and so for each loop."""

    def __init__(
        self, purpose: str, limit: int, *, max_queue: int, queue_timeout: float | None
    ) -> None:
        super().__init__(
            f"http {purpose!r}",
            purpose,
            limit,
            max_queue=max_queue,
            queue_timeout=queue_timeout,
            ends_with="event loop",
        )
        self._loop = asyncio.get_running_loop()
        self._granted = 0  # handed to somebody who has not taken it yet
        self._line: OrderedDict[asyncio.Future[None], None] = OrderedDict()

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._line)

    async def enter(self, what: str) -> Ticket:
        """Wait for a ticket.

        Raises:
            QueueFull: Before start: ``max_queue`` requests wait.
            QueueTimeout: Before start: it waited ``queue_timeout`` seconds, or until the deadline.
            PoolClosed: Before start.
        """
        site = caller()
        self._check_open()
        if self._line or len(self._out) + self._granted >= self.limit:
            await self._wait(what)
            self._granted -= 1
        ticket = Ticket(self, what, site)
        self._let_out(ticket)
        return ticket

    async def _wait(self, what: str) -> None:
        if len(self._line) >= self._max_queue:
            raise self._too_many()
        patience = self._patience()
        place: asyncio.Future[None] = self._loop.create_future()
        self._line[place] = None
        try:
            async with asyncio.timeout(patience):
                await place
        except TimeoutError:
            self._withdraw(place)
            raise self._too_long(what, patience or 0.0) from None
        except BaseException:
            self._withdraw(place)
            raise

    def _withdraw(self, place: "asyncio.Future[None]") -> None:
        self._line.pop(place, None)
        if place.done() and not place.cancelled() and place.exception() is None:
            self._granted -= 1
            self._serve()

    def take_back(self, ticket: Ticket) -> None:
        """A ticket's request is over; from any thread."""
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here or self._loop.is_closed():
            self._remove(ticket)
        else:
            try:
                self._loop.call_soon_threadsafe(self._remove, ticket)
            except RuntimeError:  # closed since
                self._remove(ticket)

    def _remove(self, ticket: Ticket) -> None:
        if self._out.pop(ticket, self) is not self:
            self._serve()

    def _serve(self) -> None:
        while self._line and len(self._out) + self._granted < self.limit:
            place, _ = self._line.popitem(last=False)
            if not place.done():
                self._granted += 1
                place.set_result(None)

    def close(self) -> None:
        """Refuse what waits, and all that comes."""
        self._closed = True
        while self._line:
            place, _ = self._line.popitem(last=False)
            if not place.done():
                place.set_exception(self._no_more())


def gate_for(plan: Plan) -> Callable[[int], Gate]:
    """Return what makes the gate of a plan, as wide as it is told."""
    return lambda limit: Gate(
        plan.purpose, limit, max_queue=plan.max_queue, queue_timeout=plan.queue_timeout
    )
