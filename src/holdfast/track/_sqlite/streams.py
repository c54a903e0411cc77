"""Rows of a result that is too large for memory, a batch at a time.

Purpose: hold one batch, however many rows there are, and no thread while the consumer thinks.

A stream needs a connection of its own for as long as it lasts, so there are at most ``max_readers`` of
them at once; one more is refused, with the lines that opened the others. One that is not asked for its
next batch for ``transaction_timeout`` seconds is closed, because its snapshot keeps the write-ahead log
from being cut.

States: new -> open (it has a connection) -> over, once: exhausted, failed, left early, dropped, or idle
for too long. Who moves it to over, under its lock, gives the connection back.
"""

import asyncio
import logging
import sqlite3
import threading
import weakref
from collections import deque
from types import TracebackType
from typing import Any, Self

from holdfast._core import clock
from holdfast.errors import CallTimeout, PoolClosed, QueueFull
from holdfast.pools._threads import finalize
from holdfast.pools._timer import TIMER
from holdfast.track._site import Site
from holdfast.track._sqlite.files import Files
from holdfast.track._sqlite.options import Options
from holdfast.track._sqlite.reads import Reads
from holdfast.track._sqlite.runner import Run, Runner

__all__ = ("Rows", "Streams")

log = logging.getLogger("holdfast.track")


class Streams:
    """The streams of one database that are open."""

    def __init__(self, o: Options, files: Files, reads: Reads) -> None:
        self.o = o
        self.files = files
        self.reads = reads
        self._lock = (
            threading.RLock()
        )  # a stream may be collected, and so end, in the middle of this
        self._open: dict[int, tuple[Site, float]] = {}
        self._living: weakref.WeakSet[Rows] = weakref.WeakSet()
        self.closed = False

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, rows: "Rows") -> None:
        """One more.

        Raises:
            QueueFull: There are as many as may be.
            PoolClosed: The database is closed.
        """
        with self._lock:
            if self.closed:
                msg = f"database {self.o.name!r} is closed; open it again"
                raise PoolClosed(msg)
            if len(self._open) >= self.o.max_readers:
                held = "; ".join(
                    f"{site}, {clock.now() - since:.1f} s ago"
                    for site, since in self._open.values()
                )
                msg = (
                    f"database {self.o.name!r}: {len(self._open)} streams are open, and max_readers is "
                    f"{self.o.max_readers}; end them early (`async with db.rows(...)`), or raise it. They "
                    f"were opened at: {held}"
                )
                raise QueueFull(msg)
            self._open[id(rows)] = (rows.where, clock.now())
            self._living.add(rows)

    def leave(self, key: int, runner: Runner | None) -> None:
        """One less."""
        with self._lock:
            self._open.pop(key, None)
        if runner is not None:
            self.files.give_back(runner)

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            self.closed = True
            living = list(self._living)
        for rows in living:
            rows.end(None)

    def after_fork(self) -> None:
        """In a child: none is open."""
        self._lock = threading.RLock()
        self._open.clear()
        self._living = weakref.WeakSet()


class Rows:
    """The rows of one statement, for ``async for`` and for ``for``; what :meth:`SQLite.rows` returns.

    Used with ``async with`` or ``with``, it gives its connection back at the end of the block, whatever
    happens. Without, that happens when it is exhausted, dropped, or idle for too long.
    """

    def __init__(self, streams: Streams, sql: str, params: Any, batch: int, where: Site) -> None:
        self.where = where
        self._streams = streams
        self._sql = sql
        self._params = params
        self._batch = batch
        self._rows: deque[Any] = deque()
        self._lock = threading.Lock()
        self._runner: Runner | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._run: Run | None = None
        self._over = False
        self._pulling = False
        self._idle: _Idle | None = None
        self._entered = False
        self._failure: BaseException | None = None
        self._asked_at = 0.0

    def __repr__(self) -> str:
        return f"<Rows of {self._streams.o.name!r}, opened at {self.where}{': over' if self._over else ''}>"

    # ------------------------------------------------------------ pulling

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if not self._rows and not await self._fill():
            raise StopAsyncIteration
        return self._rows.popleft()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if not self._rows and not self._fill_blocking():
            raise StopIteration
        return self._rows.popleft()

    async def _fill(self) -> bool:
        run = self._begin_pull()
        if run is None:
            return False
        try:
            return await self._streams.reads.pool.run(self._pull, run)
        except asyncio.CancelledError:
            run.stop("cancelled")
            self.end(None)
            raise
        except BaseException:
            self.end(None)
            raise

    def _fill_blocking(self) -> bool:
        run = self._begin_pull()
        if run is None:
            return False
        try:
            return self._streams.reads.pool.submit(self._pull, run).result()
        except BaseException:
            run.stop("interrupted")
            self.end(None)
            raise

    def _begin_pull(self) -> Run | None:
        if self._failure is not None:
            raise self._failure
        if self._over:
            return None
        if not self._entered:
            self._streams.enter(self)
            self._entered = True
        self._run = run = Run(self._streams.o.timeout)
        return run

    def _pull(self, run: Run) -> bool:
        """In the pool: one batch."""
        streams = self._streams
        with self._lock:
            if self._over:
                return False
            self._pulling = True
        try:
            if self._runner is None:
                self._runner = streams.files.take()
            rows = self._runner.run(run, self._fetch)
        finally:
            with self._lock:
                self._pulling = False
            if self.is_over():  # it was ended meanwhile, by somebody who left the rest to us
                self._release()
        self._rows.extend(rows)
        if len(rows) < self._batch:
            self.end(None)
        else:
            self._asked_at = clock.now()
            self._watch()
        return bool(rows)

    def _fetch(self, db: sqlite3.Connection) -> list[Any]:
        if self._cursor is None:
            self._cursor = db.execute(self._sql, self._params)
        return self._cursor.fetchmany(self._batch)

    # ------------------------------------------------------------ the end

    def end(self, failure: BaseException | None) -> None:
        """Give the connection back, once; from any thread."""
        with self._lock:
            if self._over:
                return
            self._over = True
            self._failure = failure
            if self._pulling:
                return
        self._release()

    def _release(self) -> None:
        runner, self._runner = self._runner, None
        cursor, self._cursor = self._cursor, None
        idle, self._idle = self._idle, None
        if idle is not None:
            TIMER.unwatch(idle, idle.due)
        if cursor is not None:
            cursor.close()
        if self._entered:
            self._streams.leave(id(self), runner)

    def idle_since(self) -> float:
        """When the last batch came."""
        return self._asked_at

    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._over

    def _watch(self) -> None:
        if self._idle is not None:
            return
        idle = _Idle(self)
        try:
            idle.due = TIMER.watch(idle, self._streams.o.transaction_timeout)
        except RuntimeError:
            log.debug("rows: no thread to watch %s", self.where)
        else:
            self._idle = idle

    def looked_at(self, *, since: float) -> None:
        """On the timer's thread: has anybody asked for more since ``since``?"""
        o = self._streams.o
        self._idle = None
        if self._asked_at != since or self._pulling:
            self._watch()
            return
        msg = (
            f"database {o.name!r}: nobody has asked the rows opened at {self.where} for more in "
            f"{o.transaction_timeout:g} s, so they were closed; read faster, or raise transaction_timeout"
        )
        log.warning("%s", msg)
        self.end(CallTimeout(msg, stopped=True))

    def close(self) -> None:
        """End it early."""
        self.end(None)

    async def aclose(self) -> None:
        """End it early."""
        self.end(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end(None)

    def __del__(self) -> None:
        if getattr(self, "_entered", False) and not self._over:
            finalize(lambda: self.end(None), TIMER.lock)


class _Idle:
    """A stream under watch; it keeps the stream from nobody."""

    __slots__ = ("_rows", "_since", "due")

    def __init__(self, rows: Rows) -> None:
        self._rows = weakref.ref(rows)
        self._since = rows.idle_since()
        self.due = 0.0

    def expire(self) -> None:
        """On the timer's thread."""
        rows = self._rows()
        if rows is not None and not rows.is_over():
            rows.looked_at(since=self._since)
