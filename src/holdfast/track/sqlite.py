"""SQLite for many sessions: one writer that commits in groups, a few readers, and no connection each."""

import sqlite3 as driver
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from holdfast.track._site import caller
from holdfast.track._sqlite.blocking import BlockingSQLite
from holdfast.track._sqlite.core import Core
from holdfast.track._sqlite.counters import SQLiteStats
from holdfast.track._sqlite.jobs import Written
from holdfast.track._sqlite.options import RowFactory, Synchronous, options
from holdfast.track._sqlite.streams import Rows
from holdfast.track._sqlite.transaction import BlockingTransaction, Transaction
from holdfast.track._sqlite.view import SQLite

if TYPE_CHECKING:
    import os

__all__ = (
    "BlockingSQLite",
    "BlockingTransaction",
    "Rows",
    "SQLite",
    "SQLiteStats",
    "Transaction",
    "Written",
    "sqlite",
)


def sqlite(
    path: "str | os.PathLike[str]",
    *,
    name: str | None = None,
    schema: str | None = None,
    max_readers: int = 4,
    max_queue: int = 1000,
    overflow: Literal["wait", "reject"] = "wait",
    queue_timeout: float | None = None,
    timeout: float | None = None,
    busy_timeout: float = 30.0,
    transaction_timeout: float = 30.0,
    synchronous: Synchronous = "full",
    read_only: bool = False,
    inline_reads: bool = True,
    row_factory: RowFactory | None = None,
    on_connect: Callable[[driver.Connection], object] | None = None,
    pragmas: Mapping[str, str | int] | None = None,
) -> SQLite:
    """Open a SQLite file for any number of sessions, over one writer and a few readers.

    The file has a write-ahead log, so readers and the writer are never in each other's way. Nothing is
    opened before it is needed; the first call makes the file and its schema, and raises what there is
    to raise. May be called from anywhere; open a file once for the process.

    Args:
        path: The file, on a local disk; made if it is not there.
        name: For logs, statistics and thread names; default the file's name.
        schema: Statements that are run once when the file is opened, in one transaction; best with
            ``IF NOT EXISTS``.
        max_readers: Most reads at once on threads, and most :meth:`SQLite.rows` at once, at least 1.
        max_queue: Most reads, and most writes, that wait.
        overflow: What one more does: ``"wait"``, or ``"reject"`` (:class:`QueueFull`).
        queue_timeout: Longest wait in line in seconds; None is no bound.
        timeout: Longest run of a statement in seconds, after which it is interrupted; None is no bound.
        busy_timeout: Longest wait in seconds for another process that writes.
        transaction_timeout: Longest that ``transaction()`` may hold the writer, and that ``rows()`` may
            lie idle, in seconds.
        synchronous: ``"full"``: a write that returned survives the loss of power. ``"normal"``: it
            survives the end of the process however violent, and a loss of power may cost the last ones.
        read_only: Open an existing file, and never write to it.
        inline_reads: Execute reads that have proved to be short on the caller's own thread.
        row_factory: ``row_factory(cursor, row)`` makes each row; default: tuples.
        on_connect: Called with each new connection, to register functions or attach files.
        pragmas: More settings for each connection, such as ``{"cache_size": -64000}``.

    Returns:
        The database; close it, or use it as a context manager.

    Raises:
        ValueError: An argument can't be; a database in memory among them.

    Example:
        >>> import tempfile, os
        >>> folder = tempfile.TemporaryDirectory()
        >>> with sqlite(os.path.join(folder.name, "s.db"), schema="CREATE TABLE t (x)") as db:
        ...     _ = db.blocking.execute("INSERT INTO t VALUES (?)", (7,))
        ...     db.blocking.fetch_value("SELECT x FROM t")
        7
        >>> folder.cleanup()
    """
    return SQLite(
        Core(
            options(
                path,
                name=name,
                schema=schema,
                max_readers=max_readers,
                max_queue=max_queue,
                overflow=overflow,
                queue_timeout=queue_timeout,
                timeout=timeout,
                busy_timeout=busy_timeout,
                transaction_timeout=transaction_timeout,
                synchronous=synchronous,
                read_only=read_only,
                inline_reads=inline_reads,
                row_factory=row_factory,
                on_connect=on_connect,
                pragmas=pragmas,
                where=caller(),
            )
        )
    )
