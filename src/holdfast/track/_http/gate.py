"""Requests are bounded before the client, first come first served, and each has a line in the program.

Purpose: a client's own pool is a poor queue. httpx looks at every connection for every request that
waits, and answers none of a thousand; all of them wait for ten minutes without a word about who holds
the connections. Here a request waits before the client, in O(1), and the error names the holders.

States of a ticket: out (its request is under way, its response may still be read) -> back, once.
Guarantees: at most ``limit`` tickets are out; nobody overtakes; who is cancelled leaves in O(1), and a
ticket that was just handed to somebody who has gone goes to the next. Everything happens on the loop's
own thread; a ticket that the collector finds elsewhere is brought there.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from holdfast._core import clock
from holdfast.errors import PoolClosed, QueueFull, QueueTimeout
from holdfast.pools.deadline import remaining
from holdfast.track._site import Site, caller

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Gate", "HttpStats", "Ticket")

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpStats:
    """One reading of a shared client.

    Attributes:
        purpose: What it is for.
        library: ``"aiohttp"``, ``"httpx"`` or ``"httpx2"``.
        limit: Most requests under way at once.
        in_flight: Requests under way, those whose response is still being read among them.
        queued: Requests that wait.
        peak_in_flight: Most that were under way at once.
        requests: Requests that were let through.
        refused: Requests that were refused while they waited, or before.
        abandoned: Responses that nobody read on, and that were closed.
        shortages: How often the system had no descriptor for a new connection.
        holders: Who is under way: what, since when, and the line that asked, the oldest first.
    """

    purpose: str
    library: str
    limit: int
    in_flight: int
    queued: int
    peak_in_flight: int
    requests: int
    refused: int
    abandoned: int
    shortages: int
    holders: tuple[str, ...]


class Ticket:
    """The right to one request and its response.

    Attributes:
        what: Method and host.
        site: The line that asked.
        since: When it was handed out, on the clock in use.
        progress: Says how far the reader of the response has come, or None while it is at work.
        abandon: Closes the response, for a reader that does not come back.
    """

    __slots__ = (
        "_back",
        "_gate",
        "abandon",
        "progress",
        "seen",
        "since",
        "site",
        "still_since",
        "what",
    )

    def __init__(self, gate: "Gate", what: str, site: Site) -> None:
        self._gate = gate
        self._back = False
        self.what = what
        self.site = site
        self.since = clock.now()
        self.progress: Callable[[], object | None] | None = None
        self.abandon: Callable[[], None] | None = None
        self.seen: object | None = None
        self.still_since = self.since

    def give_back(self) -> None:
        """The request is over; may be repeated, from any thread."""
        if self._back:
            return
        self._back = True
        self.progress = self.abandon = None
        self._gate.take_back(self)

    def __str__(self) -> str:
        return f"{self.what} since {clock.now() - self.since:.1f} s, asked for at {self.site}"


class Gate:
    """Lets ``limit`` requests through at once. One for each client, and so for each loop."""

    def __init__(
        self, purpose: str, limit: int, *, max_queue: int, queue_timeout: float | None
    ) -> None:
        self.purpose = purpose
        self.limit = limit
        self._max_queue = max_queue
        self._queue_timeout = queue_timeout
        self._loop = asyncio.get_running_loop()
        self._out: dict[Ticket, None] = {}
        self._granted = 0  # handed to somebody who has not taken it yet
        self._line: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._closed = False
        self.peak = 0
        self.requests = 0
        self.refused = 0
        self.abandoned = 0
        self.shortages = 0

    def out(self) -> list[Ticket]:
        """Return the tickets that are out, the oldest first."""
        return list(self._out)

    def stats(self, library: str) -> HttpStats:
        """Return one reading."""
        return HttpStats(
            purpose=self.purpose,
            library=library,
            limit=self.limit,
            in_flight=len(self._out),
            queued=len(self._line),
            peak_in_flight=self.peak,
            requests=self.requests,
            refused=self.refused,
            abandoned=self.abandoned,
            shortages=self.shortages,
            holders=tuple(map(str, self._out)),
        )

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
        self._out[ticket] = None
        self.requests += 1
        self.peak = max(self.peak, len(self._out))
        return ticket

    def _check_open(self) -> None:
        if self._closed:
            msg = f"http {self.purpose!r} was closed with its event loop; ask for it again in the loop that runs"
            raise PoolClosed(msg)

    async def _wait(self, what: str) -> None:
        if len(self._line) >= self._max_queue:
            self.refused += 1
            msg = (
                f"http {self.purpose!r}: {len(self._line)} requests wait for {self.limit}, and max_queue is "
                f"{self._max_queue}; {self._advice()}"
            )
            raise QueueFull(msg)
        left, patience = remaining(), self._queue_timeout
        if left is not None:
            patience = left if patience is None else min(left, patience)
        place: asyncio.Future[None] = self._loop.create_future()
        self._line[place] = None
        try:
            async with asyncio.timeout(patience):
                await place
        except TimeoutError:
            self._withdraw(place)
            self.refused += 1
            msg = f"http {self.purpose!r}: {what} waited {patience:g} s and was not sent; {self._advice()}"
            raise QueueTimeout(msg) from None
        except BaseException:
            self._withdraw(place)
            raise

    def _withdraw(self, place: "asyncio.Future[None]") -> None:
        self._line.pop(place, None)
        if place.done() and not place.cancelled() and place.exception() is None:
            self._granted -= 1
            self._serve()

    def _advice(self) -> str:
        held = [str(ticket) for ticket in list(self._out)[:_SHOWN]]
        more = len(self._out) - len(held)
        return (
            "bound the calls in front of the client (an AsyncPool), raise limit, or close responses sooner. "
            f"Under way: {'; '.join(held) or 'nothing'}{f'; and {more} more' if more else ''}"
        )

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
        msg = f"http {self.purpose!r} was closed with its event loop before the request was sent"
        while self._line:
            place, _ = self._line.popitem(last=False)
            if not place.done():
                place.set_exception(PoolClosed(msg))
