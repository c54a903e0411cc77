"""Requests under way: the ticket of each, and what every line before a client says of them.

States of a ticket: made -> out (its request is under way, its response may still be read) -> back, once.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from holdfast._core import clock
from holdfast.errors import PoolClosed, QueueFull, QueueTimeout
from holdfast.pools.deadline import remaining
from holdfast.track._site import Site

__all__ = ("Door", "HttpStats", "Ticket", "told")

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpStats:
    """One reading of a shared client.

    Attributes:
        purpose: What it is for.
        library: ``"aiohttp"``, ``"httpx"`` or ``"httpx2"``, or the SDK: ``"anthropic"``, ``"openai"``.
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
        abandon: Closes the response, for a reader that does not come back; False if it has come back.
    """

    __slots__ = (
        "_back",
        "_door",
        "abandon",
        "progress",
        "seen",
        "since",
        "site",
        "still_since",
        "what",
    )

    def __init__(self, door: "Door", what: str, site: Site) -> None:
        self._door = door
        self._back = False
        self.what = what
        self.site = site
        self.since = clock.now()
        self.progress: Callable[[], object | None] | None = None
        self.abandon: Callable[[], object] | None = None
        self.seen: object | None = None
        self.still_since = self.since

    def give_back(self) -> None:
        """The request is over; may be repeated, from any thread."""
        if self._back:
            return
        self._back = True
        self.progress = self.abandon = None
        self._door.take_back(self)

    def __str__(self) -> str:
        return f"{self.what} since {clock.now() - self.since:.1f} s, asked for at {self.site}"


class Door(ABC):
    """What both lines have in common: who is out, the figures, and the words of a refusal.

    Args:
        name: What it is called in messages: ``http 'llm'``.
        purpose: What the client is for.
        limit: Most tickets that are out at once.
        max_queue: Most requests that wait.
        queue_timeout: Longest wait in seconds.
        ends_with: With what the client is closed, for a message; empty if with nothing of its own.
    """

    def __init__(
        self,
        name: str,
        purpose: str,
        limit: int,
        *,
        max_queue: int,
        queue_timeout: float | None,
        ends_with: str = "",
    ) -> None:
        self.name = name
        self.purpose = purpose
        self.limit = limit
        self.peak = 0
        self.requests = 0
        self.refused = 0
        self.abandoned = 0
        self.shortages = 0
        self._max_queue = max_queue
        self._queue_timeout = queue_timeout
        self._ends_with = ends_with
        self._out: dict[Ticket, None] = {}
        self._closed = False

    @property
    @abstractmethod
    def queued(self) -> int:
        """How many wait."""

    @abstractmethod
    def take_back(self, ticket: Ticket) -> None:
        """A ticket's request is over; from any thread."""

    @abstractmethod
    def close(self) -> None:
        """Refuse what waits, and all that comes."""

    def out(self) -> list[Ticket]:
        """Return the tickets that are out, the oldest first."""
        return list(self._out)

    def stats(self, library: str) -> HttpStats:
        """Return one reading."""
        out = self.out()
        return HttpStats(
            purpose=self.purpose,
            library=library,
            limit=self.limit,
            in_flight=len(out),
            queued=self.queued,
            peak_in_flight=self.peak,
            requests=self.requests,
            refused=self.refused,
            abandoned=self.abandoned,
            shortages=self.shortages,
            holders=tuple(map(str, out)),
        )

    # ------------------------------------------------------------ for the lines

    def _let_out(self, ticket: Ticket) -> None:
        ticket.since = ticket.still_since = clock.now()
        self._out[ticket] = None
        self.requests += 1
        self.peak = max(self.peak, len(self._out))

    def _patience(self) -> float | None:
        """Longest wait from now on, in seconds."""
        left, patience = remaining(), self._queue_timeout
        if left is None:
            return patience
        return left if patience is None else min(left, patience)

    def _check_open(self) -> None:
        if self._closed:
            where = f" in the {self._ends_with} that runs" if self._ends_with else ""
            msg = f"{self.name} was closed{self._with_what()}; ask for it again{where}"
            raise PoolClosed(msg)

    def _with_what(self) -> str:
        return f" with its {self._ends_with}" if self._ends_with else ""

    def _too_many(self, why: str = "") -> QueueFull:
        self.refused += 1
        return QueueFull(
            f"{self.name}: {self.queued} requests wait for {self.limit}, and "
            f"{why or f'max_queue is {self._max_queue}'}; {self._advice()}"
        )

    def _too_long(self, what: str, waited_s: float) -> QueueTimeout:
        self.refused += 1
        return QueueTimeout(
            f"{self.name}: {what} waited {waited_s:g} s and was not sent; {self._advice()}"
        )

    def _no_more(self) -> PoolClosed:
        return PoolClosed(f"{self.name} was closed{self._with_what()} before the request was sent")

    def _advice(self) -> str:
        held = told(self._out)
        return (
            "bound the calls in front of the client (a pool), raise limit, or close responses sooner. "
            f"Under way: {held or 'nothing'}"
        )


def told(tickets: Iterable[Ticket]) -> str:
    """Return the oldest few in words, and how many more there are."""
    every = list(tickets)
    more = len(every) - _SHOWN
    return "; ".join(map(str, every[:_SHOWN])) + (f"; and {more} more" if more > 0 else "")
