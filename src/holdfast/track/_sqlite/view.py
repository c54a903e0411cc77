"""What can be asked of a database, in coroutines; blocking code has a face of its own."""

import asyncio
import os
import sqlite3 as driver
import weakref
from collections.abc import Callable, Iterable
from contextvars import copy_context
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar, cast

from holdfast._core import check, clock
from holdfast.track._site import caller
from holdfast.track._sqlite.blocking import BlockingSQLite
from holdfast.track._sqlite.core import (
    Core,
    fail,
    read_all,
    read_call,
    read_one,
    read_value,
    run_script,
)
from holdfast.track._sqlite.counters import SQLiteStats
from holdfast.track._sqlite.jobs import Call, Many, Params, Statement, Written
from holdfast.track._sqlite.reads import MISS
from holdfast.track._sqlite.sql_text import check_statement
from holdfast.track._sqlite.streams import Rows
from holdfast.track._sqlite.transaction import Transaction

__all__ = ("SQLite",)

_GRACE: Final = 5.0
"""Seconds in which a statement that was told to stop has to have done so."""

P = ParamSpec("P")
R = TypeVar("R")


class SQLite:
    """What :func:`sqlite` returns. One object for all coroutines, event loops and threads of the process.

    Used with ``async with`` or ``with``, it finishes what was accepted at the end of the block and closes
    every connection. Blocking code uses :attr:`blocking`.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._ended = False
        self.__finalize = weakref.finalize(self, _forget, core)
        self.__finalize.atexit = False  # at exit the pools finish what was accepted

    @property
    def name(self) -> str:
        """The database's name."""
        return self._core.o.name

    @property
    def path(self) -> str:
        """The file."""
        return str(self._core.o.path)

    @property
    def blocking(self) -> BlockingSQLite:
        """The same database for blocking code: ``db.blocking.execute(...)``."""
        return BlockingSQLite(self._core)

    def __repr__(self) -> str:
        s = self.stats()
        return (
            f"<SQLite {s.name!r}: {s.connections} connections, {s.writes_queued} writes queued"
            f"{', closed' if self._ended else ''}>"
        )

    # ------------------------------------------------------------ reading

    async def fetch_all(self, sql: str, params: Params = ()) -> list[Any]:
        """Return all rows of a statement that only reads; for many rows see :meth:`rows`.

        A statement that has proved to be short is executed in place, within bounds that keep the loop
        from waiting; any other one runs on a reader's thread, and waits in line while all are busy.

        Args:
            sql: One statement.
            params: Its parameters, in order or by name.

        Returns:
            The rows as tuples, or whatever ``row_factory`` makes of them.

        Raises:
            QueueFull: Before start: no place, and the database rejects rather than waits.
            QueueTimeout: Before start: it waited ``queue_timeout`` seconds, or until the deadline.
            PoolClosed: Before start.
            CallTimeout: It ran longer than ``timeout`` and was stopped.
            sqlite3.Error: SQLite refused it; a statement that writes too.

        Cost:
            ``benchmarks/bench_sqlite.py``.
        """
        reads = self._core.reads
        if sql in reads.short:
            found = reads.in_place(None, sql, params)
            if found is not MISS:
                rows: list[Any] = found
                return rows
        return await reads.run(read_all, sql, (params,), self._core.o.timeout)

    async def fetch_one(self, sql: str, params: Params = ()) -> Any:
        """Return the first row, or None; see :meth:`fetch_all`."""
        reads = self._core.reads
        if sql in reads.short:
            found = reads.in_place(read_one, sql, params)
            if found is not MISS:
                return found
        return await reads.run(read_one, sql, (params,), self._core.o.timeout)

    async def fetch_value(self, sql: str, params: Params = ()) -> Any:
        """Return the first column of the first row, or None; see :meth:`fetch_all`."""
        reads = self._core.reads
        if sql in reads.short:
            found = reads.in_place(read_value, sql, params)
            if found is not MISS:
                return found
        return await reads.run(read_value, sql, (params,), self._core.o.timeout)

    async def read(
        self,
        fn: Callable[Concatenate[driver.Connection, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call ``fn(connection, *args)`` on a reader's thread: several reads over one snapshot.

        Raises:
            Rejected: Before start; see :meth:`fetch_all`.
            Exception: Whatever ``fn`` raised.
        """
        work: Any = read_call
        more = (fn, args, kwargs)
        return cast("R", await self._core.reads.run(work, "", more, self._core.o.timeout))

    def rows(self, sql: str, params: Params = (), *, batch: int = 256) -> Rows:
        """Return the rows of a statement one after the other, ``batch`` of them in memory at most.

        For ``async for`` and for ``for``. It holds a connection until it is exhausted or closed, and no
        thread. At most ``max_readers`` are open at once. What it sees is the state at its first row.

        Args:
            sql: One statement.
            params: Its parameters.
            batch: Rows fetched at once, at least 1.

        Raises:
            QueueFull: At the first row: too many are open; the message says where.
            CallTimeout: At a row: nobody had asked for one in ``transaction_timeout`` seconds.
        """
        check.count("batch", batch, least=1)
        return Rows(self._core.streams, sql, params, batch, caller())

    # ------------------------------------------------------------ writing

    async def execute(self, sql: str, params: Params = ()) -> Written:
        """Execute a statement that changes something; when it returns, the change is on the disk.

        It waits in the writer's line, first come first served, and is committed together with what came
        meanwhile. If it raises, nothing of it remains. A caller that is cancelled in line takes it out;
        one that is cancelled while it runs has it interrupted; after that it is committed all the same.

        ``VACUUM`` and ``PRAGMA`` run outside of any transaction, on the writer's connection alone.

        Returns:
            How many rows it changed, the last rowid, and what ``RETURNING`` returned.

        Raises:
            QueueFull: Before start: ``max_queue`` writes wait, and the database rejects.
            QueueTimeout: Before start: it waited ``queue_timeout`` seconds in line, or until a deadline,
                or another process held the lock for ``busy_timeout`` seconds.
            WouldDeadlock: Before start: this task is inside of ``transaction()`` already.
            PoolClosed: Before start.
            CallTimeout: It ran longer than ``timeout`` and was stopped.
            ValueError: It would begin or end a transaction.
            sqlite3.Error: SQLite refused it.

        Cost:
            ``benchmarks/bench_sqlite.py``.
        """
        core = self._core
        job = Statement(sql, params, core.o.timeout, check_statement(sql))
        future = core.begin(job)
        try:  # as Core.ask does; a coroutine within the coroutine would be felt
            await future
        except asyncio.CancelledError:
            core.leave(job)
            raise
        written: Written = job.value if job.error is None else fail(job)
        return written

    async def execute_many(self, sql: str, rows: Iterable[Params]) -> Written:
        """Execute a statement for each of ``rows``: all of them, or none; see :meth:`execute`.

        ``rows`` is read to its end before it is put in line.
        """
        check_statement(sql)
        return cast("Written", await self._core.ask(Many(sql, rows, self._core.o.timeout)))

    async def write(
        self,
        fn: Callable[Concatenate[driver.Connection, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call ``fn(connection, *args)`` on the writer's thread, once, in a transaction of its own.

        Committed when it returns, rolled back when it raises. For what decides between statements and
        awaits nothing: cheaper than :meth:`transaction`, and nothing can be in its way.

        Raises:
            Rejected: Before start; see :meth:`execute`.
            Exception: Whatever ``fn`` raised.
        """
        job = Call(fn, args, kwargs, copy_context(), self._core.o.timeout)
        return cast("R", await self._core.ask(job))

    async def execute_script(self, script: str) -> None:
        """Execute the statements of a script, all of them or none; see :meth:`write`."""
        await self.write(run_script, script)

    def transaction(self) -> Transaction:
        """Return an ``async with`` block whose statements take effect together.

        It waits in the writer's line like any write, and holds no thread between its statements.

        Raises:
            Rejected: At the block's beginning; see :meth:`execute`.
            CallTimeout: At its next statement, or its end: the block took longer than
                ``transaction_timeout`` and was rolled back.
        """
        return Transaction(self._core)

    # ------------------------------------------------------------ the whole

    async def backup(self, path: "str | os.PathLike[str]") -> None:
        """Copy the database as it is now to another file; readers and the writer go on meanwhile."""
        await self.read(_copy, os.fspath(path))

    def stats(self) -> SQLiteStats:
        """Return one reading of the database."""
        return self._core.stats()

    async def aclose(self, timeout: float | None = 10.0) -> bool:
        """Refuse what waits, wait up to ``timeout`` seconds for what runs, and close every connection.

        What still runs then is interrupted. May be called again.

        Returns:
            Whether everything had ended by itself.
        """
        return await self._end_async(timeout, refuse_waiting=True)

    def close(self, timeout: float | None = 10.0) -> bool:
        """Do the same as :meth:`aclose` from blocking code."""
        return self._end_blocking(timeout, refuse_waiting=True)

    async def _end_async(self, timeout: float | None, *, refuse_waiting: bool) -> bool:
        core, until = self._begin_end(timeout, refuse_waiting=refuse_waiting)
        if core.released:
            return True
        try:
            ended = await core.wait_for_writes(timeout)
            ended = await core.reads.pool.adrain(_left(until)) and ended
        finally:
            core.release()  # stops what still runs
        ended = await core.writer.pool.aclose(_GRACE) and ended
        return await core.reads.pool.aclose(_GRACE) and ended

    def _end_blocking(self, timeout: float | None, *, refuse_waiting: bool) -> bool:
        core, until = self._begin_end(timeout, refuse_waiting=refuse_waiting)
        if core.released:
            return True
        try:
            ended = core.wait_for_writes_blocking(timeout)
            ended = core.reads.pool.drain(_left(until)) and ended
        finally:
            core.release()
        ended = core.writer.pool.close(_GRACE) and ended
        return core.reads.pool.close(_GRACE) and ended

    def _begin_end(
        self, timeout: float | None, *, refuse_waiting: bool
    ) -> tuple[Core, float | None]:
        check.seconds("timeout", timeout, zero=True)
        self._ended = True
        self.__finalize.detach()
        self._core.refuse_new(refuse_waiting=refuse_waiting)
        return self._core, None if timeout is None else clock.now() + timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._end_async(None if kind is None else 10.0, refuse_waiting=kind is not None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end_blocking(None if kind is None else 10.0, refuse_waiting=kind is not None)


def _copy(source: driver.Connection, path: str) -> None:
    source.execute("ROLLBACK")  # the copy takes a snapshot of its own
    target = driver.connect(path)
    try:
        source.backup(target, pages=4096)
    finally:
        target.close()


def _left(until: float | None) -> float | None:
    return None if until is None else max(0.0, until - clock.now())


def _forget(core: Core) -> None:
    """Nobody has it any more, so nobody waits for anything: close every connection."""
    core.release()
