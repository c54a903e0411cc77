"""Blocking calls on a bounded number of threads."""

import asyncio
import atexit
import itertools
import weakref
from asyncio.events import _get_running_loop  # the one question that must cost nothing
from collections.abc import AsyncIterable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from holdfast._core import check, clock
from holdfast._core.future import CallFuture
from holdfast._core.loops import loop_state
from holdfast.limits import Rate, Retry
from holdfast.pools._admission import Admission, Overflow
from holdfast.pools._drain import wait_idle, wait_idle_async
from holdfast.pools._options import UNSET, Options, Unset
from holdfast.pools._stats import PoolStats
from holdfast.pools._thread_calls import LoopCall, SubmittedCall
from holdfast.pools._thread_core import ThreadCore
from holdfast.pools._thread_stream import ThreadStreamEngine
from holdfast.pools.stream import Stream

__all__ = ("ThreadCalls", "ThreadPool")

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_names = itertools.count(1)
_open: "weakref.WeakSet[ThreadCore]" = weakref.WeakSet()


class ThreadCalls:
    """What can be asked of a :class:`ThreadPool`, with one set of options.

    ``pool.options(timeout=5)`` returns one of these: it shares the pool's permits, line, workers and
    statistics, and costs a few hundred nanoseconds to make.
    """

    _core: ThreadCore
    _options: Options
    _owner: "ThreadPool"

    @property
    def _pool(self) -> "ThreadPool":
        return self._owner

    def options(
        self, *, timeout: float | None | Unset = UNSET, queue_timeout: float | None | Unset = UNSET
    ) -> "ThreadCalls":
        """Return a light view of this pool whose calls have other options.

        Args:
            timeout: Longest run in seconds; None is no bound.
            queue_timeout: Longest wait for a worker in seconds; None is no bound.
        """
        view = ThreadCalls()
        view._core = self._core
        view._options = self._options.with_(timeout, queue_timeout)
        view._owner = self._pool
        return view

    async def run(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn`` on a worker thread and return what it returns.

        Waits in line, without holding a thread, while every worker is busy. Context variables
        travel with the call. A caller that is cancelled takes its call out of the line; if the call
        has started, it can't be stopped: it goes on as *abandoned* and keeps its permit.

        Raises:
            QueueFull: Before start: no place, and the pool rejects rather than waits.
            QueueTimeout: Before start: it waited ``queue_timeout`` seconds.
            PoolClosed: Before start.
            CallTimeout: After start: it ran longer than ``timeout``; it still runs.
            Exception: Whatever ``fn`` raised.

        Cost:
            ``benchmarks/bench_threads.py``.
        """
        loop = asyncio.get_running_loop()
        call = LoopCall(
            self._core, loop_state(loop), loop.create_future(), copy_context(), fn, args, kwargs
        )
        if self._options is not _PLAIN:
            self._apply_options(call)
        self._core.submit_from_loop(call)
        try:
            await call.future
        except asyncio.CancelledError:
            self._core.give_up(call)
            raise
        error = call.error
        if error is not None:
            call.error = None
            try:
                raise error
            finally:
                del error  # break the cycle with the traceback
        return cast("R", call.value)

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> CallFuture[R]:
        """Queue ``fn(*args, **kwargs)`` and return its future, which blocking code and ``await`` can wait for.

        While the queue is full it blocks this thread (``overflow="wait"``), for ``queue_timeout``
        seconds at most. In a thread that runs an event loop it never blocks, but raises.

        Raises:
            QueueFull: Before start: no place. In a coroutine, ``await pool.run(...)`` waits instead.
            QueueTimeout: Before start: blocked, or queued (then the future says so), for
                ``queue_timeout`` seconds.
            PoolClosed: Before start.
            UnderPressure: Before start: the system refused the pool its first thread.
        """
        call = SubmittedCall(self._core, copy_context(), fn, args, kwargs)
        if self._options is not _PLAIN:
            self._apply_options(call)
        self._core.submit_blocking(call, may_block=_get_running_loop() is None)
        return call

    def _apply_options(self, call: LoopCall | SubmittedCall) -> None:
        options = self._options
        call.timeout = options.timeout
        if options.queue_timeout is not None:
            call.queue_until = self._core.now() + options.queue_timeout

    def wrap(self, fn: Callable[P, R]) -> Callable[P, Any]:
        """Return a coroutine function with ``fn``'s name and signature that runs it in this pool.

        For agent frameworks, which accept it wherever they take a tool.
        """

        @wraps(fn)
        async def in_pool(*args: P.args, **kwargs: P.kwargs) -> R:
            return await self.run(fn, *args, **kwargs)

        return in_pool

    def wrap_sync(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Return a blocking function with ``fn``'s name and signature that runs it in this pool."""

        @wraps(fn)
        def in_pool(*args: P.args, **kwargs: P.kwargs) -> R:
            return self.submit(fn, *args, **kwargs).result()

        return in_pool

    def stream(
        self,
        fn: Callable[[T], R],
        items: Iterable[T] | AsyncIterable[T],
        *,
        limit: int | None = None,
        ordered: bool = True,
        outcomes: bool = False,
        buffer: int | None = None,
        retry: Retry | None = None,
        owns_pool: bool = False,
    ) -> Stream[Any]:
        """Call ``fn`` for each item, in this pool, in bounded memory. See :class:`Stream`.

        Args:
            fn: A blocking function of one argument.
            items: Where the items come from; pulled lazily, one at a time, on a worker's thread (an
                asynchronous one on the loop). May be endless.
            limit: Most permits that this stream holds at once; default all that the pool has.
            ordered: Deliver in input order; otherwise as they complete.
            outcomes: Deliver :class:`Outcome` records instead of values, errors among them.
            buffer: Items beyond ``limit`` that may be between input and consumer; default ``limit``.
            retry: Call again after an error.
            owns_pool: Close the pool when the stream ends.
        """
        check.callable_("fn", fn)
        width = check.count("limit", limit, least=1) if limit is not None else None
        spare = check.count("buffer", buffer) if buffer is not None else None
        engine = ThreadStreamEngine(
            self._core,
            fn,
            items,
            width=width,
            spare=spare,
            ordered=ordered,
            outcomes=outcomes,
            timeout=self._options.timeout,
            retry=retry,
            on_end=self._pool._close_quietly if owns_pool else None,  # noqa: SLF001 - its own view
        )
        return Stream(engine)

    async def gather(
        self,
        fn: Callable[[T], R],
        items: Iterable[T] | AsyncIterable[T],
        *,
        limit: int | None = None,
        outcomes: bool = False,
        retry: Retry | None = None,
    ) -> list[Any]:
        """Call ``fn`` for each item and return a list in input order; the first error raises at once."""
        stream = self.stream(fn, items, limit=limit, ordered=False, outcomes=True, retry=retry)
        return await stream.gather(outcomes=outcomes)

    def stats(self) -> PoolStats:
        """Return one consistent reading of the pool."""
        return self._core.stats()


_PLAIN = Options()


class ThreadPool(ThreadCalls, ThreadPoolExecutor):
    """At most ``max_workers`` blocking calls at once, on threads that come and go with the load.

    A ``concurrent.futures.Executor`` that can also be awaited. One pool serves blocking code in any
    thread and coroutines in any loop, and counts them together. First come, first served.

    Used as a context manager, plain or ``async``, it finishes what was accepted before it returns;
    after an error in the block, what still waits is refused.

    Args:
        max_workers: Most calls in flight, and threads, at least 1.
        name: For logs, statistics and thread names.
        max_queue: Most calls that wait for a worker; 0 is none.
        overflow: What a full queue does to one more call: ``"wait"`` (backpressure: a coroutine
            waits, blocking code blocks), ``"reject"`` (:class:`QueueFull`), or ``"drop_oldest"``
            (the longest waiting call is refused in its place).
        queue_timeout: Longest wait for a worker in seconds; None is no bound.
        timeout: Longest run in seconds; None is no bound. A thread can't be stopped: its caller gets
            ``CallTimeout(stopped=False)``, and its permit stays held until it ends.
        rate: How often calls may start.
        idle_timeout: Seconds after which a thread without work ends.
        min_workers: Threads that stay for as long as the pool is open, once they were needed.
        max_abandoned: Replacements for threads stuck in abandoned calls; default ``max_workers``.
            When these are stuck too, the pool refuses calls.
        initializer: Called once in each new thread, with ``initargs``.
        initargs: See ``initializer``.
        thread_name_prefix: Default ``holdfast:<name>/``.

    Example:
        >>> with ThreadPool(4, name="demo") as pool:
        ...     pool.submit(pow, 2, 10).result()
        1024
    """

    def __init__(
        self,
        max_workers: int,
        *,
        name: str | None = None,
        max_queue: int = 1000,
        overflow: Overflow = "wait",
        queue_timeout: float | None = None,
        timeout: float | None = None,
        rate: Rate | None = None,
        idle_timeout: float = 10.0,
        min_workers: int = 0,
        max_abandoned: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        thread_name_prefix: str | None = None,
    ) -> None:
        limit = check.count("max_workers", max_workers, least=1)
        if check.count("min_workers", min_workers) > limit:
            msg = f"min_workers must be at most max_workers ({limit}), not {min_workers}"
            raise ValueError(msg)
        check.choice("overflow", overflow, ("wait", "reject", "drop_oldest"))
        idle = check.seconds("idle_timeout", idle_timeout)
        name = name if name is not None else f"threads-{next(_names)}"
        options = Options(timeout, queue_timeout)
        self._options = _PLAIN if options == _PLAIN else options
        now = clock.current()
        admission = Admission(
            name,
            limit,
            max_queue=check.count("max_queue", max_queue),
            overflow=overflow,
            max_abandoned=limit
            if max_abandoned is None
            else check.count("max_abandoned", max_abandoned),
            gate=rate.gate() if rate is not None else None,
            clock=now,
        )
        self._core = ThreadCore(
            admission,
            clock=now,
            idle_timeout=idle if idle is not None else 10.0,
            min_workers=min_workers,
            thread_name_prefix=f"holdfast:{name}/"
            if thread_name_prefix is None
            else thread_name_prefix,
            initializer=None if initializer is None else lambda: initializer(*initargs),
        )
        self._ended = False
        _open.add(self._core)

    @property
    def _pool(self) -> Self:  # not kept in itself, so that a forgotten pool goes at once
        return self

    @property
    def name(self) -> str:
        """The pool's name."""
        return self._core.admission.name

    def __repr__(self) -> str:
        s = self.stats()
        return (
            f"<ThreadPool {s.name!r}: {s.in_flight} of {s.limit} in flight, {s.queued} queued, "
            f"{s.abandoned} abandoned, {s.threads} threads{', closed' if self._ended else ''}>"
        )

    def resize(self, max_workers: int) -> None:
        """Set the limit now: as many as now fit start, nobody is stopped, nobody blocks."""
        self._core.admission.resize(check.count("max_workers", max_workers, least=1))
        self._core.hire()

    # ------------------------------------------------------------ the end

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's signature
        """Admit nothing any more and, with ``wait``, block until what was accepted has ended.

        The standard ``Executor.shutdown``: calls in the queue still run, unless
        ``cancel_futures``. Calls that were abandoned are not waited for.
        """
        self._ended = True
        core = self._core
        core.admission.close(refuse_waiting=False)
        if cancel_futures:
            core.cancel_waiting()
        if wait:
            wait_idle(core.admission, core.clock, None)
        core.stop()
        if wait:
            core.join(self._abandoned_until())

    def drain(self, timeout: float | None = None) -> bool:
        """Admit nothing any more and block until what was accepted has ended.

        Args:
            timeout: Longest wait in seconds; None is no bound.

        Returns:
            Whether all of it has; False after ``timeout`` seconds, or with abandoned calls left.
        """
        self._ended = True
        core = self._core
        core.admission.close(refuse_waiting=False)
        return self._finish(core, wait_idle(core.admission, core.clock, timeout))

    def close(self, timeout: float | None = 10.0) -> bool:
        """Refuse what waits, wait up to ``timeout`` seconds for what is in flight, end the threads.

        May be called from any thread, and again.

        Returns:
            Whether everything has ended; what has not is logged and goes on, its threads with it.
        """
        self._ended = True
        core = self._core
        core.admission.close(refuse_waiting=True)
        return self._finish(core, wait_idle(core.admission, core.clock, timeout))

    async def aclose(self, timeout: float | None = 10.0) -> bool:
        """Do the same as :meth:`close` without holding the loop."""
        self._ended = True
        core = self._core
        core.admission.close(refuse_waiting=True)
        return self._finish(core, await wait_idle_async(core.admission, timeout))

    async def adrain(self, timeout: float | None = None) -> bool:
        """Do the same as :meth:`drain` without holding the loop."""
        self._ended = True
        core = self._core
        core.admission.close(refuse_waiting=False)
        return self._finish(core, await wait_idle_async(core.admission, timeout))

    def _close_quietly(self) -> None:
        self._ended = True
        self._core.admission.close(refuse_waiting=True)
        self._core.stop()

    def _finish(self, core: ThreadCore, idle: bool) -> bool:  # noqa: FBT001 - what the wait has found
        core.stop()
        if idle:
            core.join(self._abandoned_until())
        return core.report_survivors()

    def _abandoned_until(self) -> float | None:
        """Idle threads end at once, so joining them needs no bound; threads stuck for good do."""
        return self._core.now() if self._core.admission.abandoned else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.shutdown()
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
        if not getattr(self, "_ended", True):
            # Nobody can submit any more; what was accepted still runs, then the threads end.
            self._core.admission.close(refuse_waiting=False)
            self._core.stop()


def _at_exit() -> None:
    """Finish what was accepted before the interpreter goes; stuck and abandoned calls are left."""
    for core in list(_open):
        core.admission.close(refuse_waiting=False)
        wait_idle(core.admission, core.clock, None)
        core.stop()
        core.join(core.now() if core.admission.abandoned else None)


atexit.register(_at_exit)
