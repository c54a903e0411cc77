"""The one pool behind every event loop's default executor and anyio's worker threads.

Purpose: calls that nobody has given to a pool of their own run on threads of the process's budget, however
many loops there are.

Guarantees
- a loop's end waits for that loop's calls and closes nothing that another loop uses;
- a call that was refused (:class:`~holdfast.errors.QueueFull`) never runs;
- where the calls are parked, all of them, and others wait, the pool grows, up to half of the budget:
  nobody has chosen its size. See :mod:`holdfast.adapters.guard.parked`.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait as wait_for_all
from typing import Any, Final, ParamSpec, TypeVar

from holdfast.pools import ThreadPool, current_budget

__all__ = ("LoopExecutor", "let_go", "shared_pool", "usual_limit")

P = ParamSpec("P")
R = TypeVar("R")

_USUAL: Final = 40
_LONGEST_LINE: Final = 10_000

_lock = threading.Lock()
_pool: ThreadPool | None = None


def usual_limit() -> int:
    """How many of these calls run at once: 40, as in anyio, or half of the budget if that is less."""
    return max(1, min(_USUAL, current_budget().threads // 2))


def shared_pool() -> ThreadPool:
    """Return the pool; it is made when it is first needed."""
    global _pool  # noqa: PLW0603 - the process's own
    with _lock:
        if _pool is None:
            _pool = ThreadPool(
                usual_limit(), name="default", max_queue=_LONGEST_LINE, overflow="reject"
            )
        return _pool


def let_go(timeout: float | None) -> bool:
    """Finish what the pool has accepted and end its threads; the next call makes a new one.

    Args:
        timeout: Longest wait in seconds; None is no bound.

    Returns:
        Whether all of it has ended.
    """
    global _pool
    with _lock:
        pool, _pool = _pool, None
    return pool is None or pool.drain(timeout)


class LoopExecutor(ThreadPoolExecutor):
    """One event loop's default executor: a face of the shared pool.

    Asyncio insists on a ``ThreadPoolExecutor``; this one has no threads of its own.

    Args:
        around: Called in place of each call, with the call and its arguments, in the thread that submits;
            returns what the worker is to run.
    """

    def __init__(self, around: Callable[..., Callable[[], Any]] | None = None) -> None:
        super().__init__(1)  # starts no thread
        self._around = around
        self._guard = threading.Lock()
        self._running: set[Future[Any]] = set()
        self._over = False

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run a call on the shared pool.

        Raises:
            RuntimeError: The loop has shut its executor down.
            QueueFull: 10,000 calls wait; this one never ran.
        """
        with self._guard:
            if self._over:
                msg = "cannot schedule new futures after shutdown"
                raise RuntimeError(msg)
        future: Future[R]
        if self._around is None:
            future = shared_pool().submit(fn, *args, **kwargs)
        else:
            future = shared_pool().submit(self._around(fn, *args, **kwargs))
        with self._guard:
            self._running.add(future)
        future.add_done_callback(self._forget)
        return future

    def _forget(self, future: Future[Any]) -> None:
        with self._guard:
            self._running.discard(future)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls and, with ``wait``, wait for those of this loop."""
        with self._guard:
            self._over = True
            running = tuple(self._running)
        if cancel_futures:
            for future in running:
                future.cancel()
        if wait:
            wait_for_all(running)
