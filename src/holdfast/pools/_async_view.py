"""What can be asked of an AsyncPool, with one set of options."""

import asyncio
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Hashable, Iterable
from functools import wraps
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, cast, overload

from holdfast._core import check
from holdfast._core.future import CallFuture
from holdfast._core.outcome import Outcome
from holdfast.limits import Retry
from holdfast.pools._async_core import AsyncCore
from holdfast.pools._async_submit import AsyncCall
from holdfast.pools._deadline_calls import DeadlineAsyncCall
from holdfast.pools._deadline_run import run_within
from holdfast.pools._keyed import IdempotencyKey
from holdfast.pools._options import UNSET, Options, Ranked, Unset
from holdfast.pools._ranked_stream import async_stream
from holdfast.pools._ranked_wait import enter
from holdfast.pools._reserve import kept_or_raise, with_reserve
from holdfast.pools._stats import PoolStats
from holdfast.pools._stream_engine import StreamOptions
from holdfast.pools.deadline import inherited
from holdfast.pools.stream import Stream

__all__ = ("AsyncCalls",)

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _Owner(Protocol):
    """What a view asks of its pool."""

    _core: AsyncCore
    _reserve: AsyncCore | None

    def _bridge_loop(self) -> asyncio.AbstractEventLoop: ...
    def _keyed(self, view: "AsyncCalls", key: IdempotencyKey | Unset) -> "AsyncCalls": ...
    def _guarded(self, view: "AsyncCalls", retry: object, fallback: object) -> "AsyncCalls": ...

    def _clean_up_view(self) -> "AsyncCalls": ...


class AsyncCalls:
    """What can be asked of an :class:`AsyncPool`, with one set of options.

    ``pool.options(timeout=5)`` returns one of these: it shares the pool's permits, line and
    statistics, and costs a few hundred nanoseconds to make.
    """

    _core: AsyncCore
    _options: Options
    _owner: _Owner

    @property
    def _pool(self) -> _Owner:
        return self._owner

    def options(
        self,
        *,
        timeout: float | Unset | None = UNSET,
        queue_timeout: float | Unset | None = UNSET,
        key: Hashable | Unset = UNSET,
        priority: float | Unset = UNSET,
        reserved: bool | Unset = UNSET,
        idempotency_key: IdempotencyKey | Unset | None = UNSET,
        retry: Retry | Unset | None = UNSET,
        fallback: Any = UNSET,
    ) -> "AsyncCalls":
        """Return a light view of this pool whose calls and streams have other options.

        Args:
            timeout: Longest run in seconds; None is no bound.
            queue_timeout: Longest wait for a permit in seconds; None is no bound.
            key: Whom they belong to, anything hashable; in a pool with ``order=Fair()`` only.
            priority: How urgent they are, lower is more, 0 is usual; in a pool with
                ``order=Priority()`` only.
            reserved: Whether they are clean-up work: on any permit that is free, and else on one of
                those that a pool with ``reserved`` keeps. They wait for no rate and in no order.
            idempotency_key: Names what they do, so that a retry gets the recorded outcome; in a pool with
                ``idempotency`` only. A string for one call, or a function of the call's arguments that
                returns it; None is no key.
            retry: When to try again; None never does. Each attempt stands in line anew, and between two of
                them the call holds no permit. All retries of the process share one budget
                (:func:`~holdfast.set_retry_budget`).
            fallback: What to give instead of a refusal or a timeout: a value, a function of the call's
                arguments, or a :class:`~holdfast.limits.fallback.Fallback`; None gives the error.

        Raises:
            ValueError: ``key``, ``priority``, ``reserved`` or ``idempotency_key`` would mean nothing to this
                pool, or is none.
        """
        options = self._options.with_(timeout, queue_timeout, key, priority)
        view = self._view(reserved, options)
        if idempotency_key is not UNSET and idempotency_key is not None:
            view = self._pool._keyed(view, idempotency_key)  # noqa: SLF001 - its own view
        if retry is UNSET and fallback is UNSET:
            return view
        return self._pool._guarded(view, retry, fallback)  # noqa: SLF001 - likewise

    def _view(self, reserved: bool | Unset, options: Options) -> "AsyncCalls":
        pool = self._pool
        core, kept = pool._core, pool._reserve  # noqa: SLF001 - its own view
        view = AsyncCalls()
        if reserved is True or (reserved is UNSET and self._core is kept):
            view = pool._clean_up_view()  # noqa: SLF001 - its own view
            core = kept_or_raise(kept, core.admission.name)
        view._core = core  # noqa: SLF001 - made here
        view._options = options  # noqa: SLF001 - likewise
        view._owner = pool  # noqa: SLF001 - likewise
        return view

    async def run(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Await ``fn(*args, **kwargs)`` in this task, as soon as there is a permit.

        Waits in line while every permit is out. A caller that is cancelled leaves the line at once,
        or cancels its call.

        Raises:
            QueueFull: Before start: no place, and the pool rejects rather than waits.
            QueueTimeout: Before start: it waited ``queue_timeout`` seconds, or until the deadline.
            RateLimited: Before start: the rate is used up, and the pool rejects rather than waits,
                or the deadline comes first.
            PoolClosed: Before start.
            CallTimeout: After start: it ran longer than ``timeout``, or than an inherited
                :func:`~holdfast.pools.deadline.deadline` allows, and was cancelled.
            Exception: Whatever ``fn`` raised.

        Cost:
            ``benchmarks/bench_calls.py``.
        """
        # A frame of this is kept for as long as the call waits: few names, so that a session holds little.
        timeout = self._options.timeout
        admission = self._core.admission
        if admission.timings.skip:  # most of the quick ones: no call for them
            admission.timings.skip -= 1
            timing = None
        else:
            timing = admission.timings.begin(self._core.clock.now, admission.in_line())
        if inherited() is not None or self._options.special:
            timeout = await enter(self._core, self._options, inherited(), args, kwargs)
            fn = self._options.around(fn, timeout)
        elif not admission.try_enter():
            await self._core.wait_for_permit(self._options.queue_timeout)
        if timing is not None:
            timing.start()
        try:
            if timeout is None:
                value = await fn(*args, **kwargs)
            else:
                value = await run_within(self._core, timeout, fn, args, kwargs)
        except BaseException as error:
            self._core.safely(error, self._core.fail)
            if timing is not None:
                timing.end()
            raise
        then = admission.leave(ok=True)
        if then is not None:
            self._core.pass_on(then)
        elif admission.gate is not None:
            self._core.arm_gate()
        if timing is not None:
            timing.end()
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
        call = self._new_call(
            loop if loop is not None else self._pool._bridge_loop(),  # noqa: SLF001 - its own view
            fn,
            args,
            kwargs,
        )
        call.line_up(may_block=loop is None)
        return call

    def _new_call(
        self,
        loop: asyncio.AbstractEventLoop,
        fn: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> AsyncCall:
        options = self._options
        size, weights = 0, None
        if options.special:
            size, weights = options.size_of(args, kwargs), options.weights_of(args, kwargs)
            fn = options.around(fn, options.timeout)
        bounds = {"timeout": options.timeout, "queue_timeout": options.queue_timeout}
        until = inherited()
        call = (
            AsyncCall(self._core, loop, fn, args, kwargs, **bounds)
            if until is None
            else DeadlineAsyncCall(self._core, loop, fn, args, kwargs, **bounds, until=until)
        )
        if options.special:
            call.size = size
            ranked = cast("Ranked", call)
            ranked.rank, ranked.weights = options.rank, weights
        return call

    def wrap(self, fn: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        """Return a coroutine function with ``fn``'s name and signature that runs it in this pool."""

        @wraps(fn)
        async def in_pool(*args: P.args, **kwargs: P.kwargs) -> R:
            return await self.run(fn, *args, **kwargs)

        return in_pool

    @overload
    def stream(
        self,
        fn: Callable[[T], Awaitable[R]],
        items: Iterable[T] | AsyncIterable[T],
        *,
        limit: int | None = ...,
        ordered: bool = ...,
        outcomes: Literal[False] = ...,
        buffer: int | None = ...,
        retry: Retry | None = ...,
    ) -> Stream[R]: ...
    @overload
    def stream(
        self,
        fn: Callable[[T], Awaitable[R]],
        items: Iterable[T] | AsyncIterable[T],
        *,
        limit: int | None = ...,
        ordered: bool = ...,
        outcomes: Literal[True],
        buffer: int | None = ...,
        retry: Retry | None = ...,
    ) -> Stream[Outcome[R]]: ...
    @overload
    def stream(
        self,
        fn: Callable[[T], Awaitable[R]],
        items: Iterable[T] | AsyncIterable[T],
        *,
        limit: int | None = ...,
        ordered: bool = ...,
        outcomes: bool,
        buffer: int | None = ...,
        retry: Retry | None = ...,
    ) -> Stream[Any]: ...
    def stream(
        self,
        fn: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        limit: int | None = None,
        ordered: bool = True,
        outcomes: bool = False,
        buffer: int | None = None,
        retry: Retry | None = None,
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
            retry: Call again after an error, within the retry budget of the process.
        """
        return self._stream(
            fn,
            items,
            limit=limit,
            ordered=ordered,
            outcomes=outcomes,
            buffer=buffer,
            retry=retry,
            on_end=None,
        )

    def _stream(
        self,
        fn: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        limit: int | None,
        ordered: bool,
        outcomes: bool,
        buffer: int | None,
        retry: Retry | None,
        on_end: Callable[[], None] | None,
    ) -> Stream[Any]:
        check.callable_("fn", fn)
        meter = self._options.meter
        if meter is not None:
            fn = meter.around(fn, self._options.timeout)
            # The limit moves and the window of a stream does not: it is that of the most there may be.
            limit = meter.ceiling if limit is None else limit
        if self._options.pace is not None:
            fn = self._options.pace.around_item(fn, blocking=False)
        options = StreamOptions(
            limit=limit,
            buffer=buffer,
            ordered=ordered,
            outcomes=outcomes,
            timeout=self._options.timeout,
            retry=retry,
            on_end=on_end,
        )
        more = self._options.rank, inherited()
        return Stream(async_stream(self._core, fn, items, options, more), self._pool)

    @overload
    async def gather(
        self,
        fn: Callable[[T], Awaitable[R]],
        items: Iterable[T] | AsyncIterable[T],
        *,
        limit: int | None = ...,
        outcomes: Literal[False] = ...,
        retry: Retry | None = ...,
    ) -> list[R]: ...
    @overload
    async def gather(
        self,
        fn: Callable[[T], Awaitable[R]],
        items: Iterable[T] | AsyncIterable[T],
        *,
        limit: int | None = ...,
        outcomes: Literal[True],
        retry: Retry | None = ...,
    ) -> list[Outcome[R]]: ...
    @overload
    async def gather(
        self,
        fn: Callable[[T], Awaitable[R]],
        items: Iterable[T] | AsyncIterable[T],
        *,
        limit: int | None = ...,
        outcomes: bool,
        retry: Retry | None = ...,
    ) -> list[Any]: ...
    async def gather(
        self,
        fn: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        limit: int | None = None,
        outcomes: bool = False,
        retry: Retry | None = None,
    ) -> list[Any]:
        """Await ``fn(item)`` for each item; a list in input order. The first error raises at once.

        Args:
            fn: A function of one argument.
            items: Where the items come from, as for :meth:`stream`; must come to an end.
            limit: Most permits that this call holds at once; default all that the pool has.
            outcomes: Return :class:`Outcome` records, errors among them; then nothing raises.
            retry: Call again after an error, within the retry budget of the process.

        Returns:
            One value or record for each item.

        Raises:
            Exception: The first error to happen; coroutines still running are cancelled.
        """
        stream = self.stream(fn, items, limit=limit, ordered=False, outcomes=True, retry=retry)
        return await stream.gather(outcomes=outcomes)

    def stats(self) -> PoolStats:
        """Return one consistent reading of the pool."""
        return with_reserve(self._core, self._pool._reserve)  # noqa: SLF001 - its own view
