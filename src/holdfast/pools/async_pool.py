"""Coroutines, so many at once: a pool for each thing that they call."""

import asyncio
import itertools
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from holdfast._core import check, clock
from holdfast._core.future import CallFuture
from holdfast.errors import CallTimeout
from holdfast.limits import Rate, Retry
from holdfast.pools._admission import Admission, Overflow
from holdfast.pools._async_core import AsyncCore, RunDeadline
from holdfast.pools._async_stream import AsyncStreamEngine
from holdfast.pools._async_submit import AsyncCall
from holdfast.pools._bridge import Bridge
from holdfast.pools._drain import wait_idle, wait_idle_async
from holdfast.pools._options import UNSET, Options, Unset
from holdfast.pools._stats import PoolStats
from holdfast.pools.stream import Stream

__all__ = ("AsyncCalls", "AsyncPool")

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_names = itertools.count(1)


class AsyncCalls:
    """What can be asked of an :class:`AsyncPool`, with one set of options.

    ``pool.options(timeout=5)`` returns one of these: it shares the pool's permits, line and
    statistics, and costs a few hundred nanoseconds to make.
    """

    _core: AsyncCore
    _options: Options
    _owner: "AsyncPool"

    @property
    def _pool(self) -> "AsyncPool":
        return self._owner

    def options(
        self, *, timeout: float | None | Unset = UNSET, queue_timeout: float | None | Unset = UNSET
    ) -> "AsyncCalls":
        """Return a light view of this pool whose calls have other options.

        Args:
            timeout: Longest run in seconds; None is no bound.
            queue_timeout: Longest wait for a permit in seconds; None is no bound.
        """
        view = AsyncCalls()
        view._core = self._core
        view._options = self._options.with_(timeout, queue_timeout)
        view._owner = self._pool
        return view

    async def run(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Await ``fn(*args, **kwargs)`` in this task, as soon as there is a permit.

        Waits in line while every permit is out. A caller that is cancelled leaves the line at once,
        or cancels its call.

        Raises:
            QueueFull: Before start: no place, and the pool rejects rather than waits.
            QueueTimeout: Before start: it waited ``queue_timeout`` seconds.
            RateLimited: Before start: the rate is used up, and the pool rejects rather than waits.
            PoolClosed: Before start.
            CallTimeout: After start: it ran longer than ``timeout`` and was cancelled.
            Exception: Whatever ``fn`` raised.

        Cost:
            ``benchmarks/bench_calls.py``.
        """
        core = self._core
        options = self._options
        if not core.admission.try_enter():
            await core.wait_for_permit(options.queue_timeout)
        ok = False
        try:
            if options.timeout is None:
                value = await fn(*args, **kwargs)
            else:
                value = await self._run_until(options.timeout, fn, args, kwargs)
            ok = True
        finally:
            core.leave(ok=ok)
        return value

    async def _run_until(
        self,
        timeout: float,  # noqa: ASYNC109 - the deadline of the call, which asyncio.timeout would watch at ten times the cost
        fn: Callable[..., Awaitable[R]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> R:
        deadline = RunDeadline(asyncio.get_running_loop(), timeout)
        try:
            value = await fn(*args, **kwargs)
        except BaseException as error:
            if deadline.turn(error):
                name = self._core.admission.name
                self._core.admission.count_timeout()
                msg = (
                    f"pool {name!r}: the call ran longer than its timeout of {timeout:g} s "
                    "and was cancelled"
                )
                raise CallTimeout(msg, stopped=True) from None
            raise
        deadline.turn(None)
        return value

    def submit(
        self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> CallFuture[R]:
        """Queue ``fn(*args, **kwargs)`` and return its future, which blocking code and ``await`` can wait for.

        In a thread that runs an event loop the coroutine runs there, and ``submit`` never blocks; in
        blocking code it runs on one loop that all pools share, and ``submit`` blocks while the queue
        is full. Cancelling the future cancels the coroutine.

        Raises:
            QueueFull: Before start: no place. In a coroutine, ``await pool.run(...)`` waits instead.
            QueueTimeout: Before start: blocked, or queued (then the future says so), for
                ``queue_timeout`` seconds.
            PoolClosed: Before start.
        """
        loop = _get_running_loop()
        options = self._options
        call = AsyncCall(
            self._core,
            loop if loop is not None else self._pool._bridge_loop(),  # noqa: SLF001 - its own view
            fn,
            args,
            kwargs,
            timeout=options.timeout,
            queue_timeout=options.queue_timeout,
        )
        call.line_up(may_block=loop is None)
        return call

    def wrap(self, fn: Callable[P, Awaitable[R]]) -> Callable[P, Any]:
        """Return a coroutine function with ``fn``'s name and signature that runs it in this pool."""

        @wraps(fn)
        async def in_pool(*args: P.args, **kwargs: P.kwargs) -> R:
            return await self.run(fn, *args, **kwargs)

        return in_pool

    def stream(
        self,
        fn: Callable[[T], Awaitable[R]],
        items: Iterable[T] | AsyncIterable[T],
        *,
        limit: int | None = None,
        ordered: bool = True,
        outcomes: bool = False,
        buffer: int | None = None,
        retry: Retry | None = None,
        owns_pool: bool = False,
    ) -> Stream[Any]:
        """Await ``fn(item)`` for each item, in this pool, in bounded memory. See :class:`Stream`.

        The items of a stream share a few tasks, so ``asyncio.current_task()`` is not the item's own;
        context variables are.

        Args:
            fn: A coroutine function of one argument.
            items: Where the items come from; pulled lazily, one at a time, on the loop: an iterable
                that blocks would freeze it, and wants to be an asynchronous one. May be endless.
            limit: Most permits that this stream holds at once; default all that the pool has.
            ordered: Deliver in input order; otherwise as they complete.
            outcomes: Deliver :class:`Outcome` records instead of values, errors among them.
            buffer: Items beyond ``limit`` that may be between input and consumer; default ``limit``.
            retry: Call again after an error.
            owns_pool: Close the pool when the stream ends.
        """
        check.callable_("fn", fn)
        engine = AsyncStreamEngine(
            self._core,
            fn,
            items,
            width=check.count("limit", limit, least=1) if limit is not None else None,
            spare=check.count("buffer", buffer) if buffer is not None else None,
            ordered=ordered,
            outcomes=outcomes,
            timeout=self._options.timeout,
            retry=retry,
            on_end=self._pool._close_quietly if owns_pool else None,  # noqa: SLF001 - its own view
        )
        return Stream(engine)

    async def gather(
        self,
        fn: Callable[[T], Awaitable[R]],
        items: Iterable[T] | AsyncIterable[T],
        *,
        limit: int | None = None,
        outcomes: bool = False,
        retry: Retry | None = None,
    ) -> list[Any]:
        """Await ``fn(item)`` for each item; a list in input order. The first error raises at once."""
        stream = self.stream(fn, items, limit=limit, ordered=False, outcomes=True, retry=retry)
        return await stream.gather(outcomes=outcomes)

    def stats(self) -> PoolStats:
        """Return one consistent reading of the pool."""
        return self._core.admission.stats()


class AsyncPool(AsyncCalls):
    """At most ``max_concurrency`` coroutines at once, in any loops and threads, counted together.

    First come, first served. Used as a context manager, plain or ``async``, it finishes what was
    accepted before it returns; after an error in the block, what still waits is refused.

    Args:
        max_concurrency: Most calls in flight, at least 1.
        name: For logs and statistics.
        max_queue: Most calls that wait for a permit; 0 is none.
        overflow: What a full queue does to one more call: ``"wait"`` (backpressure: a coroutine
            waits, blocking code blocks), ``"reject"`` (:class:`QueueFull`), or ``"drop_oldest"``
            (the longest waiting call is refused in its place).
        queue_timeout: Longest wait for a permit in seconds; None is no bound.
        timeout: Longest run in seconds, after which a call is cancelled; None is no bound.
        rate: How often calls may start.

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
    ) -> None:
        check.choice("overflow", overflow, ("wait", "reject", "drop_oldest"))
        self._options = Options(timeout, queue_timeout)
        now = clock.current()
        admission = Admission(
            name if name is not None else f"coroutines-{next(_names)}",
            check.count("max_concurrency", max_concurrency, least=1),
            max_queue=check.count("max_queue", max_queue),
            overflow=overflow,
            max_abandoned=0,  # a coroutine can be cancelled, so none is abandoned
            gate=rate.gate() if rate is not None else None,
            clock=now,
        )
        self._core = AsyncCore(admission, clock=now)
        self._bridge: Bridge | None = None

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
        """Set the limit now: as many as now fit start, nobody is stopped, nobody blocks."""
        self._core.admission.resize(check.count("max_concurrency", max_concurrency, least=1))
        self._core.pump()

    def _bridge_loop(self) -> asyncio.AbstractEventLoop:
        """The loop for calls from blocking code, which this pool keeps until it closes."""
        with self._core.admission.lock:
            if self._bridge is None:
                self._bridge = Bridge.borrow()
            return self._bridge.loop

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
        self._leave_bridge()
        return idle

    async def aclose(self, timeout: float | None = 10.0) -> bool:  # noqa: ASYNC109 - part of close()'s promise
        """Do the same as :meth:`close` without holding the loop."""
        self._core.admission.close(refuse_waiting=True)
        idle = await wait_idle_async(self._core.admission, timeout)
        self._leave_bridge()
        return idle

    async def adrain(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - part of drain()'s promise
        """Do the same as :meth:`drain` without holding the loop."""
        self._core.admission.close(refuse_waiting=False)
        idle = await wait_idle_async(self._core.admission, timeout)
        self._leave_bridge()
        return idle

    def _close_quietly(self) -> None:
        self._core.admission.close(refuse_waiting=True)

    def _leave_bridge(self) -> None:
        with self._core.admission.lock:
            bridge, self._bridge = self._bridge, None
        if bridge is not None:
            bridge.give_back()
            bridge.join_if_over()

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
        if getattr(self, "_bridge", None) is not None:
            self._core.admission.close(refuse_waiting=True)
            bridge, self._bridge = self._bridge, None
            if bridge is not None:
                bridge.give_back()
