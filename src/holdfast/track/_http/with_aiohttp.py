"""A shared session of aiohttp. Its pool is quick at a thousand requests in flight; ours is the line before."""

import asyncio
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from holdfast.track._http.connecting import patiently
from holdfast.track._http.gate import Gate, gate_for
from holdfast.track._http.plan import Plan, fitting
from holdfast.track._http.shared import Shared
from holdfast.track._http.sweeper import Sweeper

if TYPE_CHECKING:
    from holdfast.track._http.tickets import Ticket

__all__ = ("Connector", "Response", "make_session")

_TICKET = "_holdfast_ticket"


class Connector(aiohttp.TCPConnector):
    """Gives out a connection only with a ticket, which comes back with the connection."""

    def __init__(
        self, gate: Gate, started: Callable[[], None], *, patience: float | None, **more: Any
    ) -> None:
        above: Any = super()
        above.__init__(limit=gate.limit, **more)
        self._gate = gate
        self._started = started
        self._patience = patience

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Get a connection from the pool, or make one."""
        ticket = await self._gate.enter(f"{req.method} {req.url.host}")
        self._started()
        connect = super().connect
        try:
            connection = await patiently(
                self._gate, self._patience, lambda: connect(req, traces, timeout)
            )
        except BaseException:
            ticket.give_back()
            raise
        setattr(connection, _TICKET, ticket)
        connection.add_callback(ticket.give_back)
        return connection


class Response(aiohttp.ClientResponse):
    """Lets the sweeper see how far its reader has come."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        """Read the head."""
        response = await super().start(connection)
        ticket = cast("Ticket | None", getattr(connection, _TICKET, None))
        if ticket is not None:
            # Weak, so that a response which is dropped is collected, and lets go of its connection.
            ticket.progress = partial(_progress, weakref.ref(self))
            ticket.abandon = connection.close
        return response


def _progress(response: "weakref.ref[Response]") -> object | None:
    """How far the reader has come; None while it waits for the server, or where nobody can tell."""
    alive = response()
    content: Any = None if alive is None else alive.content
    if content is None or getattr(content, "_waiter", None) is not None:
        return None
    unread: int = getattr(content, "_size", 0)
    return int(content.total_bytes) - unread


def make_session(plan: Plan) -> Shared:
    """Make a session for the loop that runs.

    Raises:
        UnderPressure: There is no descriptor left for it.
    """
    gate, record = fitting(plan, gate_for(plan))
    sweeper = Sweeper(gate, idle_timeout=plan.idle_timeout, keepalive=plan.keepalive, reap=None)
    connector = Connector(
        gate, sweeper.start, patience=plan.queue_timeout, keepalive_timeout=plan.keepalive
    )
    session = aiohttp.ClientSession(connector=connector, response_class=Response, **dict(plan.more))

    async def close() -> None:
        await session.close()
        await asyncio.sleep(0)  # the transports close their sockets in the next pass

    return Shared(
        plan=plan,
        client=session,
        door=gate,
        sweeper=sweeper,
        close=close,
        is_closed=lambda: session.closed,
        record=record(session),
    )
