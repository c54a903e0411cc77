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
# Rounds of the loop that asyncio needs from accepting a socket to telling us of the connection.
_ACCEPT_ROUNDS = 4
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a name to translate


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
    Guarantees: after ``aclose`` returns, no connection, no timer and no listening socket is left;
    if it is cancelled, all are ended at once and gone within one more round of the loop.
    Assumptions: used in one event loop only.
    """

    def __init__(self, handler: Handler, counters: Counters, bounds: Bounds) -> None:
        self.handler = handler
        self.idle_timeout = bounds.idle_timeout
        self.request_timeout = bounds.request_timeout
        self._bounds = bounds
        self._counters = counters
        self._connections: set[Connection] = set()
        self._admitted = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._closing = False
        self.url = ""

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
        self.url = _url(listening)
        self._sweep()

    async def aclose(self, grace: float) -> None:
        """Accept nothing more, give answers in progress ``grace`` seconds, then end the rest."""
        self._closing = True
        if self._server is not None:
            self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for _ in range(_ACCEPT_ROUNDS):
            await asyncio.sleep(0)
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
        """Register an open connection; False if there is no room for it, and it has to close."""
        self._connections.add(connection)
        self._empty.clear()
        if self._closing or self._admitted >= self._bounds.max_connections:
            self._counters.add("refused_connections")
            return False
        self._admitted += 1
        self._counters.rise("connections")
        return True

    def leave(self, connection: Connection, *, admitted: bool) -> None:
        """Forget a connection that is closed."""
        self._connections.discard(connection)
        if admitted:
            self._admitted -= 1
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


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    if host in _EVERYWHERE:  # not an address that a client could be given
        host = _EVERYWHERE[host]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
