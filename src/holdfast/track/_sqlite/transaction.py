"""A transaction that its owner steers statement by statement, in a coroutine and in blocking code."""

import asyncio
import itertools
import sqlite3
from collections.abc import Callable, Iterable
from contextvars import copy_context
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

from holdfast.track._site import caller
from holdfast.track._sqlite.core import Core, read_all, read_one, read_value
from holdfast.track._sqlite.jobs import Call, Job, Many, Params, Statement, Written
from holdfast.track._sqlite.lease import Begin, End, Lease
from holdfast.track._sqlite.sql_text import STANDS_ALONE, check_statement

__all__ = ("BlockingSavepoint", "BlockingTransaction", "Savepoint", "Transaction")


P = ParamSpec("P")
R = TypeVar("R")

_names = itertools.count(1)


class _Steered:
    """What both kinds are made of."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lease = Lease(caller())
        self._begun = False

    def __repr__(self) -> str:
        state = "over" if self._lease.ending else "open" if self._begun else "not begun"
        return f"<transaction of {self._core.o.name!r}, begun at {self._lease.where}: {state}>"

    def _begin(self) -> Begin:
        if self._begun:
            msg = "a transaction can be entered once; make another one"
            raise RuntimeError(msg)
        self._begun = True
        return Begin(self._lease)

    def _statement(self, sql: str, params: Params) -> Statement:
        word = check_statement(sql)
        if word in STANDS_ALONE:
            msg = f"{word} can't run inside of a transaction; use db.execute({sql!r})"
            raise ValueError(msg)
        return Statement(sql, params, self._core.o.timeout, word)

    def _many(self, sql: str, rows: Iterable[Params]) -> Many:
        check_statement(sql)
        return Many(sql, rows, self._core.o.timeout)

    def _call(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Call:
        return Call(fn, args, kwargs, copy_context(), self._core.o.timeout)

    def _end(self, error: BaseException | None) -> End:
        return End(self._lease, commit=error is None)

    def _savepoint(self, sql: str) -> Job:
        return Statement(sql, (), self._core.o.timeout)


class Transaction(_Steered):
    """What ``async with db.transaction() as tx`` gives: statements that take effect together.

    Committed at the end of the block, rolled back if an error leaves it, a cancellation too. While it
    lasts no other write begins, so do what takes long outside; after ``transaction_timeout`` seconds it
    is rolled back, and says so. Its reads see its own writes.
    """

    async def execute(self, sql: str, params: Params = ()) -> Written:
        """Execute a statement in this transaction; see :meth:`SQLite.execute`."""
        return cast("Written", await self._core.ask(self._statement(sql, params), self._lease))

    async def execute_many(self, sql: str, rows: Iterable[Params]) -> Written:
        """Execute a statement for each of ``rows``; see :meth:`SQLite.execute_many`."""
        return cast("Written", await self._core.ask(self._many(sql, rows), self._lease))

    async def call(
        self, fn: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call ``fn(connection, *args)`` on the writer's thread, in this transaction."""
        return cast("R", await self._core.ask(self._call(fn, *args, **kwargs), self._lease))

    async def fetch_all(self, sql: str, params: Params = ()) -> list[Any]:
        """Return all rows, as this transaction sees them."""
        return await self.call(read_all, sql, params)

    async def fetch_one(self, sql: str, params: Params = ()) -> Any:
        """Return the first row, or None."""
        return await self.call(read_one, sql, params)

    async def fetch_value(self, sql: str, params: Params = ()) -> Any:
        """Return the first column of the first row, or None."""
        return await self.call(read_value, sql, params)

    def savepoint(self) -> "Savepoint":
        """Return a block inside this transaction that is undone alone if an error leaves it."""
        return Savepoint(self)

    async def __aenter__(self) -> Self:
        await self._core.ask(self._begin())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._lease.ending:  # it was cut: what was raised in the block says why, or we do
            if error is None and self._lease.failure is not None:
                raise self._lease.failure
            return
        end = asyncio.ensure_future(self._core.ask(self._end(error), self._lease))
        try:
            await asyncio.shield(end)
        except asyncio.CancelledError:
            # The end is on its way and is not to be lost half way; wait for it, then leave.
            await asyncio.wait([end])
            if not end.cancelled():
                end.exception()
            raise


class Savepoint:
    """What ``async with tx.savepoint()`` gives."""

    def __init__(self, transaction: Transaction) -> None:
        self._tx = transaction
        self._name = f"holdfast_{next(_names)}"

    async def _do(self, sql: str) -> None:
        tx = self._tx
        await tx._core.ask(tx._savepoint(sql), tx._lease)  # noqa: SLF001 - of one piece

    async def __aenter__(self) -> Self:
        await self._do(f"SAVEPOINT {self._name}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._tx._lease.ending or self._tx._lease.failure is not None:  # noqa: SLF001 - likewise
            return
        if error is not None:
            await self._do(f"ROLLBACK TO {self._name}")
        await self._do(f"RELEASE {self._name}")


class BlockingTransaction(_Steered):
    """What ``with db.blocking.transaction() as tx`` gives; see :class:`Transaction`."""

    def execute(self, sql: str, params: Params = ()) -> Written:
        """Execute a statement in this transaction."""
        return cast("Written", self._core.ask_blocking(self._statement(sql, params), self._lease))

    def execute_many(self, sql: str, rows: Iterable[Params]) -> Written:
        """Execute a statement for each of ``rows``."""
        return cast("Written", self._core.ask_blocking(self._many(sql, rows), self._lease))

    def call(
        self, fn: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call ``fn(connection, *args)`` on the writer's thread, in this transaction."""
        return cast("R", self._core.ask_blocking(self._call(fn, *args, **kwargs), self._lease))

    def fetch_all(self, sql: str, params: Params = ()) -> list[Any]:
        """Return all rows, as this transaction sees them."""
        return self.call(read_all, sql, params)

    def fetch_one(self, sql: str, params: Params = ()) -> Any:
        """Return the first row, or None."""
        return self.call(read_one, sql, params)

    def fetch_value(self, sql: str, params: Params = ()) -> Any:
        """Return the first column of the first row, or None."""
        return self.call(read_value, sql, params)

    def savepoint(self) -> "BlockingSavepoint":
        """Return a block inside this transaction that is undone alone if an error leaves it."""
        return BlockingSavepoint(self)

    def __enter__(self) -> Self:
        self._core.ask_blocking(self._begin())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._lease.ending:
            if error is None and self._lease.failure is not None:
                raise self._lease.failure
            return
        self._core.ask_blocking(self._end(error), self._lease)


class BlockingSavepoint:
    """What ``with tx.savepoint()`` gives in blocking code."""

    def __init__(self, transaction: BlockingTransaction) -> None:
        self._tx = transaction
        self._name = f"holdfast_{next(_names)}"

    def _do(self, sql: str) -> None:
        tx = self._tx
        tx._core.ask_blocking(tx._savepoint(sql), tx._lease)  # noqa: SLF001 - of one piece

    def __enter__(self) -> Self:
        self._do(f"SAVEPOINT {self._name}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._tx._lease.ending or self._tx._lease.failure is not None:  # noqa: SLF001 - likewise
            return
        if error is not None:
            self._do(f"ROLLBACK TO {self._name}")
        self._do(f"RELEASE {self._name}")
