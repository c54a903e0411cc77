"""``start_server``: a server that accepts only what it has descriptors for.

Purpose: at the limit a server keeps serving whom it serves. asyncio's own server meets ``EMFILE`` in
``accept`` by logging an error and not listening for a second, again and again, and has taken the last
descriptor of everybody else before.

Guarantees
- a connection is accepted only when a descriptor was drawn for it, within ``max_connections``; until
  then clients wait in the system's backlog, and are not refused;
- if the system refuses all the same, it is asked again after a pause, 5 ms to 1 s, with jitter;
- a connection is closed when its handler ends, however it ends, and its descriptor is given back when
  the transport has closed it;
- ``aclose`` returns within its time: what is still open then is aborted.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from holdfast._core import check
from holdfast.track._backing_off import Pauses, is_shortage
from holdfast.track._draws import Draw
from holdfast.track.descriptors import DESCRIPTORS

__all__ = ("BoundedServer", "ServerReading", "start_server")

log = logging.getLogger("holdfast.track")

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReading:
    """One reading of a server.

    Attributes:
        name: Its name.
        open: Connections that are open now.
        accepted: Connections that were accepted so far.
        failed: Handlers that ended with an error.
        refused: How often the system has refused to accept for want of a descriptor.
        peak_open: Most connections that were open at once.
    """

    name: str
    open: int
    accepted: int
    failed: int
    refused: int
    peak_open: int


class BoundedServer:
    """What is returned by, and told at: see :func:`start_server`. Belongs to its loop."""

    def __init__(
        self,
        handler: Handler,
        listeners: Sequence[socket.socket],
        *,
        name: str,
        max_connections: int,
        limit: int,
    ) -> None:
        self.name = name
        self._handler = handler
        self._listeners = listeners
        self._limit = limit
        self._seats = asyncio.Semaphore(max_connections)
        self._connections: set[_Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._accepted = self._failed = self._refused = self._peak = 0
        loop = asyncio.get_running_loop()
        self._loops = [loop.create_task(self._accept_from(one)) for one in listeners]

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """What it listens on; empty when it is closed."""
        return tuple(one for one in self._listeners if one.fileno() != -1)

    @property
    def closed(self) -> bool:
        """Whether it accepts nothing any more."""
        return not self.sockets

    def stats(self) -> ServerReading:
        """Return what it has open and what it has counted."""
        return ServerReading(
            name=self.name,
            open=len(self._connections),
            accepted=self._accepted,
            failed=self._failed,
            refused=self._refused,
            peak_open=self._peak,
        )

    async def aclose(self, timeout: float = 10.0) -> int:
        """Accept nothing any more, and wait for the open connections.

        Args:
            timeout: Longest wait in seconds, after which what is left is aborted.

        Returns:
            How many were aborted.
        """
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        for listener in self._listeners:
            listener.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        left = tuple(self._connections)
        for connection in left:
            connection.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._empty.wait()  # an aborted transport says so in the loop's next passes
        return len(left)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    # ------------------------------------------------------------ accepting

    async def _accept_from(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        pauses = Pauses()
        while listener.fileno() != -1:
            await self._seats.acquire()
            draw: Draw | None = None
            try:
                draw = await DESCRIPTORS.atake(owner=f"server {self.name!r}", timeout=None)
                accepted, _ = await loop.sock_accept(listener)
                pauses.over()
            except OSError as error:
                self._give_up(draw)
                await asyncio.sleep(self._refusal(error, pauses))
            except BaseException:
                self._give_up(draw)
                raise
            else:
                await self._connect(accepted, draw)

    def _give_up(self, draw: Draw | None) -> None:
        if draw is not None:
            draw.give_back()
        self._seats.release()

    def _refusal(self, error: OSError, pauses: Pauses) -> float:
        """How long not to accept anything, after the system has refused to."""
        if is_shortage(error):
            self._refused += 1
            if pauses.refusals == 0:
                log.warning(
                    "server %r: the system refuses to accept a connection (%s); it is asked again after a "
                    "pause, and clients wait meanwhile",
                    self.name,
                    error,
                )
        return pauses.next(error)  # a client that has gone again, perhaps: also no reason to spin

    async def _connect(self, accepted: socket.socket, draw: Draw) -> None:
        draw.opened()
        connection = _Connection(self, draw, self._limit)
        self._connections.add(connection)
        self._empty.clear()
        self._accepted += 1
        self._peak = max(self._peak, len(self._connections))
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted)
        except BaseException as error:
            accepted.close()
            self.ended(connection)
            if not isinstance(error, OSError):
                raise

    # ------------------------------------------------------------ of a connection

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Run the handler with ``reader`` and ``writer``, and close the connection behind it."""
        try:
            await self._handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self._failed += 1  # the client has gone
        except Exception:
            self._failed += 1
            log.exception("server %r: the handler of a connection has failed", self.name)
        finally:
            writer.close()

    def ended(self, connection: "_Connection") -> None:
        """The descriptor of a ``connection`` is closed."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        connection.draw.give_back()
        self._seats.release()
        if not self._connections:
            self._empty.set()


class _Connection(asyncio.StreamReaderProtocol):
    """The streams of one connection, with its descriptor."""

    def __init__(self, server: BoundedServer, draw: Draw, limit: int) -> None:
        self.draw = draw
        self._server = server
        self._handling: asyncio.Task[None] | None = None
        self._own_transport: asyncio.WriteTransport | None = None
        loop = asyncio.get_running_loop()
        super().__init__(asyncio.StreamReader(limit=limit, loop=loop), self._connected, loop=loop)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        self._own_transport = writer.transport
        self._handling = loop.create_task(self._server.handle(reader, writer))

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport has closed its socket, or does so in this pass of the loop."""
        super().connection_lost(exc)
        asyncio.get_running_loop().call_soon(self._server.ended, self)

    def abort(self) -> None:
        """End it now."""
        if self._handling is not None:
            self._handling.cancel()
        if self._own_transport is not None:
            self._own_transport.abort()


async def start_server(
    handler: Handler,
    host: str | None = "127.0.0.1",
    port: int = 0,
    *,
    sock: socket.socket | None = None,
    name: str = "server",
    max_connections: int = 1000,
    backlog: int = 1024,
    limit: int = 65_536,
) -> BoundedServer:
    """Serve connections as ``asyncio.start_server`` does, within the process's descriptor budget.

    Clients that come when there is no descriptor, or when ``max_connections`` are open, wait in the
    system's backlog. The connection is closed when the handler has ended.

    Args:
        handler: A coroutine function that is called with a reader and a writer.
        host: What to listen on; None is every interface.
        port: The port; 0 lets the system choose one: see ``server.sockets``.
        sock: A socket that is bound already, instead of ``host`` and ``port``.
        name: For logs and reports.
        max_connections: Most connections that are open at once, at least 1.
        backlog: Most connections that wait in the system to be accepted, at least 1.
        limit: Most bytes that a reader keeps before it holds the client back.

    Returns:
        The server: ``await server.aclose()``, or an ``async with`` block.

    Raises:
        OSError: It can't listen there.

    Example:
        >>> import asyncio
        >>> async def greet(reader, writer):
        ...     writer.write(b"hello")
        >>> async def main():
        ...     async with await start_server(greet) as server:
        ...         port = server.sockets[0].getsockname()[1]
        ...         reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ...         said = await reader.read()
        ...         writer.close()
        ...         return said
        >>> asyncio.run(main())
        b'hello'
    """
    most = check.count("max_connections", max_connections, least=1)
    listeners = [sock] if sock is not None else await _listeners(host, port)
    try:
        for listener in listeners:
            listener.listen(check.count("backlog", backlog, least=1))
            listener.setblocking(False)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return BoundedServer(handler, listeners, name=name, max_connections=most, limit=limit)


async def _listeners(host: str | None, port: int) -> list[socket.socket]:
    """Bind a socket for each address of the host; one port for all where the system is to choose it."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    bound: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listener = socket.socket(family, kind, protocol)
            bound.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(
                (address[0], bound[0].getsockname()[1], *address[2:]) if len(bound) > 1 else address
            )
    except BaseException:
        for listener in bound:
            listener.close()
        raise
    return bound
