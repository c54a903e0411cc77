"""Blocking calls on a bounded number of threads."""

import atexit
import itertools
import os
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

from holdfast._core import check, clock
from holdfast._core.loops import end_pass_here
from holdfast.limits import Rate
from holdfast.limits.rates import gate_of
from holdfast.pools._abandoned import AbandonedCall
from holdfast.pools._admission import Admission
from holdfast.pools._drain import (
    finish,
    finish_async,
    is_called_by_a_loop,
    is_inside,
    wait_idle,
)
from holdfast.pools._entry import Overflow
from holdfast.pools._exit_wait import finish_at_exit
from holdfast.pools._governed import Governed
from holdfast.pools._keyed import IdempotencyKey, Remembers, check_key, check_memory
from holdfast.pools._living import enrol
from holdfast.pools._options import Sizeof, Unset, paced, pool_options
from holdfast.pools._reserve import reserve_of, share
from holdfast.pools._reserve_threads import ReservedThreadCore
from holdfast.pools._thread_core import ThreadCore
from holdfast.pools._thread_crew import ThreadCrew
from holdfast.pools._thread_view import PLAIN, ThreadCalls
from holdfast.pools._threads import finalize
from holdfast.pools._timer import TIMER
from holdfast.pools.async_pool import waiting_room
from holdfast.pools.order import Order

__all__ = ("ThreadPool",)

_names = itertools.count(1)
_open: "weakref.WeakSet[ThreadCore]" = weakref.WeakSet()


class ThreadPool(ThreadCalls, Governed, ThreadPoolExecutor):
    """At most ``max_workers`` blocking calls at once, on threads that come and go with the load.

    A ``concurrent.futures.Executor`` that can also be awaited. One pool serves blocking code in any
    thread and coroutines in any loop, and counts them together. First come, first served, unless it
    has an order.

    Used as a context manager, plain or ``async``, it finishes what was accepted before it returns;
    after an error in the block, what still waits is refused.

    Args:
        max_workers: Most calls in flight, and threads, at least 1. Default: as in the standard
            library the CPUs and 4 more, at most 32.
        name: For logs, statistics and thread names.
        max_queue: Most calls that wait for a worker; 0 is none.
        max_queue_bytes: Most bytes of calls that wait, at least 1; None is no bound in bytes. A call
            larger than this starts at once or is refused, whatever ``overflow`` says.
        sizeof: Called with a call's arguments before it has a place; returns its bytes, 0 or more.
            Goes with ``max_queue_bytes``, must be quick, and what it raises is raised to the caller.
        order: Who of those that wait is next: :class:`~holdfast.pools.order.Fair`,
            :class:`~holdfast.pools.order.Priority`; None is first come first served.
        overflow: What a full queue does to one more call: ``"wait"`` (backpressure: a coroutine
            waits, blocking code blocks), ``"reject"`` (:class:`QueueFull`), or ``"drop_oldest"``
            (the longest waiting call is refused in its place).
        queue_timeout: Longest wait for a worker in seconds; None is no bound.
        timeout: Longest run in seconds; None is no bound. A thread can't be stopped: its caller gets
            ``CallTimeout(stopped=False)``, and its permit stays held until it ends.
        rate: How often calls may start, and how much they may weigh: one rate, or several that all have to
            allow a start, such as requests and tokens. A service that asks to wait (``retry_after``) is
            waited for.
        idempotency: Remembers outcomes by key, for calls with ``options(idempotency_key=...)``: an
            :class:`~holdfast.flow.idempotency.Idempotent`, which stays yours to close.
        idle_timeout: Seconds after which a thread without work ends.
        min_workers: Threads that stay for as long as the pool is open, once they were needed.
        max_abandoned: Replacements for threads stuck in abandoned calls; default ``max_workers``.
            When these are stuck too, the pool refuses calls.
        initializer: Called once in each new thread, with ``initargs``.
        initargs: See ``initializer``.
        reserved: So many of the workers are kept for clean-up work, for calls through
            ``options(reserved=True)``; less than ``max_workers``.
        thread_name_prefix: Threads are named ``<prefix>_<number>``, as in the standard library.
            Default: ``holdfast:<name>/<number>``.

    Example:
        >>> with ThreadPool(4, name="demo") as pool:
        ...     pool.submit(pow, 2, 10).result()
        1024
    """

    def __init__(  # noqa: PLR0913 - the options of a pool, keyword-only, and the Executor's own
        self,
        max_workers: int | None = None,
        *,
        name: str | None = None,
        max_queue: int = 1000,
        overflow: Overflow = "wait",
        queue_timeout: float | None = None,
        timeout: float | None = None,
        rate: Rate | Sequence[Rate] | None = None,
        idle_timeout: float = 10.0,
        min_workers: int = 0,
        max_abandoned: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        thread_name_prefix: str | None = None,
        order: Order | None = None,
        max_queue_bytes: int | None = None,
        sizeof: Sizeof | None = None,
        reserved: int = 0,
        idempotency: Remembers | None = None,
    ) -> None:
        limit = _usual_workers() if max_workers is None else _checked_workers(max_workers)
        limit = share(limit, reserved, "max_workers")
        if check.count("min_workers", min_workers) > limit:
            msg = f"min_workers must be at most max_workers ({limit}), not {min_workers}"
            raise ValueError(msg)
        check.choice("overflow", overflow, ("wait", "reject", "drop_oldest"))
        idle = check.seconds("idle_timeout", idle_timeout)
        name = name if name is not None else f"threads-{next(_names)}"
        options = pool_options(timeout, queue_timeout, order, max_queue_bytes, sizeof)
        self._idempotency = check_memory(idempotency)
        now, gate = clock.current(), gate_of(rate)
        admission = Admission(
            name,
            limit,
            max_queue=check.count("max_queue", max_queue),
            overflow=overflow,
            max_abandoned=limit
            if max_abandoned is None
            else check.count("max_abandoned", max_abandoned),
            gate=gate,
            clock=now,
            max_queue_bytes=max_queue_bytes,
            line=order.line(now) if order is not None else None,
        )
        options = paced(options, gate, admission, now)
        self._options = PLAIN if options == PLAIN else options
        make_crew = partial(
            ThreadCrew,
            clock=now,
            idle_timeout=idle if idle is not None else 10.0,
            initializer=None if initializer is None else lambda: initializer(*initargs),
        )
        prefix = f"holdfast:{name}/" if thread_name_prefix is None else f"{thread_name_prefix}_"
        crew = make_crew(admission, min_workers=min_workers, thread_name_prefix=prefix)
        self._core = ThreadCore(admission, crew)
        self._reserve: ThreadCore | None = None
        if reserved:
            kept = reserve_of(admission, reserved, now)
            keepers = make_crew(kept, min_workers=0, thread_name_prefix=f"{prefix}reserved-")
            self._reserve = ReservedThreadCore(kept, keepers, self._core)
        self._ended = False
        _open.update(self._cores())
        enrol(self, "threads")

    def _keyed(self, view: ThreadCalls, key: IdempotencyKey | Unset) -> ThreadCalls:
        from holdfast.pools._keyed_view import KeyedThreadCalls  # noqa: PLC0415 - few have one

        memory = check_key(key, self._idempotency, self.name)
        return KeyedThreadCalls(view, memory, cast("IdempotencyKey", key), waiting_room)

    def _guarded(self, view: ThreadCalls, retry: object, fallback: object) -> ThreadCalls:
        from holdfast.pools._guarded_view import GuardedThreadCalls, guard_of  # noqa: PLC0415 - few have one

        guard = guard_of(retry, fallback)
        return view if guard == (None, None) else GuardedThreadCalls(view, guard, waiting_room)

    @property
    def _pool(self) -> Self:  # not kept in itself, so that a forgotten pool goes at once
        return self

    @property
    def _max_workers(self) -> int:  # type: ignore[override] # the standard class's, for those who look
        return sum(core.admission.own_limit for core in self._cores())

    @property
    def _threads(self) -> set[threading.Thread]:  # type: ignore[override] # likewise
        workers = [worker for core in self._cores() for worker in core.crew.workers()]
        return {worker.thread for worker in workers if worker.thread is not None}

    @property
    def _broken(self) -> BaseException | None:  # type: ignore[override] # likewise
        return self._core.crew.broken

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

    def abandoned(self) -> tuple[AbandonedCall, ...]:
        """Return the calls that still run although their callers timed out or were cancelled.

        Each holds its permit until it ends. They are looked at as they run, from any thread; it costs
        some microseconds for each worker thread.

        Returns:
            What each runs, on which thread, where it stands now, and for how long nobody has waited
            for it; the one abandoned first comes first.
        """
        found = [call for core in self._cores() for call in core.abandoned_calls()]
        return tuple(sorted(found, key=lambda call: -call.abandoned_s))

    def resize(self, max_workers: int) -> None:
        """Set the limit now: as many as now fit start, nobody is stopped, nobody blocks.

        Args:
            max_workers: Most calls in flight from now on, at least 1 more than are reserved.
        """
        limit = check.count("max_workers", max_workers, least=1)
        kept = 0 if self._reserve is None else self._reserve.admission.own_limit
        self._core.admission.resize(share(limit, kept, "max_workers"))
        self._core.crew.hire()

    @property
    def _admission(self) -> Admission:
        return self._core.admission

    def _go_on(self) -> None:
        self._core.crew.hire()

    def _cores(self) -> list[ThreadCore]:
        """What runs all calls, then what is kept for clean-up."""
        return [core for core in (self._core, self._reserve) if core is not None]

    # ------------------------------------------------------------ the end

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Admit nothing any more and, with ``wait``, block until what was accepted has ended.

        The standard ``Executor.shutdown``: calls in the queue still run, unless
        ``cancel_futures``. Calls that were abandoned are not waited for. A stream goes on while it keeps
        the pool busy, with ``wait``; without it, or with ``cancel_futures``, it pulls nothing more.

        An event loop that has the pool as its default executor calls this when it closes. The pool
        stays open then, because other loops may have it as well; whoever made it closes it.
        """
        if is_called_by_a_loop(sys._getframe(1)):  # noqa: SLF001 - who asks makes the difference
            return
        self._ended = True
        for core in self._cores():
            core.close(refuse_waiting=False, keep_turns=wait and not cancel_futures)
            if cancel_futures:
                core.cancel_waiting()
            if wait:
                wait_idle(core.admission, core.clock, None)
                core.admission.end_turns()
            core.crew.stop()
            if wait:
                self._join(core)

    def drain(self, timeout: float | None = None) -> bool:
        """Admit nothing any more and block until what was accepted has ended.

        Args:
            timeout: Longest wait in seconds; None is no bound.

        Returns:
            Whether all of it has; False after ``timeout`` seconds, or with abandoned calls left.
        """
        return self._finish_blocking(timeout, refuse_waiting=False)

    def close(self, timeout: float | None = 10.0) -> bool:
        """Refuse what waits, wait up to ``timeout`` seconds for what is in flight, end the threads.

        May be called from any thread, also from inside of one of the pool's calls (which it does not
        wait for), and again.

        Returns:
            Whether everything has ended; what has not is logged and goes on, its threads with it.
        """
        return self._finish_blocking(timeout, refuse_waiting=True)

    async def aclose(self, timeout: float | None = 10.0) -> bool:
        """Do the same as :meth:`close` without holding the loop."""
        return await self._finish_async(timeout, refuse_waiting=True)

    async def adrain(self, timeout: float | None = None) -> bool:
        """Do the same as :meth:`drain` without holding the loop."""
        return await self._finish_async(timeout, refuse_waiting=False)

    def _close_quietly(self) -> None:
        self._ended = True
        for core in self._cores():
            core.close(refuse_waiting=True)
            core.crew.stop()

    def _finish_blocking(self, timeout: float | None, *, refuse_waiting: bool) -> bool:
        self._ended = True
        end_pass_here()
        halves = [core.admission for core in self._cores()]
        return self._finish(
            finish(halves, self._core.clock, timeout, refuse_waiting=refuse_waiting)
        )

    async def _finish_async(self, timeout: float | None, *, refuse_waiting: bool) -> bool:
        self._ended = True
        end_pass_here()
        halves = [core.admission for core in self._cores()]
        clock = self._core.clock
        return self._finish(
            await finish_async(halves, clock, timeout, refuse_waiting=refuse_waiting)
        )

    def _finish(self, idle: bool) -> bool:
        for core in self._cores():
            core.crew.stop()
            if idle:
                self._join(core)
        survivors = [core.report_survivors() for core in self._cores()]  # each is logged
        return all(survivors)

    def _join(self, core: ThreadCore) -> None:
        """Idle threads end at once, so joining them needs no bound; threads stuck for good do."""
        if not is_inside(core.admission):  # its thread ends after this very call
            core.crew.join(core.now() if core.admission.abandoned else None)

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
            for core in self._cores():
                finalize(core.let_go, core.admission.lock, TIMER.lock)


def _checked_workers(max_workers: object) -> int:
    if isinstance(max_workers, int) and max_workers <= 0:
        msg = f"max_workers must be greater than 0, not {max_workers}"
        raise ValueError(msg)
    return check.count("max_workers", max_workers, least=1)


def _usual_workers() -> int:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(32, (usable or 1) + 4)


def _at_exit() -> None:
    """Finish what was accepted before the interpreter goes; stuck and abandoned calls are left."""
    for core in sorted(_open, key=lambda core: isinstance(core, ReservedThreadCore)):
        core.close(refuse_waiting=False)
        finish_at_exit(core.admission, core.clock, core.where_it_runs)
        core.crew.stop()
        core.crew.join(core.now() if core.admission.abandoned else None)


atexit.register(_at_exit)
