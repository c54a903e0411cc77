"""Reads: the short ones on the caller's own thread, the others in a pool of threads.

Purpose: a look-up by key takes SQLite two or three microseconds, and the way to a thread and back ten
times as long. So a statement that has proved to be short is executed right where it is asked for.

Guarantees: what is executed on a loop's thread never waits for a lock (its busy timeout is 0), takes at
most twice ``INLINE_STEPS`` instructions of SQLite's machine and touches no value above ``INLINE_BYTES``. What
exceeds any of these is broken off there, has had no effect, and is run in the pool.

States of a statement, by its text: unknown or slow (the pool runs it, and looks how long that takes) ->
short (executed in place) -> slow, when it was broken off, or took very long once, or too long twice in a
hundred reads: once may be this thread's waiting for its turn, on a machine that is busy.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from holdfast._core import clock
from holdfast.errors import CallTimeout, Rejected
from holdfast.pools._stats import PoolStats
from holdfast.pools.deadline import inherited, remaining
from holdfast.pools.thread_pool import ThreadPool
from holdfast.track._sqlite.connect import INLINE_STEPS
from holdfast.track._sqlite.files import Files
from holdfast.track._sqlite.options import Options
from holdfast.track._sqlite.runner import Run, Runner

__all__ = ("MISS", "Reads")

R = TypeVar("R")

_SHORT: Final = 0.0005
"""A statement that a thread has run in less than this, in seconds, is short."""

_LONG: Final = 0.002
"""A short one that takes as long in place, where it keeps a loop waiting, is slow if it does so again."""

_VERY_LONG: Final = 0.020
"""One that takes as long is slow at once."""

_OFTEN: Final = 100
"""Twice in so many reads in place is again."""

_MOST_KNOWN: Final = 1024

MISS: Final = object()
"""What :meth:`Reads.in_place` returns instead of a result."""


class Reads:
    """Runs what only reads."""

    def __init__(self, o: Options, files: Files) -> None:
        self._o = o
        self._files = files
        self.pool = ThreadPool(
            o.max_readers,
            name=f"{o.name}-readers",
            max_queue=o.max_queue,
            overflow="reject" if o.overflow == "reject" else "wait",
            queue_timeout=o.queue_timeout,
            max_abandoned=0,  # so that connections are no more than readers; what is left is interrupted
        )
        self.short: set[str] = set()
        self._late: dict[
            str, int
        ] = {}  # which took long once, and how many reads there had been then
        self._now = clock.current().now
        self._inline: Runner | None = None
        self._in_use = threading.Lock()
        self._ticks = 0
        self.inline = 0
        self.given_up = 0
        self.closed = False

    async def run(
        self, work: Callable[..., R], sql: str, args: tuple[Any, ...], timeout: float | None
    ) -> R:
        """Run ``work(connection, sql, *args)`` in the pool, for a coroutine."""
        run = Run(timeout)
        try:
            return await self.pool.run(self._in_pool, run, work, sql, args)
        except asyncio.CancelledError:
            run.stop("cancelled")
            raise
        except CallTimeout:  # an inherited deadline
            run.stop("timeout")
            raise

    def run_blocking(
        self, work: Callable[..., R], sql: str, args: tuple[Any, ...], timeout: float | None
    ) -> R:
        """Do the same for blocking code."""
        run = Run(timeout)
        future = self.pool.submit(self._in_pool, run, work, sql, args)
        try:
            return future.result()
        except CallTimeout:
            run.stop("timeout")
            raise
        except BaseException:
            if not future.done():  # an interrupt
                run.stop("interrupted")
            raise

    def stats(self) -> PoolStats:
        """Return the reading of the pool."""
        return self.pool.stats()

    # ------------------------------------------------------------ in the pool

    def _in_pool(self, run: Run, work: Callable[..., R], sql: str, args: tuple[Any, ...]) -> R:
        left = remaining()
        if left is not None:
            run.limit = left if run.limit is None else min(left, run.limit)
        runner = self._files.take()
        try:
            since = self._now()
            found = runner.run(run, work, sql, *args)
            if sql and self._o.inline_reads and self._now() - since < _SHORT:
                self._learn(sql)
            return found
        finally:
            self._files.give_back(runner)

    def _learn(self, sql: str) -> None:
        if len(self.short) >= _MOST_KNOWN:  # a program that puts its values into the text
            self.short.clear()
            self._late.clear()
        self.short.add(sql)
        if self._inline is None and not self.closed:
            with self._in_use:
                if self._inline is None:
                    try:
                        runner = self._files.open("inline", wait=0.0)
                    except (Rejected, sqlite3.Error):  # not to be had now: the pool does it as well
                        return
                    runner.connection.set_progress_handler(self._tick, INLINE_STEPS)
                    self._inline = runner

    def _tick(self) -> bool:
        """Called by SQLite every ``INLINE_STEPS`` instructions; True ends the statement.

        SQLite counts on from the last execution of the same statement, so the first call may come early.
        """
        self._ticks += 1
        return self._ticks > 1

    # ------------------------------------------------------------ in place

    def in_place(self, work: Callable[..., Any] | None, sql: str, params: Any) -> Any:
        """Run ``work(connection, sql, params)`` on this thread, for a statement that is in ``short``.

        Args:
            work: What reads; None is all rows, over a cursor that is used again.
            sql: The statement.
            params: Its parameters.

        Returns:
            What it returned; MISS where the pool has to do it.
        """
        runner = self._inline
        in_use = self._in_use
        if runner is None or not in_use.acquire(False):
            return MISS
        now = self._now
        self._ticks = 0
        since = now()
        try:
            if inherited() is not None and remaining() == 0.0:
                return MISS
            if work is None:
                cursor = runner.connection.common
                cursor.execute(sql, params)
                found = cursor.fetchall()
            else:
                found = work(runner.connection, sql, params)
        except sqlite3.Error:
            # Broken off, or locked, or really wrong: the pool finds out, and says so.
            self.short.discard(sql)
            self.given_up += 1
            return MISS
        finally:
            in_use.release()
        self.inline += 1
        if (took := now() - since) > _LONG:
            self._was_late(sql, took)
        return found

    def _was_late(self, sql: str, took: float) -> None:
        """It has kept the caller waiting: itself, or because this thread was not given its turn."""
        before = self._late.pop(sql, None)
        if took > _VERY_LONG or (before is not None and self.inline - before < _OFTEN):
            self.short.discard(sql)
        else:
            self._late[sql] = self.inline

    # ------------------------------------------------------------ the end

    def close(self) -> None:
        """Forget the connection for short reads, so that its owner can close it."""
        self.closed = True
        with self._in_use:
            self._inline = None

    def after_fork(self) -> None:
        """In a child: its own connection is opened when a statement has proved to be short again."""
        self._in_use = threading.Lock()
        self.short.clear()
        self._late.clear()
        self._inline = None
