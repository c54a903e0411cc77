"""The same database for blocking code."""

import sqlite3
from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from holdfast.track._sqlite.core import (
    Core,
    read_all,
    read_call,
    read_one,
    read_value,
    run_script,
)
from holdfast.track._sqlite.jobs import Call, Many, Params, Statement, Written
from holdfast.track._sqlite.reads import MISS
from holdfast.track._sqlite.sql_text import check_statement
from holdfast.track._sqlite.transaction import BlockingTransaction

__all__ = ("BlockingSQLite",)

P = ParamSpec("P")
R = TypeVar("R")


class BlockingSQLite:
    """What :attr:`SQLite.blocking` gives: the same methods, which block instead of being awaited.

    They share the line, the connections and the bounds with those that are awaited, and may be called
    from any thread. In a coroutine they would hold the loop.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    def fetch_all(self, sql: str, params: Params = ()) -> list[Any]:
        """Return all rows; see :meth:`SQLite.fetch_all`."""
        reads = self._core.reads
        if sql in reads.short:
            found = reads.in_place(None, sql, params)
            if found is not MISS:
                return cast("list[Any]", found)
        return reads.run_blocking(read_all, sql, (params,), self._core.o.timeout)

    def fetch_one(self, sql: str, params: Params = ()) -> Any:
        """Return the first row, or None."""
        reads = self._core.reads
        if sql in reads.short:
            found = reads.in_place(read_one, sql, params)
            if found is not MISS:
                return found
        return reads.run_blocking(read_one, sql, (params,), self._core.o.timeout)

    def fetch_value(self, sql: str, params: Params = ()) -> Any:
        """Return the first column of the first row, or None."""
        reads = self._core.reads
        if sql in reads.short:
            found = reads.in_place(read_value, sql, params)
            if found is not MISS:
                return found
        return reads.run_blocking(read_value, sql, (params,), self._core.o.timeout)

    def read(
        self, fn: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call ``fn(connection, *args)`` on a reader, over one snapshot; see :meth:`SQLite.read`."""
        work: Any = read_call
        more = (fn, args, kwargs)
        return cast("R", self._core.reads.run_blocking(work, "", more, self._core.o.timeout))

    def execute(self, sql: str, params: Params = ()) -> Written:
        """Execute a statement that changes something, durably; see :meth:`SQLite.execute`."""
        job = Statement(sql, params, self._core.o.timeout, check_statement(sql))
        return cast("Written", self._core.ask_blocking(job))

    def execute_many(self, sql: str, rows: Iterable[Params]) -> Written:
        """Execute a statement for each of ``rows``: all of them, or none."""
        check_statement(sql)
        return cast("Written", self._core.ask_blocking(Many(sql, rows, self._core.o.timeout)))

    def write(
        self, fn: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call ``fn(connection, *args)`` in a transaction of its own; see :meth:`SQLite.write`."""
        job = Call(fn, args, kwargs, copy_context(), self._core.o.timeout)
        return cast("R", self._core.ask_blocking(job))

    def execute_script(self, script: str) -> None:
        """Execute the statements of a script, all of them or none."""
        self.write(run_script, script)

    def transaction(self) -> BlockingTransaction:
        """Return a block whose statements take effect together; see :meth:`SQLite.transaction`."""
        return BlockingTransaction(self._core)
