"""Opens connections the way production wants them, and closes them for real.

``with sqlite3.connect(...)`` commits and leaves the file open. Here every connection belongs to a
database, is opened with the same settings, and is closed by the database.
"""

import sqlite3
import sys
from typing import Final, Literal

from holdfast._core import check
from holdfast.track._sqlite.options import Options
from holdfast.track._sqlite.sql_text import statements

__all__ = (
    "INLINE_BYTES",
    "INLINE_STEPS",
    "Connection",
    "Role",
    "is_busy",
    "is_interrupt",
    "make_schema",
    "open_connection",
)

Role = Literal["writer", "reader", "inline"]

INLINE_STEPS: Final = 2_000
"""Instructions of SQLite's machine that a read on the caller's own thread may take: some 50 microseconds."""

INLINE_BYTES: Final = 1 << 20
"""The largest value that such a read may touch."""

_PATIENCE_MS: Final = 100
"""How long SQLite itself waits for a lock before the writer looks up: whether to go on is ours to say."""

_CACHE_KB: Final = 8_000
"""Pages that each connection keeps at most; SQLite's own 2 MB are read over and over by a larger table."""

_LOG_BYTES: Final = 64 << 20
"""To what the write-ahead log is cut down after a burst has made it longer."""


class Connection(sqlite3.Connection):
    """A connection with a cursor that is used again.

    Attributes:
        common: For statements of which nothing is left when they have returned.
    """

    common: sqlite3.Cursor


def open_connection(o: Options, role: Role) -> Connection:
    """Open the file for one role.

    Raises:
        sqlite3.Error: It can't be opened, or is no database.
    """
    mode = "ro" if o.read_only else "rwc" if role == "writer" else "rw"
    db = sqlite3.connect(
        f"{o.path.as_uri()}?mode={mode}",
        uri=True,
        timeout=0.0 if role == "inline" else _PATIENCE_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        factory=Connection,
    )
    try:
        _set_up(db, o, role)
    except sqlite3.Error as error:
        db.close()
        error.add_note(f"while opening {str(o.path)!r}")
        raise
    except BaseException:
        db.close()
        raise
    db.common = db.cursor()
    return db


def _set_up(db: sqlite3.Connection, o: Options, role: Role) -> None:
    if role == "writer" and not o.read_only:
        _set_journal(db, o)
    settings: dict[str, str | int] = {
        "foreign_keys": 1,
        "cache_size": -_CACHE_KB,
        **dict(o.pragmas),
    }
    if role == "reader":
        # A reader waits only for who recovers the log, or has the file for itself alone.
        settings["busy_timeout"] = max(1, int(o.busy_timeout * 1000))
    for name, value in settings.items():
        db.execute(f"PRAGMA {name} = {value}")
    if o.on_connect is not None:
        check.callable_("on_connect", o.on_connect)(db)
    if role != "writer":
        db.execute("PRAGMA query_only = 1")
    db.row_factory = o.row_factory
    if role == "inline":
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, INLINE_BYTES)


def _set_journal(db: sqlite3.Connection, o: Options) -> None:
    # Two processes that open a new file at once: one of them waits, SQLite's own patience does not
    # cover the change of mode.
    db.execute(f"PRAGMA busy_timeout = {max(1, int(o.busy_timeout * 1000))}")
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != ("wal",):
        msg = (
            f"{str(o.path)!r} can't have a write-ahead log (its mode stays {mode[0]!r}): the file has to lie on "
            "a local disk, and no connection in another mode may be open"
        )
        raise sqlite3.OperationalError(msg)
    db.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
    db.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    db.execute(f"PRAGMA synchronous = {o.synchronous}")
    if sys.platform == "darwin" and o.synchronous == "full":
        db.execute("PRAGMA fullfsync = 1")  # there, only this reaches the disk


def make_schema(db: sqlite3.Connection, schema: str) -> None:
    """Run a script; the caller has begun a transaction and ends it.

    Raises:
        sqlite3.Error: A statement failed.
        ValueError: It is no whole script.
    """
    for statement in statements(schema):
        db.execute(statement)


def is_busy(error: BaseException) -> bool:
    """Whether another process has what this statement needs."""
    return _code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def is_interrupt(error: BaseException) -> bool:
    """Whether the statement was told to stop."""
    return _code(error) == sqlite3.SQLITE_INTERRUPT


def _code(error: BaseException) -> int:
    # Some errors of the driver carry no code of SQLite's.
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
