"""Shared clients of httpx and httpx2, and of the SDKs that are made of them, for coroutines."""

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from types import ModuleType
from typing import Any, Final

from holdfast.errors import CallTimeout
from holdfast.track._http.connecting import patiently
from holdfast.track._http.gate import Gate, gate_for
from holdfast.track._http.httpx_classes import Kind, Wrapping, make_client
from holdfast.track._http.plan import Plan, fitting
from holdfast.track._http.shared import Shared
from holdfast.track._http.sweeper import Sweeper
from holdfast.track._http.tickets import Ticket

__all__ = ("make_shared",)


class Watched:
    """What every transport and stream of one client shares."""

    def __init__(self, gate: Gate, plan: Plan) -> None:
        self.gate = gate
        self.plan = plan
        self.loop = asyncio.get_running_loop()
        self.inner: list[Any] = []
        self._ending: set[asyncio.Task[None]] = set()
        self.sweeper = Sweeper(
            gate, idle_timeout=plan.idle_timeout, keepalive=plan.keepalive, reap=self.reap
        )

    def end(self, inner: Any, ticket: Ticket) -> None:
        """Close a response that nobody closes, and give its ticket back."""
        closing: Coroutine[Any, Any, None] = inner.aclose()
        task = self.loop.create_task(closing, name="holdfast:http-end")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        ticket.give_back()

    def dropped(self, inner: Any, ticket: Ticket) -> None:
        """On the loop: a response was dropped without being closed."""
        self.gate.abandoned += 1
        self.end(inner, ticket)

    async def reap(self) -> int:
        """Close the connections that have been idle for too long; returns how many there are yet."""
        left = 0
        for transport in self.inner:
            pool = getattr(transport, "_pool", None)  # httpcore's; aiohttp closes its own
            connections: list[Any] = list(getattr(pool, "connections", ()))
            for connection in connections:
                if connection.is_idle() and connection.has_expired():
                    await connection.aclose()
                else:
                    left += 1
        return left


class Body:
    """A response's body, which gives its ticket back when it is closed, or dropped."""

    def __init__(self, inner: Any, ticket: Ticket, watched: Watched) -> None:
        self._inner = inner
        self._ticket = ticket
        self._watched = watched
        self._read = 0
        self._reading = False
        self._closed = False
        self._failure: CallTimeout | None = None
        me: weakref.ref[Body] = weakref.ref(self)
        ticket.progress = partial(_progress, me)
        ticket.abandon = partial(_abandon, me)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = aiter(self._inner)
        while True:
            if self._failure is not None:
                raise self._failure
            self._reading = True
            try:
                chunk: bytes = await anext(chunks)
            except StopAsyncIteration:
                return
            finally:
                self._reading = False
                self._read += 1
            yield chunk

    def progress(self) -> int | None:
        """How often its reader has come, or None while it waits for the server."""
        return None if self._reading else self._read

    def abandon(self) -> None:
        """Close it, for a reader that has not come back."""
        self._failure = CallTimeout(
            f"{self._watched.gate.name}: nobody had read the response of {self._ticket} for "
            f"{self._watched.plan.idle_timeout:g} s, so it was closed; read it on sooner",
            stopped=True,
        )
        self._closed = True
        self._watched.end(self._inner, self._ticket)

    async def aclose(self) -> None:
        """The response was read, or left early."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._inner.aclose()
        finally:
            self._ticket.give_back()
            self._watched.sweeper.start()

    def __del__(self) -> None:
        if getattr(self, "_closed", True):
            return
        watched = self._watched
        try:
            watched.loop.call_soon_threadsafe(watched.dropped, self._inner, self._ticket)
        except RuntimeError:  # the loop is closed, and its connections with it
            self._ticket.give_back()


def _progress(body: "weakref.ref[Body]") -> object | None:
    alive = body()
    return None if alive is None else alive.progress()


def _abandon(body: "weakref.ref[Body]") -> None:
    alive = body()
    if alive is not None:
        alive.abandon()


class BehindTheGate:
    """A transport that sends a request when it is its turn."""

    body_class: type[Body]

    def __init__(self, inner: Any, watched: Watched) -> None:
        self._inner = inner
        self._watched = watched
        watched.inner.append(inner)

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request."""
        watched = self._watched
        ticket = await watched.gate.enter(f"{request.method} {request.url.host}")
        watched.sweeper.start()
        try:
            send: Callable[[], Awaitable[Any]] = partial(self._inner.handle_async_request, request)
            response = await patiently(watched.gate, watched.plan.queue_timeout, send)
        except BaseException:
            ticket.give_back()
            raise
        response.stream = self.body_class(response.stream, ticket, watched)
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class Undying(Wrapping):
    """A client that many share: closed with its event loop, and by nobody before."""

    async def aclose(self) -> None:
        """Do nothing: others use it as well. It is closed when its event loop ends."""

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *error: object) -> None:
        """Do nothing, as :meth:`aclose`."""

    async def close_for_good(self) -> None:
        """Close it; for who made it."""
        above: Any = super()
        await above.aclose()


_KIND: Final = Kind(Undying, BehindTheGate, "AsyncBaseTransport", Body, "AsyncByteStream")


def make_shared(base: type[Any], module: ModuleType, plan: Plan) -> Shared:
    """Make a client for the loop that runs.

    Args:
        base: Its class.
        module: ``httpx`` or ``httpx2``.
        plan: What is asked of it.

    Raises:
        UnderPressure: There is no descriptor left for it.
    """
    gate, record = fitting(plan, gate_for(plan))
    watched = Watched(gate, plan)
    client = make_client(_KIND, base, module, plan, watched, gate.limit)
    close: Callable[[], Awaitable[None]] = client.close_for_good
    return Shared(
        plan=plan,
        client=client,
        door=gate,
        sweeper=watched.sweeper,
        close=close,
        is_closed=lambda: bool(client.is_closed),
        record=record(client),
    )
