"""Coroutines, so many at once: a pool for each thing that they call."""

import asyncio
import atexit
import itertools
import weakref
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from types import TracebackType
from typing import Self, cast

from holdfast._core import check, clock
from holdfast.limits import Rate
from holdfast.pools._admission import Admission
from holdfast.pools._async_core import AsyncCore
from holdfast.pools._async_view import AsyncCalls
from holdfast.pools._bridge import Bridge
from holdfast.pools._drain import wait_idle, wait_idle_async
from holdfast.pools._entry import Overflow
from holdfast.pools._forked import forks
from holdfast.pools._keyed import IdempotencyKey, Remembers, check_key, check_memory
from holdfast.pools._keyed_view import KeyedAsyncCalls
from holdfast.pools._living import enrol
from holdfast.pools._options import Sizeof, Unset, pool_options
from holdfast.pools._threads import finalize
from holdfast.pools.order import Order

__all__ = ("AsyncPool", "waiting_room")

_names = itertools.count(1)
_bridged: "weakref.WeakSet[AsyncPool]" = weakref.WeakSet()


class AsyncPool(AsyncCalls):
    """At most ``max_concurrency`` coroutines at once, in any loops and threads, counted together.

    First come, first served, unless it has an order. Used as a context manager, plain or ``async``,
    it finishes what was accepted before it returns; after an error in the block, what still waits is
    refused.

    Args:
        max_concurrency: Most calls in flight, at least 1.
        name: For logs and statistics.
        max_queue: Most calls that wait for a permit; 0 is none.
        max_queue_bytes: Most bytes of calls that wait, at least 1; None is no bound in bytes. A call
            larger than this starts at once or is refused, whatever ``overflow`` says.
        sizeof: Called with a call's arguments before it has a place; returns its bytes, 0 or more.
            Goes with ``max_queue_bytes``, must be quick, and what it raises is raised to the caller.
        order: Who of those that wait is next: :class:`~holdfast.pools.order.Fair`,
            :class:`~holdfast.pools.order.Priority`; None is first come first served.
        overflow: What a full queue does to one more call: ``"wait"`` (backpressure: a coroutine
            waits, blocking code blocks), ``"reject"`` (:class:`QueueFull`), or ``"drop_oldest"``
            (the longest waiting call is refused in its place).
        queue_timeout: Longest wait for a permit in seconds; None is no bound.
        timeout: Longest run in seconds, after which a call is cancelled; None is no bound.
        rate: How often calls may start.
        idempotency: Remembers outcomes by key, for calls with ``options(idempotency_key=...)``: an
            :class:`~holdfast.flow.idempotency.Idempotent`, which stays yours to close.

    Example:
        >>> import asyncio
        >>> async def main():
        ...     async with AsyncPool(10, name="demo") as pool:
        ...         return await pool.run(asyncio.sleep, 0, "done")
        >>> asyncio.run(main())
        'done'
    """

    def __init__(
        self,
        max_concurrency: int,
        *,
        name: str | None = None,
        max_queue: int = 1000,
        overflow: Overflow = "wait",
        queue_timeout: float | None = None,
        timeout: float | None = None,
        rate: Rate | None = None,
        order: Order | None = None,
        max_queue_bytes: int | None = None,
        sizeof: Sizeof | None = None,
        idempotency: Remembers | None = None,
    ) -> None:
        check.choice("overflow", overflow, ("wait", "reject", "drop_oldest"))
        self._options = pool_options(timeout, queue_timeout, order, max_queue_bytes, sizeof)
        now = clock.current()
        admission = Admission(
            name if name is not None else f"coroutines-{next(_names)}",
            check.count("max_concurrency", max_concurrency, least=1),
            max_queue=check.count("max_queue", max_queue),
            overflow=overflow,
            max_abandoned=0,  # a coroutine can be cancelled, so none is abandoned
            gate=rate.gate() if rate is not None else None,
            clock=now,
            max_queue_bytes=max_queue_bytes,
            line=order.line(now) if order is not None else None,
        )
        self._core = AsyncCore(admission, clock=now)
        self._bridge: Bridge | None = None
        self._idempotency = check_memory(idempotency)
        forks(self)
        enrol(self, "coroutines")

    def _keyed(self, view: AsyncCalls, key: IdempotencyKey | Unset) -> AsyncCalls:
        memory = check_key(key, self._idempotency, self.name)
        return KeyedAsyncCalls(view, memory, cast("IdempotencyKey", key), waiting_room)

    @property
    def _pool(self) -> Self:  # not kept in itself, so that a forgotten pool goes at once
        return self

    @property
    def name(self) -> str:
        """The pool's name."""
        return self._core.admission.name

    def __repr__(self) -> str:
        s = self.stats()
        closed = ", closed" if self._core.admission.closed else ""
        return f"<AsyncPool {s.name!r}: {s.in_flight} of {s.limit} in flight, {s.queued} queued{closed}>"

    def resize(self, max_concurrency: int) -> None:
        """Set the limit now: as many as now fit start, nobody is stopped, nobody blocks.

        Args:
            max_concurrency: Most calls in flight from now on, at least 1.
        """
        self._core.admission.resize(check.count("max_concurrency", max_concurrency, least=1))
        self._core.pump()

    def _bridge_loop(self) -> asyncio.AbstractEventLoop:
        """The loop for calls from blocking code, which this pool keeps until it closes."""
        with self._core.admission.lock:
            if self._bridge is None:
                self._bridge = Bridge.borrow()
                _bridged.add(self)
            return self._bridge.loop

    def after_fork(self) -> None:
        """Start clean in a child; called by the interpreter."""
        self._core.admission.after_fork(0)
        self._bridge = None

    # ------------------------------------------------------------ the end

    def drain(self, timeout: float | None = None) -> bool:
        """Admit nothing any more and block until what was accepted has ended.

        For blocking code: in a coroutine it would freeze the loop that the calls need.

        Args:
            timeout: Longest wait in seconds; None is no bound.

        Returns:
            Whether all of it has; False after ``timeout`` seconds.
        """
        return self._finish_blocking(timeout, refuse_waiting=False)

    def close(self, timeout: float | None = 10.0) -> bool:
        """Refuse what waits, and wait up to ``timeout`` seconds for what is in flight.

        May be called from any thread, and again. In a thread that runs an event loop it does not
        wait; ``await pool.aclose()`` does.

        Returns:
            Whether everything has ended; what has not goes on.
        """
        return self._finish_blocking(timeout, refuse_waiting=True)

    def _finish_blocking(self, timeout: float | None, *, refuse_waiting: bool) -> bool:
        admission = self._core.admission
        admission.close(refuse_waiting=refuse_waiting)
        if _get_running_loop() is not None:
            timeout = 0.0
        idle = wait_idle(admission, self._core.clock, timeout)
        self._leave_bridge(idle)
        return idle

    async def aclose(self, timeout: float | None = 10.0) -> bool:
        """Do the same as :meth:`close` without holding the loop."""
        self._core.admission.close(refuse_waiting=True)
        idle = await wait_idle_async(self._core.admission, timeout)
        self._leave_bridge(idle)
        return idle

    async def adrain(self, timeout: float | None = None) -> bool:
        """Do the same as :meth:`drain` without holding the loop."""
        self._core.admission.close(refuse_waiting=False)
        idle = await wait_idle_async(self._core.admission, timeout)
        self._leave_bridge(idle)
        return idle

    def _close_quietly(self) -> None:
        self._core.admission.close(refuse_waiting=True)

    def _leave_bridge(self, idle: bool) -> None:
        """Give the loop of blocking code's calls back, at once or when the last of them has ended."""
        admission = self._core.admission
        with admission.lock:
            bridge, self._bridge = self._bridge, None
        if bridge is None:
            return
        if idle:
            bridge.give_back()
            bridge.join_if_over()
        else:
            admission.on_idle(bridge.give_back)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.drain()
        else:
            self.close(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            await self.adrain()
        else:
            await self.aclose(None)

    def __del__(self) -> None:
        bridge = getattr(self, "_bridge", None)
        if bridge is not None:
            finalize(bridge.give_back, Bridge.lock)


def waiting_room(limit: int, name: str) -> AsyncPool:
    """Where the items of a stream with keys wait."""
    return AsyncPool(limit, name=name)


def _at_exit() -> None:
    """Finish what blocking code has submitted before the interpreter goes: no other loop would."""
    for pool in list(_bridged):
        pool.drain()


atexit.register(_at_exit)
