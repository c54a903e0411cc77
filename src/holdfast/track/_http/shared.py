"""The clients of each event loop, by purpose, and their end: with the loop, however it ends.

Purpose: a client per request, or per agent, costs a connection each and 30 milliseconds to make. Here
who asks for the same purpose in the same loop gets the same client.

A client lives until its loop does not run any more. ``asyncio.run`` shuts down asynchronous generators
as its last act, and one of ours stands among them; a loop that is closed by hand is stopped in
``loop.close``, where it can still run for a moment.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from holdfast.track._http.gate import Gate, HttpStats
from holdfast.track._http.sweeper import Sweeper
from holdfast.track._loop_end import LoopEnd
from holdfast.track._registry import REGISTRY, Record
from holdfast.track._site import caller
from holdfast.track.descriptors import DESCRIPTORS

__all__ = ("Plan", "Shared", "clients_here", "fitting_gate")

log = logging.getLogger("holdfast.track")

_KEY: Final = "_holdfast_http"
_END_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked of a shared client; two that ask for the same purpose must agree.

    Attributes:
        library: Which client.
        purpose: What for.
        limit: Most requests at once.
        max_queue: Most that wait.
        queue_timeout: Longest wait in seconds.
        keepalive: Seconds that an idle connection stays open.
        idle_timeout: Seconds after which a response without a reader is closed.
        more: Further arguments of the client's own.
    """

    library: str
    purpose: str
    limit: int
    max_queue: int
    queue_timeout: float | None
    keepalive: float
    idle_timeout: float
    more: tuple[tuple[str, Any], ...]


@dataclass(slots=True, kw_only=True)
class Shared:
    """A client that is shared, and what belongs to it."""

    plan: Plan
    client: Any
    gate: Gate
    sweeper: Sweeper
    close: Callable[[], Awaitable[None]]
    is_closed: Callable[[], bool]
    record: Record | None = None

    async def aclose(self) -> None:
        """Close it."""
        self.gate.close()
        await self.sweeper.aclose()
        try:
            async with asyncio.timeout(_END_S):
                await self.close()
        except Exception:
            log.exception("http %r: could not be closed", self.plan.purpose)
        if self.record is not None:
            self.record.drop()


class Clients:
    """Those of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.shared: dict[tuple[str, str], Shared] = {}
        self._end = LoopEnd(self.aclose)  # they live as long as the loop, on which they stand
        close = loop.close

        def close_after_the_clients() -> None:
            if not loop.is_running() and not loop.is_closed():
                if self.shared:
                    loop.run_until_complete(self.aclose())
                self._end.forget()
            close()

        loop.__dict__["close"] = close_after_the_clients  # this loop's alone

    def get(self, plan: Plan, make: Callable[[Plan], Shared]) -> Shared:
        """Return the client of a purpose, a new one if there is none or somebody has closed it.

        Raises:
            ValueError: There is one, and it was asked for differently.
        """
        key = (plan.library, plan.purpose)
        found = self.shared.get(key)
        if found is not None and not found.is_closed():
            if found.plan != plan:
                where = found.record.told().where if found.record is not None else "?"
                msg = (
                    f"http {plan.purpose!r} is there already, made at {where} with other arguments; name "
                    "another purpose, or ask for the same"
                )
                raise ValueError(msg)
            return found
        if found is not None:
            found.gate.close()
            if found.record is not None:
                found.record.drop()
        shared = make(plan)
        self.shared[key] = shared
        return shared

    def stats(self) -> tuple[HttpStats, ...]:
        """Return a reading of each."""
        return tuple(s.gate.stats(s.plan.library) for s in self.shared.values())

    async def aclose(self) -> None:
        """Close all of them, the youngest first."""
        while self.shared:
            _, shared = self.shared.popitem()
            await shared.aclose()


def clients_here() -> Clients:
    """Return the clients of the loop that runs.

    Raises:
        RuntimeError: No loop runs here.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        msg = (
            "a shared HTTP client belongs to an event loop: ask for it inside of a coroutine, each time that "
            "you need it"
        )
        raise RuntimeError(msg) from None
    clients: Clients | None = loop.__dict__.get(_KEY)
    if clients is None:
        clients = loop.__dict__[_KEY] = Clients(loop)
    return clients


def fitting_gate(plan: Plan) -> tuple[Gate, Callable[[Any], Record]]:
    """Return a gate as wide as was asked for, or as the process has descriptors for.

    Returns:
        The gate, and what puts the client into the registry.

    Raises:
        UnderPressure: There is not one descriptor to be had.
    """
    owner = f"http {plan.purpose!r}"
    draw = DESCRIPTORS.take(plan.limit, owner=owner, least=1, timeout=0.0, is_open=True)
    if draw.count < plan.limit:
        log.warning(
            "http %r: a limit of %d was asked for, and there are descriptors for %d: that many requests "
            "run at once",
            plan.purpose,
            plan.limit,
            draw.count,
        )
    gate = Gate(
        plan.purpose, draw.count, max_queue=plan.max_queue, queue_timeout=plan.queue_timeout
    )
    site = caller()

    def record(client: Any) -> Record:
        return REGISTRY.add(
            client,
            site=site,
            owner=owner,
            kind=f"{plan.library} client",
            name=plan.purpose,
            draw=draw,
        )

    return gate, record
