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
from typing import Final

from holdfast._core.on_loop import before_close, keep, kept
from holdfast.track._http.plan import Held, Plan, of_purpose
from holdfast.track._http.sweeper import Sweeper
from holdfast.track._http.tickets import HttpStats
from holdfast.track._loop_end import LoopEnd

__all__ = ("Shared", "clients_here")

log = logging.getLogger("holdfast.track")

_KEY: Final = "_holdfast_http"
_END_S: Final = 5.0


@dataclass(slots=True, kw_only=True)
class Shared(Held):
    """A client that is shared by the coroutines of a loop.

    Attributes:
        sweeper: Looks after it.
        close: Closes it.
    """

    sweeper: Sweeper
    close: Callable[[], Awaitable[None]]

    async def aclose(self) -> None:
        """Close it."""
        self.door.close()
        await self.sweeper.aclose()
        try:
            async with asyncio.timeout(_END_S):
                await self.close()
        except Exception:
            log.exception("%s: could not be closed", self.door.name)
        self.forget()


class Clients:
    """Those of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.shared: dict[tuple[str, str], Shared] = {}
        self._end = LoopEnd(self.aclose)  # they live as long as the loop, on which they stand

        def close() -> None:
            if not loop.is_closed():
                if self.shared:
                    loop.run_until_complete(self.aclose())
                self._end.forget()

        before_close(loop, close)

    def get(self, plan: Plan, make: Callable[[Plan], Shared]) -> Shared:
        """Return the client of a purpose; see :func:`of_purpose`."""
        return of_purpose(self.shared, plan, make)

    def stats(self) -> tuple[HttpStats, ...]:
        """Return a reading of each."""
        return tuple(s.door.stats(s.plan.library) for s in self.shared.values())

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
    clients: Clients | None = kept(loop, _KEY)
    if clients is None:
        clients = Clients(loop)
        keep(loop, _KEY, clients)
    return clients
