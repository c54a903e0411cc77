"""Outcomes in a SQLite file: they survive the process, and the knowledge that work had started does too.

Guarantees: ``begin`` returns after the start is on the disk (a write-ahead log that is synchronised at
each commit), so after a crash, of the process or of the machine, the file never says less than what has
happened. Of several processes that begin the same key at once, one gets the claim.

Assumes: a local file (the log needs shared memory), and that whoever may write it is trusted: outcomes
are pickled, unless other functions are given.
"""

import contextlib
import os
import pickle
import secrets
import socket
import sqlite3
import threading
from collections.abc import Callable, Generator
from typing import Any, Final, cast

from holdfast._core import check, clock
from holdfast.errors import PoolClosed, QueueFull
from holdfast.flow._idempotency_record import Claim, Record, State, age

__all__ = ("SQLiteStore",)

_SCHEMA_VERSION: Final = 1
_SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS holdfast_calls (
        key TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        token TEXT NOT NULL,
        owner TEXT NOT NULL,
        changed_at REAL NOT NULL,
        outcome BLOB,
        note TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS holdfast_calls_by_change ON holdfast_calls (changed_at)",
    f"PRAGMA user_version = {_SCHEMA_VERSION}",
)
_FIND: Final = (
    "SELECT state, attempt, owner, changed_at, outcome, note FROM holdfast_calls "
    "WHERE key = ? AND changed_at > ?"
)

Row = tuple[State, int, str, float, bytes | None, str]


class SQLiteStore:
    """Outcomes in a file, for those who must survive a restart. An :class:`IdempotencyStore`.

    Several processes may use one file. Its methods wait for the disk, so ``Idempotent`` calls them in a
    thread. At the bound, the oldest settled outcomes make room, a 64th part at a time; work without an
    outcome never does. An outcome that can't be pickled is noted as lost: it is known then that the work
    was done, and not what it returned.

    Args:
        path: The file, made if it is not there; only on a local disk, and only one that you trust, as
            reading a pickle can run code.
        max_records: Most keys that are kept, at least 1.
        max_age: Seconds after its last change at which a key is forgotten, by the wall clock; longer
            than the work takes.
        busy_timeout: Longest wait in seconds for another process that is writing.
        dumps: Makes bytes of a result or an error; ``pickle.dumps`` by default.
        loads: Makes the result or the error of the bytes.

    Raises:
        sqlite3.Error: The file can't be opened, or is no database.
        ValueError: Its tables are those of a later version.
    """

    blocking = True

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        *,
        max_records: int = 100_000,
        max_age: float = 7 * 86_400.0,
        busy_timeout: float = 5.0,
        dumps: Callable[[Any], bytes] = pickle.dumps,
        loads: Callable[[bytes], Any] = pickle.loads,
    ) -> None:
        self._path = os.path.abspath(path)  # noqa: PTH100 - the working directory may change, a link may not
        self._max_records = check.count("max_records", max_records, least=1)
        self._max_age = age(max_age)
        self._busy_timeout = check.seconds("busy_timeout", busy_timeout, zero=True) or 0.0
        self._dumps = check.callable_("dumps", dumps)
        self._loads = check.callable_("loads", loads)
        self._batch = max(1, self._max_records // 64)
        self._until_prune = 0
        self._closed = False
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._connection: sqlite3.Connection | None = None
        self._connection = self._connect()

    def __repr__(self) -> str:
        return f"<SQLiteStore {self._path!r}{': closed' if self._closed else ''}>"

    # ------------------------------------------------------------ as a store

    def begin(self, key: str, *, take_over: bool = False) -> Claim | Record:
        """Do the same as :meth:`IdempotencyStore.begin`.

        Raises:
            QueueFull: There are ``max_records`` keys whose work has left no outcome.
            sqlite3.Error: The start could not be noted, so the work must not start.
            PoolClosed: The store is closed.
        """
        now = clock.wall()
        with self._transaction() as db:
            row = cast("Row | None", db.execute(_FIND, (key, now - self._max_age)).fetchone())
            if row is None or (row[0] == "started" and take_over):
                self._make_room(db, now)
                claim = Claim(1 if row is None else row[1] + 1, secrets.token_hex(8))
                db.execute(
                    "INSERT OR REPLACE INTO holdfast_calls "
                    "(key, state, attempt, token, owner, changed_at) VALUES (?, 'started', ?, ?, ?, ?)",
                    (key, *claim, _owner(), now),
                )
                return claim
        return self._record(key, row, now)

    def settle(self, key: str, claim: Claim, value: Any, error: BaseException | None) -> bool:
        """Do the same as :meth:`IdempotencyStore.settle`.

        Raises:
            sqlite3.Error: The outcome could not be noted; the file says that the work has started.
            PoolClosed: The store is closed.
        """
        state, outcome, note = self._encode(value, error)
        with self._transaction() as db:
            changed = db.execute(
                "UPDATE holdfast_calls SET state = ?, outcome = ?, note = ?, changed_at = ? "
                "WHERE key = ? AND token = ? AND state = 'started'",
                (state, outcome, note, clock.wall(), key, claim.token),
            )
            return changed.rowcount == 1

    def forget(self, key: str, claim: Claim | None = None) -> bool:
        """Do the same as :meth:`IdempotencyStore.forget`.

        Raises:
            sqlite3.Error: The file could not be changed.
            PoolClosed: The store is closed.
        """
        with self._transaction() as db:
            if claim is None:
                gone = db.execute("DELETE FROM holdfast_calls WHERE key = ?", (key,))
            else:
                gone = db.execute(
                    "DELETE FROM holdfast_calls WHERE key = ? AND token = ? AND state = 'started'",
                    (key, claim.token),
                )
            return gone.rowcount == 1

    def get(self, key: str) -> Record | None:
        """Return what is known of ``key``, or None.

        Raises:
            sqlite3.Error: The file could not be read.
            PoolClosed: The store is closed.
        """
        now = clock.wall()
        self._notice_fork()
        with self._lock:
            found = self._open().execute(_FIND, (key, now - self._max_age)).fetchone()
        return None if found is None else self._record(key, cast("Row", found), now)

    def close(self) -> None:
        """Close the file; what is in it stays. May be called again."""
        self._notice_fork()
        with self._lock:
            self._closed = True
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def __enter__(self) -> "SQLiteStore":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None and self._pid == os.getpid():
            connection.close()

    # ------------------------------------------------------------ outcomes as bytes

    def _encode(self, value: Any, error: BaseException | None) -> tuple[State, bytes | None, str]:
        try:
            if error is None:
                return "done", self._dumps(value), ""
            outcome = self._dumps(error)
            self._loads(outcome)  # an error can often be written and not be read
        except Exception as why:  # noqa: BLE001 - the user's classes may do anything in there
            ended = (
                f"it returned a {type(value).__name__}" if error is None else f"it raised {error!r}"
            )
            return "lost", None, f"{ended}, which could not be kept: {why!r}"
        return "failed", outcome, ""

    def _record(self, key: str, row: Row, now: float) -> Record:
        state, attempt, owner, changed_at, outcome, note = row
        found: Any = None
        if outcome is not None:
            try:
                found = self._loads(outcome)
            except Exception as why:  # noqa: BLE001 - the class may have moved since it was written
                state, note = "lost", f"its outcome can't be read any more: {why!r}"
        return Record(
            key=key,
            state=state,
            attempt=attempt,
            owner=owner,
            age_s=now - changed_at,
            value=found if state == "done" else None,
            error=found if state == "failed" else None,
            note=note,
        )

    # ------------------------------------------------------------ the file

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """Hold the file for writing; what was done in the block is on the disk after it, or undone."""
        self._notice_fork()
        with self._lock:
            db = self._open()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            msg = f"the store {self._path!r} is closed; make a new one"
            raise PoolClosed(msg)
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _notice_fork(self) -> None:
        """A connection must not be carried into a child: not used, and not even closed."""
        if self._pid != os.getpid():
            _of_parents.append(self._connection)
            self._pid = os.getpid()
            self._connection = None
            self._lock = threading.Lock()  # a thread of the parent may have held it

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
        )
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > _SCHEMA_VERSION:
                msg = (
                    f"{self._path!r} has tables of version {version}, this one knows {_SCHEMA_VERSION}; "
                    "name another file, or use a later holdfast"
                )
                raise ValueError(msg)  # noqa: TRY301 - the connection has to be closed for it, too
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            if version < _SCHEMA_VERSION:
                for statement in _SCHEMA:
                    db.execute(statement)
        except BaseException:
            db.close()
            raise
        return db

    def _make_room(self, db: sqlite3.Connection, now: float) -> None:
        """Every ``_batch`` starts: drop what has expired, and the oldest outcomes for the next batch."""
        self._until_prune -= 1
        if self._until_prune > 0:
            return
        db.execute("DELETE FROM holdfast_calls WHERE changed_at <= ?", (now - self._max_age,))
        count: int = db.execute("SELECT count(*) FROM holdfast_calls").fetchone()[0]
        surplus = count + self._batch - self._max_records
        if surplus > 0:
            count -= db.execute(
                "DELETE FROM holdfast_calls WHERE key IN (SELECT key FROM holdfast_calls "
                "WHERE state != 'started' ORDER BY changed_at LIMIT ?)",
                (surplus,),
            ).rowcount
        if count >= self._max_records:
            msg = (
                f"the store {self._path!r} is full: work for {count} keys (max_records="
                f"{self._max_records}) has left no outcome; raise max_records, or forget some"
            )
            raise QueueFull(msg)
        self._until_prune = min(self._batch, self._max_records - count)


_of_parents: list[sqlite3.Connection | None] = []


def _owner() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"
