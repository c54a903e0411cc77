"""Coroutines, so many at once: a pool for each thing that they call."""

import asyncio
import atexit
import itertools
import weakref
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from holdfast._core import check, clock
from holdfast.limits import Rate
from holdfast.limits.rates import gate_of
from holdfast.pools._admission import Admission
from holdfast.pools._async_core import AsyncCore
from holdfast.pools._async_view import AsyncCalls
from holdfast.pools._bridge import Bridge
from holdfast.pools._drain import finish, finish_async
from holdfast.pools._entry import Overflow
from holdfast.pools._exit_wait import finish_at_exit
from holdfast.pools._forked import forks
from holdfast.pools._governed import Governed
from holdfast.pools._keyed import IdempotencyKey, Remembers, check_key, check_memory
from holdfast.pools._living import enrol
from holdfast.pools._options import Sizeof, Unset, paced, pool_options
from holdfast.pools._reserve import reserve_of, share
from holdfast.pools._threads import finalize
from holdfast.pools.order import Order

if TYPE_CHECKING:
    from holdfast.limits.adaptive import Adaptive
    from holdfast.pools._meter import Meter

__all__ = ("AsyncPool", "waiting_room")

_names = itertools.count(1)
_bridged: "weakref.WeakSet[AsyncPool]" = weakref.WeakSet()


class AsyncPool(AsyncCalls, Governed):
    """At most ``max_concurrency`` coroutines at once, in any loops and threads, counted together.

    First come, first served, unless it has an order. Used as a context manager, plain or ``async``,
    it finishes what was accepted before it returns; after an error in the block, what still waits is
    refused.

    Args:
        max_concurrency: Most calls in flight, at least 1. With ``limit``: the most that it may become,
            by default its own ``max_limit``.
        limit: A limit that follows how the calls go: :class:`~holdfast.limits.adaptive.Adaptive`.
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
        rate: How often calls may start, and how much they may weigh: one rate, or several that all have to
            allow a start, such as requests and tokens. A service that asks to wait (``retry_after``) is
            waited for.
        reserved: So many of the permits are kept for clean-up work, for calls through
            ``options(reserved=True)``; less than ``max_concurrency``.
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
        max_concurrency: int | None = None,
        *,
        limit: "Adaptive | None" = None,
        name: str | None = None,
        max_queue: int = 1000,
        overflow: Overflow = "wait",
        queue_timeout: float | None = None,
        timeout: float | None = None,
        rate: Rate | Sequence[Rate] | None = None,
        order: Order | None = None,
        max_queue_bytes: int | None = None,
        sizeof: Sizeof | None = None,
        reserved: int = 0,
        idempotency: Remembers | None = None,
    ) -> None:
        if max_concurrency is None:
            if limit is None:
                msg = "an AsyncPool needs max_concurrency, or limit=Adaptive(...) to find it"
                raise TypeError(msg)
            max_concurrency = _adaptive(limit).max_limit
        check.choice("overflow", overflow, ("wait", "reject", "drop_oldest"))
        self._options = pool_options(timeout, queue_timeout, order, max_queue_bytes, sizeof)
        now, gate = clock.current(), gate_of(rate)
        admission = Admission(
            name if name is not None else f"coroutines-{next(_names)}",
            share(
                check.count("max_concurrency", max_concurrency, least=1),
                reserved,
                "max_concurrency",
            ),
            max_queue=check.count("max_queue", max_queue),
            overflow=overflow,
            max_abandoned=0,  # a coroutine can be cancelled, so none is abandoned
            gate=gate,
            clock=now,
            max_queue_bytes=max_queue_bytes,
            line=order.line(now) if order is not None else None,
        )
        self._options = paced(self._options, gate, admission, now)
        self._core = AsyncCore(admission, clock=now)
        if limit is not None:
            self._options = replace(self._options, meter=self._meter(_adaptive(limit)))
        self._reserve = (
            AsyncCore(reserve_of(admission, reserved, now), clock=now) if reserved else None
        )
        self._bridge: Bridge | None = None
        self._idempotency = check_memory(idempotency)
        forks(self)
        enrol(self, "coroutines")

    def _keyed(self, view: AsyncCalls, key: IdempotencyKey | Unset) -> AsyncCalls:
        from holdfast.pools._keyed_view import KeyedAsyncCalls  # noqa: PLC0415 - few have one

        memory = check_key(key, self._idempotency, self.name)
        return KeyedAsyncCalls(view, memory, cast("IdempotencyKey", key), waiting_room)

    def _guarded(self, view: AsyncCalls, retry: object, fallback: object) -> AsyncCalls:
        from holdfast.pools._guarded_view import GuardedAsyncCalls, guard_of  # noqa: PLC0415 - few have one

        guard = guard_of(retry, fallback)
        return view if guard == (None, None) else GuardedAsyncCalls(view, guard, waiting_room)

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
            max_concurrency: Most calls in flight from now on, at least 1 more than are reserved. With an
                adaptive limit, the most that it may become.
        """
        limit = check.count("max_concurrency", max_concurrency, least=1)
        kept = 0 if self._reserve is None else self._reserve.admission.own_limit
        limit = share(limit, kept, "max_concurrency")
        if self._options.meter is not None:
            self._options.meter.bound(limit)
            return
        self._core.admission.resize(limit)
        self._core.pump()

    @property
    def _admission(self) -> Admission:
        return self._core.admission

    def _go_on(self) -> None:
        self._core.pump()

    def _meter(self, limit: "Adaptive") -> "Meter":
        from holdfast.pools._meter import Meter  # noqa: PLC0415 - few pools have one

        meter = Meter(limit, self._core.admission, self._core.pump, self._core.clock)
        meter.bound(min(self._core.admission.own_limit, limit.max_limit))
        return meter

    def _bridge_loop(self) -> asyncio.AbstractEventLoop:
        """The loop for calls from blocking code, which this pool keeps until it closes."""
        with self._core.admission.lock:
            if self._bridge is None:
                self._bridge = Bridge.borrow()
                _bridged.add(self)
            return self._bridge.loop

    def after_fork(self) -> None:
        """Start clean in a child; called by the interpreter."""
        for admission in self._halves():
            admission.after_fork(0)
        self._bridge = None

    def _clean_up_view(self) -> AsyncCalls:
        from holdfast.pools._reserve_async import ReservedAsyncCalls  # noqa: PLC0415 - few have one

        return ReservedAsyncCalls()

    def _halves(self) -> list[Admission]:
        """The permits of all calls, then those that are kept for clean-up."""
        cores = (self._core, self._reserve)
        return [core.admission for core in cores if core is not None]

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
        if _get_running_loop() is not None:
            timeout = 0.0
        clock = self._core.clock
        idle = finish(self._halves(), clock, timeout, refuse_waiting=refuse_waiting)
        self._leave_bridge(idle)
        return idle

    async def aclose(self, timeout: float | None = 10.0) -> bool:
        """Do the same as :meth:`close` without holding the loop."""
        clock = self._core.clock
        idle = await finish_async(self._halves(), clock, timeout, refuse_waiting=True)
        self._leave_bridge(idle)
        return idle

    async def adrain(self, timeout: float | None = None) -> bool:
        """Do the same as :meth:`drain` without holding the loop."""
        clock = self._core.clock
        idle = await finish_async(self._halves(), clock, timeout, refuse_waiting=False)
        self._leave_bridge(idle)
        return idle

    def _close_quietly(self) -> None:
        for admission in self._halves():
            admission.close(refuse_waiting=True)

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
            _when_all_are_idle(self._halves(), bridge.give_back)

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


def _adaptive(limit: object) -> "Adaptive":
    from holdfast.limits.adaptive import Adaptive  # noqa: PLC0415 - few pools have one

    check.kind("limit", limit, Adaptive, "one such as Adaptive(max_limit=50)")
    return cast("Adaptive", limit)


def waiting_room(limit: int, name: str, **options: Any) -> AsyncPool:
    """Where calls wait that are on their way to another pool, or between two attempts there."""
    return AsyncPool(limit, name=name, **options)


def _at_exit() -> None:
    """Finish what blocking code has submitted before the interpreter goes: no other loop would."""
    for pool in list(_bridged):
        for admission in pool._halves():  # noqa: SLF001 - this very module's
            admission.close(refuse_waiting=False)
            finish_at_exit(admission, pool._core.clock, partial(_where, pool, admission))  # noqa: SLF001 - likewise
        pool.drain()


def _when_all_are_idle(halves: list[Admission], fn: Callable[[], None]) -> None:
    if halves:
        halves[0].on_idle(partial(_when_all_are_idle, halves[1:], fn))
    else:
        fn()


def _where(pool: AsyncPool, admission: Admission) -> str:
    bridge = pool._bridge  # noqa: SLF001 - this very module's
    if bridge is None:
        return ""
    from holdfast.pools._coroutine_stacks import describe_coroutines  # noqa: PLC0415 - needed once

    return describe_coroutines(bridge.loop, admission)


atexit.register(_at_exit)
