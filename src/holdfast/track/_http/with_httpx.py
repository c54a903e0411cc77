"""Shared clients of httpx and httpx2, and of the SDKs that are made of them.

The two are alike and are no relatives: what is said of one here is said of both, by their module. A class
is made for each kind of client; it wraps the transport that the client would have made for itself, so
that proxies, certificates and an SDK's own transport over aiohttp stay what they are.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from types import ModuleType
from typing import Any

from holdfast.errors import CallTimeout
from holdfast.track._http.connecting import patiently
from holdfast.track._http.gate import Gate, Ticket
from holdfast.track._http.shared import Plan, Shared, fitting_gate
from holdfast.track._http.sweeper import Sweeper

__all__ = ("make_client",)


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
            f"http {self._watched.gate.purpose!r}: nobody had read the response of {self._ticket} for "
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


class Undying:
    """A client that many share: closed with its event loop, and by nobody before."""

    transport_class: type[BehindTheGate]

    def __init__(self, watched: Watched, **more: Any) -> None:
        self._holdfast = watched
        super().__init__(**more)

    def _init_transport(self, *args: Any, **more: Any) -> Any:
        above: Any = super()
        return self.transport_class(above._init_transport(*args, **more), self._holdfast)  # noqa: SLF001 - what SDKs override too

    def _init_proxy_transport(self, *args: Any, **more: Any) -> Any:
        above: Any = super()
        return self.transport_class(above._init_proxy_transport(*args, **more), self._holdfast)  # noqa: SLF001 - likewise

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


_classes: dict[tuple[type[Any], ModuleType], type[Any]] = {}


def _shared_class(base: type[Any], module: ModuleType) -> type[Any]:
    """Return ``base`` with what is said here, for httpx or for httpx2."""
    found = _classes.get((base, module))
    if found is None:
        body = type("SharedBody", (Body, module.AsyncByteStream), {})
        transport = type(
            "SharedTransport", (BehindTheGate, module.AsyncBaseTransport), {"body_class": body}
        )
        name = f"Shared{base.__name__.lstrip('_')}"
        found = type(name, (Undying, base), {"transport_class": transport})
        _classes[base, module] = found
    return found


def make_client(base: type[Any], module: ModuleType, plan: Plan) -> Shared:
    """Make a client for the loop that runs.

    Args:
        base: Its class.
        module: ``httpx`` or ``httpx2``.
        plan: What is asked of it.

    Raises:
        UnderPressure: There is no descriptor left for it.
    """
    gate, record = fitting_gate(plan)
    watched = Watched(gate, plan)
    limits = module.Limits(
        max_connections=gate.limit,
        max_keepalive_connections=gate.limit,
        keepalive_expiry=plan.keepalive,
    )
    client = _shared_class(base, module)(watched, **{"limits": limits, **dict(plan.more)})
    close: Callable[[], Awaitable[None]] = client.close_for_good
    shared = Shared(
        plan=plan,
        client=client,
        gate=gate,
        sweeper=watched.sweeper,
        close=close,
        is_closed=lambda: bool(client.is_closed),
    )
    shared.record = record(client)
    return shared
