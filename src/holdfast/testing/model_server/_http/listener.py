"""Accepts connections, bounds their number, ends those that outlive their deadline."""

import asyncio
import socket
from dataclasses import dataclass

from holdfast._core import clock
from holdfast.testing.model_server._http.connection import Connection, Handler
from holdfast.testing.model_server._http.reader import RequestReader
from holdfast.testing.model_server._stats import Counters

__all__ = ("Bounds", "Listener")

_LONGEST_SWEEP_S = 1.0
_SHORTEST_SWEEP_S = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How much, and how long; the meaning of each is in ``Options``."""

    max_connections: int
    max_head_bytes: int
    max_request_bytes: int
    idle_timeout: float
    request_timeout: float


class Listener:
    """A listening socket and the connections that came of it.

    Purpose: the life of a server: open, accept, sweep, close.
    Guarantees: after ``aclose`` returns, no connection, no timer and no listening socket is left.
    Assumptions: used in one event loop only.
    """

    def __init__(self, handler: Handler, counters: Counters, bounds: Bounds) -> None:
        self.handler = handler
        self.idle_timeout = bounds.idle_timeout
        self.request_timeout = bounds.request_timeout
        self._bounds = bounds
        self._counters = counters
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._closing = False
        self.address: tuple[str, int] = ("", 0)

    async def open(self, host: str, port: int) -> None:
        """Listen on ``host`` and ``port``.

        Raises:
            OSError: The address is not known, not of this machine, or taken.
        """
        loop = asyncio.get_running_loop()
        backlog = min(self._bounds.max_connections, 4096)
        listening = _listen(host, port, backlog)
        try:
            self._server = await loop.create_server(
                lambda: Connection(self), sock=listening, backlog=backlog
            )
        except BaseException:
            listening.close()
            raise
        bound = listening.getsockname()
        self.address = (str(bound[0]), int(bound[1]))
        self._sweep()

    async def aclose(self, grace: float) -> None:
        """Accept nothing more, let answers in progress end within ``grace`` seconds, end the rest."""
        self._closing = True
        if self._server is not None:
            self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in tuple(self._connections):
            connection.finish()
        try:
            async with asyncio.timeout(grace):
                await self._empty.wait()
        except TimeoutError:
            pass
        finally:
            for connection in tuple(self._connections):
                connection.abort()
        await self._empty.wait()

    # ------------------------------------------------------------ what connections ask

    def reader(self) -> RequestReader:
        """Make the reader for one connection."""
        return RequestReader(
            max_head=self._bounds.max_head_bytes, max_body=self._bounds.max_request_bytes
        )

    def enter(self, connection: Connection) -> bool:
        """Register an open connection; False if there is no room for it."""
        if self._closing or len(self._connections) >= self._bounds.max_connections:
            self._counters.add("refused_connections")
            return False
        self._connections.add(connection)
        self._empty.clear()
        self._counters.rise("connections")
        return True

    def leave(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        if connection in self._connections:
            self._connections.remove(connection)
            self._counters.fall("connections")
            if not self._connections:
                self._empty.set()

    # ------------------------------------------------------------ deadlines

    def _sweep(self) -> None:
        """End what is overdue, and look again: one timer for all deadlines."""
        now = clock.now()
        for connection in [one for one in self._connections if one.deadline <= now]:
            connection.expire()
        shortest = min(self.idle_timeout, self.request_timeout) / 4
        pause = min(_LONGEST_SWEEP_S, max(_SHORTEST_SWEEP_S, shortest))
        self._sweeper = asyncio.get_running_loop().call_later(pause, self._sweep)


def _listen(host: str, port: int, backlog: int) -> socket.socket:
    # Looked up here and not by the loop, which would start a thread for it: what can be listened on
    # is an address of this machine. And one address only, also where the name has two: with port 0
    # each would get a port of its own.
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    return socket.create_server((str(address[0]), port), family=family, backlog=backlog)
