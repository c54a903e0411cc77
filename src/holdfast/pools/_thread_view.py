"""What can be asked of a ThreadPool, with one set of options."""

import asyncio
from asyncio.events import _get_running_loop  # the one question that must cost nothing
from collections.abc import AsyncIterable, Callable, Coroutine, Hashable, Iterable
from concurrent.futures._base import PENDING
from contextvars import copy_context
from functools import wraps
from typing import Any, Final, Literal, ParamSpec, Protocol, TypeVar, cast, overload

from holdfast._core import check
from holdfast._core.future import CallFuture
from holdfast._core.loops import end_pass_here, loop_state
from holdfast._core.outcome import Outcome
from holdfast.limits import Retry
from holdfast.pools._deadline_calls import DeadlineLoopCall, DeadlineSubmittedCall, inherit
from holdfast.pools._entry import WAITING
from holdfast.pools._keyed import IdempotencyKey
from holdfast.pools._options import UNSET, Options, Unset
from holdfast.pools._ranked_stream import thread_stream
from holdfast.pools._reserve import kept_or_raise, with_reserve
from holdfast.pools._stats import PoolStats
from holdfast.pools._stream_engine import StreamOptions
from holdfast.pools._thread_calls import LoopCall, SubmittedCall
from holdfast.pools._thread_core import ThreadCore
from holdfast.pools.deadline import inherited
from holdfast.pools.stream import Stream

__all__ = ("ThreadCalls",)

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

NOTHING: Final[Any] = None  # of a type that does not say that it stays so
PLAIN: Final = Options()
"""No bound at all: what most calls have."""


class _Owner(Protocol):
    """What a view asks of its pool."""

    _core: ThreadCore
    _reserve: ThreadCore | None

    @property
    def name(self) -> str: ...
    def _keyed(self, view: "ThreadCalls", key: IdempotencyKey | Unset) -> "ThreadCalls": ...
    def _guarded(self, view: "ThreadCalls", retry: object, fallback: object) -> "ThreadCalls": ...


class ThreadCalls:
    """What can be asked of a :class:`ThreadPool`, with one set of options.

    ``pool.options(timeout=5)`` returns one of these: it shares the pool's permits, line, workers and
    statistics, and costs a few hundred nanoseconds to make.
    """

    _core: ThreadCore
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
    ) -> "ThreadCalls":
        """Return a light view of this pool whose calls and streams have other options.

        Args:
            timeout: Longest run in seconds; None is no bound.
            queue_timeout: Longest wait for a worker in seconds; None is no bound.
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

    def _view(self, reserved: bool | Unset, options: Options) -> "ThreadCalls":
        pool = self._pool
        core, kept = pool._core, pool._reserve  # noqa: SLF001 - its own view
        if reserved is True or (reserved is UNSET and self._core is kept):
            core = kept_or_raise(kept, core.admission.name)
        view = ThreadCalls()
        view._core, view._options, view._owner = core, options, pool
        return view

    async def run(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn`` on a worker thread and return what it returns.

        Waits in line, without holding a thread, while every worker is busy. Context variables
        travel with the call. A caller that is cancelled takes its call out of the line; if the call
        has started, it can't be stopped: it goes on as *abandoned* and keeps its permit.

        Raises:
            QueueFull: Before start: no place, and the pool rejects rather than waits.
            QueueTimeout: Before start: it waited ``queue_timeout`` seconds, or until the deadline.
            PoolClosed: Before start.
            CallTimeout: After start: it ran longer than ``timeout``, or than an inherited
                :func:`~holdfast.pools.deadline.deadline` allows; it still runs.
            Exception: Whatever ``fn`` raised.

        Cost:
            ``benchmarks/bench_threads.py``.
        """
        loop = asyncio.get_running_loop()
        until = inherited()
        call = LoopCall() if until is None else DeadlineLoopCall()
        call.core = core = self._core
        call.mailbox = mailbox = loop_state(loop)
        call.future = loop.create_future()
        call.context = copy_context()
        call.fn = fn
        call.args = args
        call.kwargs = kwargs
        call.state = WAITING
        call.abandoned = False
        call.due = call.error = NOTHING
        if self._options is not PLAIN or until is not None:
            self._apply_options(call, until)
        try:
            burst: Any = mailbox.burst  # a Burst; to ask would be a call for each
            if burst is not None and burst.core is core:
                burst.calls.append(call)
            else:
                core.submit_from_loop(call)
            await call.future
        except BaseException:  # cancelled, or interrupted
            core.give_up(call)
            raise
        if (error := call.error) is not None:
            call.error = None
            try:
                raise error
            finally:
                del error  # break the cycle with the traceback
        value: R = call.value
        return value

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
        until = inherited()
        call: SubmittedCall = SubmittedCall() if until is None else DeadlineSubmittedCall()
        call.core = core = self._core
        call.context = copy_context()
        call.fn = fn
        call.args = args
        call.kwargs = kwargs
        call.state = WAITING
        call._state = PENDING  # noqa: SLF001 - as in a constructor, without the call of one
        call.abandoned = call._began = call._taken = False  # noqa: SLF001 - as above
        call.due = call._exception = call._parked = None  # noqa: SLF001 - as above
        if self._options is not PLAIN or until is not None:
            self._apply_options(call, until)
        loop = _get_running_loop()
        if loop is not None:
            loop_state(loop)  # from now on its close can be told from the pool's own
            end_pass_here()  # the calls that came before this one
            core.submit(call, may_block=False)
        elif not core.submit(call, may_block=True):
            core.wait_for_place(call)
        return call

    def _apply_options(self, call: LoopCall | SubmittedCall, until: float | None) -> None:
        options = self._options
        if options.special:
            options.mark(call)
        call.timeout = options.timeout
        if options.queue_timeout is not None:
            call.queue_until = self._core.now() + options.queue_timeout
        if until is not None:
            inherit(cast("DeadlineLoopCall", call), until)
        if call.timeout is not None or call.queue_until is not None:
            self._core.watch(call)

    def wrap(self, fn: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
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

    @overload
    def stream(
        self,
        fn: Callable[[T], R],
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
        fn: Callable[[T], R],
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
        fn: Callable[[T], R],
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
        """Call ``fn`` for each item, in this pool, in bounded memory. See :class:`Stream`.

        Args:
            fn: A blocking function of one argument.
            items: Where the items come from; pulled lazily, one at a time, on a worker's thread (an
                asynchronous one on the loop). May be endless.
            limit: Most permits that this stream holds at once; default all that the pool has.
            ordered: Deliver in input order; otherwise as they complete.
            outcomes: Deliver :class:`Outcome` records instead of values, errors among them.
            buffer: Items beyond ``limit`` that may be between input and consumer. Default: ``limit``,
                or up to 1,024 in all where a list, tuple or range is run through in less than 20
                microseconds an item.
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
        if self._options.pace is not None:
            fn = self._options.pace.around_item(fn, blocking=True)
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
        return Stream(thread_stream(self._core, fn, items, options, more), self._pool)

    @overload
    async def gather(
        self,
        fn: Callable[[T], R],
        items: Iterable[T] | AsyncIterable[T],
        *,
        limit: int | None = ...,
        outcomes: Literal[False] = ...,
        retry: Retry | None = ...,
    ) -> list[R]: ...
    @overload
    async def gather(
        self,
        fn: Callable[[T], R],
        items: Iterable[T] | AsyncIterable[T],
        *,
        limit: int | None = ...,
        outcomes: Literal[True],
        retry: Retry | None = ...,
    ) -> list[Outcome[R]]: ...
    @overload
    async def gather(
        self,
        fn: Callable[[T], R],
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
        """Call ``fn`` for each item and return a list in input order; the first error raises at once.

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
