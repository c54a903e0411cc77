"""Calls in a bounded number of processes, which can be ended."""

import atexit
import itertools
import math
import os
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from types import TracebackType
from typing import Any, Self

from holdfast._core import check, clock
from holdfast.limits import Rate
from holdfast.limits.rates import gate_of
from holdfast.pools._admission import Admission
from holdfast.pools._drain import finish, finish_async, is_called_by_a_loop, wait_idle
from holdfast.pools._entry import Overflow
from holdfast.pools._governed import Governed
from holdfast.pools._keyed import IdempotencyKey
from holdfast.pools._living import enrol
from holdfast.pools._options import Sizeof, Unset, paced, pool_options
from holdfast.pools._process_chunk import run_chunk
from holdfast.pools._process_core import ProcessCore
from holdfast.pools._process_hiring import CrewOptions
from holdfast.pools._process_main_read import refuse_while_main_is_read
from holdfast.pools._process_setup import ProcessSetup
from holdfast.pools._process_view import ProcessCalls
from holdfast.pools._thread_view import PLAIN, ThreadCalls
from holdfast.pools._threads import finalize
from holdfast.pools.async_pool import waiting_room
from holdfast.pools.order import Order

__all__ = ("ProcessPool",)

_names = itertools.count(1)
_open: "weakref.WeakSet[ProcessCore]" = weakref.WeakSet()

_KILL_PATIENCE = 6.0
"""Seconds beyond the grace after which a closing pool no longer waits for what it has killed."""


class ProcessPool(ProcessCalls, Governed, Executor):
    """At most ``max_workers`` calls at once, each in a process that can be ended.

    A ``concurrent.futures.Executor`` that can also be awaited. One pool serves blocking code in any
    thread and coroutines in any loop, and counts them together. First come, first served, unless it
    has an order.

    A call that runs longer than its timeout, or whose caller is cancelled, is ended with its process
    and everything that it started (SIGTERM, then SIGKILL), and a spare process takes its place. A
    process that dies costs its own call and no other: :class:`~holdfast.errors.WorkerLost`.

    Workers are forked by a small process without threads, never by this one. They inherit standard
    output and error and the environment that is named, nothing else. Functions, arguments and results
    are pickled; where cloudpickle is installed, lambdas and closures can be sent too. When this
    process ends, whatever ends it, its workers and what they started are ended.

    Used as a context manager, plain or ``async``, it finishes what was accepted before it returns;
    after an error in the block, what still waits is refused.

    Args:
        max_workers: Most calls in flight, at least 1. Default: the CPUs that this process may use.
        name: For logs, statistics and process names.
        max_queue: Most calls that wait for a worker; 0 is none.
        overflow: What a full queue does to one more call: ``"wait"`` (backpressure: a coroutine
            waits, blocking code blocks), ``"reject"`` (:class:`QueueFull`), or ``"drop_oldest"``
            (the longest waiting call is refused in its place).
        queue_timeout: Longest wait for a worker in seconds; None is no bound.
        timeout: Longest run in seconds, from when the call starts; None is no bound.
        rate: How often calls may start, and how much they may weigh: one rate, or several that all have to
            allow a start. A service that asks to wait (``retry_after``) is waited for.
        kill_grace: Seconds between SIGTERM and SIGKILL, 0 or more, for whatever is to be ended. Until
            then a call that does not end by SIGTERM keeps its caller waiting.
        idle_timeout: Seconds after which a process without work ends, give or take a quarter.
        min_workers: Processes that stay for as long as the pool is open, started with it.
        spares: Processes beyond the busy ones that are kept ready once the pool is in use.
        max_calls_per_worker: Calls after which a process is replaced, at least 1; None is no bound.
        max_worker_age: Seconds after which it is replaced between two calls; None is no bound.
        max_worker_memory: Resident bytes above which a worker is ended with what it runs, which gets
            ``WorkerLost(out_of_memory=True)``; above three quarters it is replaced between two calls.
            Looked at 5 to 50 times a second, on Linux only; None is no bound.
        initializer: Called once in each new process, with ``initargs``. If it fails, the pool is
            broken: everything that waits is refused, and so is what comes.
        initargs: See ``initializer``.
        preload: Names of modules that workers need: imported once, before they are forked, or in each
            of them where importing starts threads.
        env: The whole environment of the workers. Default: what any program needs to find its files
            and to speak its language (``PATH``, ``HOME``, ``LANG``, ``TMPDIR``, ``PYTHON*``, numbers of
            threads of numeric libraries), and no more; ``dict(os.environ)`` passes everything.
        max_queue_bytes: Most bytes of calls that wait, at least 1; None is no bound in bytes.
        sizeof: Called with a call's arguments before it has a place; returns its bytes, 0 or more.
        order: Who of those that wait is next: :class:`~holdfast.pools.order.Fair`,
            :class:`~holdfast.pools.order.Priority`; None is first come first served.

    Example:
        >>> with ProcessPool(2, name="demo", timeout=30) as pool:
        ...     pool.submit(pow, 2, 10).result()
        1024
    """

    def __init__(  # noqa: PLR0913 - the options of a pool, keyword-only, and the Executor's own
        self,
        max_workers: int | None = None,
        *,
        name: str | None = None,
        timeout: float | None = None,
        kill_grace: float = 1.0,
        max_queue: int = 1000,
        overflow: Overflow = "wait",
        queue_timeout: float | None = None,
        rate: Rate | Sequence[Rate] | None = None,
        idle_timeout: float = 10.0,
        min_workers: int = 0,
        spares: int = 1,
        max_calls_per_worker: int | None = None,
        max_worker_age: float | None = None,
        max_worker_memory: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        preload: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        order: Order | None = None,
        max_queue_bytes: int | None = None,
        sizeof: Sizeof | None = None,
    ) -> None:
        refuse_while_main_is_read()
        limit = _usual_workers() if max_workers is None else _checked_workers(max_workers)
        if check.count("min_workers", min_workers) > limit:
            msg = f"min_workers must be at most max_workers ({limit}), not {min_workers}"
            raise ValueError(msg)
        check.choice("overflow", overflow, ("wait", "reject", "drop_oldest"))
        name = name if name is not None else f"processes-{next(_names)}"
        options = pool_options(timeout, queue_timeout, order, max_queue_bytes, sizeof)
        now, gate = clock.current(), gate_of(rate)
        admission = Admission(
            name,
            limit,
            max_queue=check.count("max_queue", max_queue),
            overflow=overflow,
            max_abandoned=limit,
            gate=gate,
            clock=now,
            max_queue_bytes=max_queue_bytes,
            line=order.line(now) if order is not None else None,
        )
        options = paced(options, gate, admission, now)
        self._options = PLAIN if options == PLAIN else options
        if max_worker_memory is not None:
            check.count("max_worker_memory", max_worker_memory, least=1)
        if max_calls_per_worker is not None:
            check.count("max_calls_per_worker", max_calls_per_worker, least=1)
        grace = check.seconds("kill_grace", kill_grace, zero=True) or 0.0
        setup = ProcessSetup(
            name, grace, max_worker_memory, tuple(preload), env, initializer, initargs
        )
        crew = CrewOptions(
            min_workers=min_workers,
            spares=check.count("spares", spares),
            idle_timeout=check.seconds("idle_timeout", idle_timeout) or 10.0,
            kill_grace=grace,
            max_calls=math.inf if max_calls_per_worker is None else max_calls_per_worker,
            max_age=check.seconds("max_worker_age", max_worker_age) or math.inf,
            shared=setup.shared,
            make_link=setup.make_link,
        )
        self._core = ProcessCore(admission, crew, now)
        self._ended = False
        _open.add(self._core)
        enrol(self, "processes")
        if min_workers:
            self._core.pump()

    _reserve = None  # of what a thread pool may keep

    @property
    def _pool(self) -> Any:  # not kept in itself, so that a forgotten pool goes at once
        return self

    @property
    def _admission(self) -> Admission:
        return self._core.admission

    def _go_on(self) -> None:
        self._core.pump()

    def _keyed(self, view: ThreadCalls, key: IdempotencyKey | Unset) -> ThreadCalls:
        del view
        msg = (
            f"idempotency_key={key!r} would mean nothing: pool {self.name!r} runs its calls in other "
            "processes, and outcomes are kept in this one; put an Idempotent around the pool's run, or "
            "options(idempotent=True) for calls that may be run again"
        )
        raise ValueError(msg)

    def _guarded(self, view: ThreadCalls, retry: object, fallback: object) -> ThreadCalls:
        from holdfast.pools._guarded_view import GuardedThreadCalls, guard_of  # noqa: PLC0415 - few have one

        guard = guard_of(retry, fallback)
        return view if guard == (None, None) else GuardedThreadCalls(view, guard, waiting_room)

    @property
    def name(self) -> str:
        """The pool's name."""
        return self._core.admission.name

    def __repr__(self) -> str:
        s = self.stats()
        return (
            f"<ProcessPool {s.name!r}: {s.in_flight} of {s.limit} in flight, {s.queued} queued, "
            f"{len(self._core.workers)} processes{', closed' if self._ended else ''}>"
        )

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """Call ``fn`` for each item, as ``Executor.map``: all are queued at once.

        For an input that is long or endless, :meth:`stream` pulls lazily, in bounded memory.

        Args:
            fn: The function.
            iterables: Where its arguments come from.
            timeout: Seconds from now after which the iterator raises ``TimeoutError``.
            chunksize: Items that make one call, at least 1. A chunk is lost, timed and retried as one.

        Raises:
            ValueError: ``chunksize`` is less than 1.
        """
        if chunksize < 1:
            msg = f"chunksize must be at least 1, not {chunksize}"
            raise ValueError(msg)
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout)
        rows = zip(*iterables, strict=False)
        chunks = iter(lambda: tuple(itertools.islice(rows, chunksize)), ())
        done = super().map(partial(run_chunk, fn), chunks, timeout=timeout)
        return itertools.chain.from_iterable(done)

    def pids(self) -> tuple[int, ...]:
        """Return the process numbers of the workers that there are now, spares among them."""
        workers = tuple(self._core.workers.values())
        return tuple(worker.pid for worker in workers if worker.pid is not None)

    def resize(self, max_workers: int) -> None:
        """Set the limit now: as many as now fit start, nobody is stopped, nobody blocks.

        Args:
            max_workers: Most calls in flight from now on, at least 1.
        """
        self._core.admission.resize(check.count("max_workers", max_workers, least=1))
        self._core.pump()

    # ------------------------------------------------------------ the end

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Admit nothing any more and, with ``wait``, block until what was accepted has ended.

        The standard ``Executor.shutdown``: calls in the queue still run, unless ``cancel_futures``. A stream
        goes on while it keeps the pool busy, with ``wait``; without it, or with ``cancel_futures``, it pulls
        nothing more.

        An event loop that has the pool as its default executor calls this when it closes. The pool
        stays open then, because other loops may have it as well; whoever made it closes it.
        """
        if is_called_by_a_loop(sys._getframe(1)):  # noqa: SLF001 - who asks makes the difference
            return
        self._ended = True
        core = self._core
        core.close(refuse_waiting=False, keep_turns=wait and not cancel_futures)
        if cancel_futures:
            core.cancel_waiting()
        if not wait:
            core.stop_when_idle()
            return
        wait_idle(core.admission, core.clock, None)
        core.admission.end_turns()
        core.stop()
        core.join(None)

    def drain(self, timeout: float | None = None) -> bool:
        """Admit nothing any more and block until what was accepted has ended.

        Args:
            timeout: Longest wait in seconds; None is no bound. What still runs then is ended.

        Returns:
            Whether all of it ended by itself.
        """
        self._ended = True
        core = self._core
        return self._finish(finish([core.admission], core.clock, timeout, refuse_waiting=False))

    def close(self, timeout: float | None = 10.0) -> bool:
        """Refuse what waits, wait up to ``timeout`` seconds for what is in flight, end the rest.

        What has not ended by then is ended with its process, and its callers get ``WorkerLost``. May be
        called from any thread, and again.

        Returns:
            Whether everything in flight ended by itself.
        """
        self._ended = True
        core = self._core
        return self._finish(finish([core.admission], core.clock, timeout, refuse_waiting=True))

    async def aclose(self, timeout: float | None = 10.0) -> bool:
        """Do the same as :meth:`close` without holding the loop."""
        self._ended = True
        core = self._core
        return await self._afinish(
            await finish_async([core.admission], core.clock, timeout, refuse_waiting=True)
        )

    async def adrain(self, timeout: float | None = None) -> bool:
        """Do the same as :meth:`drain` without holding the loop."""
        self._ended = True
        core = self._core
        return await self._afinish(
            await finish_async([core.admission], core.clock, timeout, refuse_waiting=False)
        )

    def _finish(self, idle: bool) -> bool:
        core = self._core
        if not idle:
            core.end_all()
        core.stop()
        core.join(core.options.kill_grace + _KILL_PATIENCE)
        return idle

    async def _afinish(self, idle: bool) -> bool:
        core = self._core
        if not idle:
            core.end_all()
        core.stop()
        await core.ajoin(core.options.kill_grace + _KILL_PATIENCE)
        return idle

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
            finalize(self._core.let_go, self._core.admission.lock)  # what was accepted still runs


def _checked_workers(max_workers: object) -> int:
    if isinstance(max_workers, int) and max_workers <= 0:
        msg = f"max_workers must be greater than 0, not {max_workers}"
        raise ValueError(msg)
    return check.count("max_workers", max_workers, least=1)


def _usual_workers() -> int:
    affine = hasattr(os, "sched_getaffinity")
    return (len(os.sched_getaffinity(0)) if affine else os.cpu_count()) or 1


def _at_exit() -> None:
    """Finish what was accepted before the interpreter goes."""
    for core in list(_open):
        core.close(refuse_waiting=False)
        wait_idle(core.admission, core.clock, None)
        core.stop()
        core.join(core.options.kill_grace + _KILL_PATIENCE)


atexit.register(_at_exit)
