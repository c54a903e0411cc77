"""Shared clients of httpx and httpx2, and of the SDKs that are made of them, for threads.

States of a body: STILL (its reader is elsewhere) <-> READING -> CLOSED, from either by its reader, from
STILL by the sweeper too. Moved under the body's lock, so that nobody closes a connection under the
hands of a thread that reads from it.
"""

import logging
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any, Final

from holdfast.errors import CallTimeout
from holdfast.track._http.connecting import patiently_blocking
from holdfast.track._http.httpx_classes import Kind, Wrapping, make_client
from holdfast.track._http.plan import Plan, fitting
from holdfast.track._http.process_wide import BlockingShared
from holdfast.track._http.thread_gate import ThreadGate, thread_gate_for
from holdfast.track._http.thread_sweeper import ThreadSweeper
from holdfast.track._http.tickets import Ticket
from holdfast.track._later import Later

__all__ = ("make_blocking",)

log = logging.getLogger("holdfast.track")


class Watched:
    """What every transport and stream of one client shares."""

    def __init__(self, gate: ThreadGate, plan: Plan) -> None:
        self.gate = gate
        self.plan = plan
        self.inner: list[Any] = []
        self.dropped: Later[tuple[Any, Ticket]] = Later()
        self.sweeper = ThreadSweeper(
            gate, idle_timeout=plan.idle_timeout, keepalive=plan.keepalive, reap=self.reap
        )

    def end(self, inner: Any, ticket: Ticket) -> None:
        """Close a response that nobody closes, and give its ticket back."""
        try:
            inner.close()
        except Exception:
            log.exception("%s: a response could not be closed", self.gate.name)
        finally:
            ticket.give_back()

    def close_dropped(self) -> None:
        """Close the responses that were dropped without being closed."""
        while (one := self.dropped.take()) is not None:
            self.gate.abandoned += 1
            self.end(*one)

    def reap(self) -> int:
        """Close what was dropped or has been idle for too long; returns how many connections are left."""
        self.close_dropped()
        left = 0
        for transport in self.inner:
            pool = getattr(transport, "_pool", None)
            # What the pool does itself before each request, under its own lock.
            lock = getattr(pool, "_optional_thread_lock", None)
            take_out = getattr(pool, "_assign_requests_to_connections", None)
            close = getattr(pool, "_close_connections", None)
            if lock is None or take_out is None or close is None:
                continue
            with lock:
                closing = take_out()
            close(closing)
            left += len(getattr(pool, "connections", ()))
        return left


class Body:
    """A response's body, which gives its ticket back when it is closed, or dropped."""

    def __init__(self, inner: Any, ticket: Ticket, watched: Watched) -> None:
        self._inner = inner
        self._ticket = ticket
        self._watched = watched
        self._lock = threading.Lock()
        self._read = 0
        self._reading = False
        self._closed = False
        self._failure: CallTimeout | None = None
        me: weakref.ref[Body] = weakref.ref(self)
        ticket.progress = partial(_progress, me)
        ticket.abandon = partial(_abandon, me)

    def __iter__(self) -> Iterator[bytes]:
        chunks = iter(self._inner)
        while True:
            with self._lock:
                if self._failure is not None:
                    raise self._failure
                self._reading = True
            try:
                chunk: bytes = next(chunks)
            except StopIteration:
                return
            finally:
                self._reading = False
                self._read += 1
            yield chunk

    def progress(self) -> int | None:
        """How often its reader has come, or None while it waits for the server."""
        return None if self._reading else self._read

    def abandon(self) -> bool:
        """Close it, for a reader that has not come back; False if it has."""
        failure = CallTimeout(
            f"{self._watched.gate.name}: nobody had read the response of {self._ticket} for "
            f"{self._watched.plan.idle_timeout:g} s, so it was closed; read it on sooner",
            stopped=True,
        )
        with self._lock:
            if self._reading or self._closed:
                return False
            self._closed = True
            self._failure = failure
        self._watched.end(self._inner, self._ticket)
        return True

    def close(self) -> None:
        """The response was read, or left early."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        try:
            self._inner.close()
        finally:
            self._ticket.give_back()
            self._watched.sweeper.start()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self._watched.dropped.put((self._inner, self._ticket))  # no lock can be taken here


def _progress(body: "weakref.ref[Body]") -> object | None:
    alive = body()
    return None if alive is None else alive.progress()


def _abandon(body: "weakref.ref[Body]") -> bool:
    alive = body()
    return alive is not None and alive.abandon()


class BehindTheGate:
    """A transport that sends a request when it is its turn."""

    body_class: type[Body]

    def __init__(self, inner: Any, watched: Watched) -> None:
        self._inner = inner
        self._watched = watched
        watched.inner.append(inner)

    def handle_request(self, request: Any) -> Any:
        """Send a request."""
        watched = self._watched
        watched.close_dropped()
        ticket = watched.gate.enter(f"{request.method} {request.url.host}")
        try:
            watched.sweeper.start()
            send = partial(self._inner.handle_request, request)
            response = patiently_blocking(watched.gate, watched.plan.queue_timeout, send)
            response.stream = self.body_class(response.stream, ticket, watched)
        except BaseException:
            ticket.give_back()
            raise
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class Undying(Wrapping):
    """A client that many share: closed with the runtime or the process, and by nobody before."""

    def close(self) -> None:
        """Do nothing: others use it as well."""

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing, as :meth:`close`."""

    def close_for_good(self) -> None:
        """Close it; for who made it."""
        above: Any = super()
        above.close()


_KIND: Final = Kind(Undying, BehindTheGate, "BaseTransport", Body, "SyncByteStream")


def make_blocking(base: type[Any], module: ModuleType, plan: Plan) -> BlockingShared:
    """Make a client for the process.

    Args:
        base: Its class.
        module: ``httpx`` or ``httpx2``.
        plan: What is asked of it.

    Raises:
        UnderPressure: There is no descriptor left for it.
    """
    gate, record = fitting(plan, thread_gate_for(plan))
    watched = Watched(gate, plan)
    client = make_client(_KIND, base, module, plan, watched, gate.limit)
    return BlockingShared(
        plan=plan,
        client=client,
        door=gate,
        gate=gate,
        sweeper=watched.sweeper,
        close=client.close_for_good,
        is_closed=lambda: bool(client.is_closed),
        record=record(client),
    )
