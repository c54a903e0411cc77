"""What can be asked of a ProcessPool, with one set of options."""

import asyncio
from asyncio.events import _get_running_loop  # the one question that must cost nothing
from collections.abc import AsyncIterable, Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from holdfast._core import check
from holdfast._core.future import CallFuture
from holdfast._core.loops import loop_state
from holdfast.limits import Retry
from holdfast.pools._deadline_calls import inherit
from holdfast.pools._entry import ENDED
from holdfast.pools._keyed import IdempotencyKey
from holdfast.pools._options import UNSET, Unset
from holdfast.pools._process_calls import ProcessCall, ProcessLoopCall, ProcessSubmittedCall
from holdfast.pools._process_payload import encode
from holdfast.pools._process_stream import ProcessStreamEngine
from holdfast.pools._stats import PoolStats
from holdfast.pools._stream_engine import StreamOptions
from holdfast.pools._thread_view import ThreadCalls
from holdfast.pools.deadline import inherited
from holdfast.pools.stream import Stream

if TYPE_CHECKING:
    from holdfast.pools._options import Ranked
    from holdfast.pools._process_core import ProcessCore

__all__ = ("ProcessCalls",)

P = ParamSpec("P")
R = TypeVar("R")


class ProcessCalls(ThreadCalls):
    """What can be asked of a :class:`ProcessPool`, with one set of options.

    ``pool.options(timeout=5)`` returns one of these: it shares the pool's permits, line, workers and
    statistics, and costs a few hundred nanoseconds to make.
    """

    _core: "ProcessCore"  # type: ignore[assignment] # what a view asks of a core, both cores have
    _idempotent: bool = False

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
        idempotent: bool | Unset = UNSET,
    ) -> "ProcessCalls":
        """Return a light view of this pool whose calls and streams have other options.

        Args:
            timeout: Longest run in seconds, from the start of the call; None is no bound.
            queue_timeout: Longest wait for a worker in seconds; None is no bound.
            key: Whom they belong to, anything hashable; in a pool with ``order=Fair()`` only.
            priority: How urgent they are, lower is more, 0 is usual; in a pool with
                ``order=Priority()`` only.
            reserved: Means nothing here, but False: a process pool keeps no permits for clean-up.
            idempotency_key: Means nothing here, but None: outcomes are kept in this process, and calls run
                in others. An ``Idempotent`` can be put around :meth:`run`.
            retry: When a call that has failed is called again.
            fallback: What is given instead of an error, as for a thread pool.
            idempotent: Whether a call may be run again if its worker dies, up to three times more. One
                that ran for too long is not run again, nor one whose worker was killed because memory was
                short: it would kill one worker after the other.

        Raises:
            ValueError: ``key``, ``priority``, ``reserved`` or ``idempotency_key`` would mean nothing to this
                pool, or is none.
        """
        if reserved is True:
            msg = f"reserved=True would mean nothing: pool {self._pool.name!r} keeps no permits for clean-up"
            raise ValueError(msg)
        view = ProcessCalls()
        view._core = self._core
        view._options = self._options.with_(timeout, queue_timeout, key, priority)
        view._owner = self._pool
        view._idempotent = self._idempotent if isinstance(idempotent, Unset) else bool(idempotent)
        if not isinstance(idempotency_key, Unset) and idempotency_key is not None:
            self._pool._keyed(view, idempotency_key)  # noqa: SLF001 - its own view; raises
        if retry is UNSET and fallback is UNSET:
            return view
        guarded = self._pool._guarded(view, retry, fallback)  # noqa: SLF001 - likewise
        return cast("ProcessCalls", guarded)  # what can be asked of one, can be asked of it

    async def run(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn`` in a worker process and return what it returns.

        Waits in line, without holding a thread, while every worker is busy. Function, arguments and
        result are pickled; context variables don't travel. A caller that is cancelled takes its call
        out of the line; if the call has started, its process is ended with all that it started.

        Raises:
            QueueFull: Before start: no place, and the pool rejects rather than waits.
            QueueTimeout: Before start: it waited ``queue_timeout`` seconds, or until the deadline.
            PoolClosed: Before start.
            UnderPressure: Before start: the system has refused worker processes for two seconds.
            CallTimeout: After start: it ran longer than ``timeout``, or than an inherited
                :func:`~holdfast.pools.deadline.deadline` allows; its process has been ended.
            WorkerLost: After start: its process died.
            ResultLost: After start: it ran to its end, but what it returned can't be sent.
            Exception: Whatever ``fn`` raised, with the traceback there as its cause; or, before start,
                whatever pickling raised.

        Cost:
            ``benchmarks/bench_processes.py``.
        """
        loop = asyncio.get_running_loop()
        call = ProcessLoopCall(
            self._core, loop_state(loop), loop.create_future(), (fn, args, kwargs)
        )
        self._prepare(call)
        self._core.submit(call, may_block=True, prompt=False)
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

        ``cancel()`` of the future ends a call that runs, with its process. While the queue is full
        this blocks the thread (``overflow="wait"``), for ``queue_timeout`` seconds at most. In a thread
        that runs an event loop it never blocks, but raises.

        Raises:
            QueueFull: Before start: no place. In a coroutine, ``await pool.run(...)`` waits instead.
            QueueTimeout: Before start: blocked, or queued (then the future says so), for
                ``queue_timeout`` seconds.
            PoolClosed: Before start.

        Returns:
            A future; what can't be pickled is reported by it.
        """
        call = ProcessSubmittedCall(self._core, fn, args, kwargs)
        try:
            self._prepare(call)
        except Exception as error:
            if call.state != ENDED:
                raise
            call.finish(None, error)
            return call
        loop = _get_running_loop()
        if loop is not None:
            loop_state(loop)  # from now on its close can be told from the pool's own
        self._core.submit_blocking(call, may_block=loop is None)
        return call

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
        options = StreamOptions(
            limit=limit,
            buffer=buffer,
            ordered=ordered,
            outcomes=outcomes,
            timeout=self._options.timeout,
            retry=retry,
            on_end=on_end,
        )
        engine = ProcessStreamEngine(
            self._core,
            fn,
            items,
            options,
            rank=self._options.rank,
            until=inherited(),
            idempotent=self._idempotent,
            pace=self._options.pace,
        )
        return Stream(engine, self._pool)

    def _prepare(self, call: ProcessCall) -> None:
        """Pickle the call, and give it the options of this view."""
        core = self._core
        try:
            call.kind, call.payload = encode(
                call.fn, call.args, call.kwargs, shared=core.options.shared
            )
        except Exception:
            call.state = ENDED
            raise
        if self._idempotent:
            call.idempotent = True
        until, options = inherited(), self._options
        if options.special or options.queue_timeout is not None or until is not None:
            self._apply_options(call, until)
        elif options.timeout is not None:
            call.timeout = options.timeout

    def _apply_options(self, call: Any, until: float | None) -> None:
        options = self._options
        if options.special:
            call.size = options.size_of(call.args, call.kwargs)
            cast("Ranked", call).rank = options.rank
            if options.pace is not None:
                call.weights = options.pace.weights_of(call.args, call.kwargs)
                call.pace = options.pace
        call.timeout = options.timeout
        if options.queue_timeout is not None:
            call.queue_until = self._core.now() + options.queue_timeout
        if until is not None:
            inherit(call, until)
        if call.queue_until is not None:
            self._core.watch(call)

    def stats(self) -> PoolStats:
        """Return one consistent reading of the pool."""
        return self._core.stats()
