"""The connections of one database: opened when they are first needed, and each closed for real.

Guarantees: one connection that writes, at most ``max_readers`` that read, one for short reads on the
caller's own thread, and those of streams, which are bounded likewise; none per session, none per thread.
In a child after a fork none of the parent's is used, or even closed, because closing would drop the
parent's locks on the file.
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from holdfast._core import clock
from holdfast.errors import PoolClosed, QueueTimeout
from holdfast.track._registry import REGISTRY, Record
from holdfast.track._sqlite.connect import Connection, Role, is_busy, make_schema, open_connection
from holdfast.track._sqlite.options import Options
from holdfast.track._sqlite.runner import Runner
from holdfast.track.descriptors import DESCRIPTORS

__all__ = ("Files", "begin")


def begin(db: sqlite3.Connection, o: Options, gives_up: "Patience") -> None:
    """Begin a transaction that writes, waiting for other processes for as long as is agreed.

    SQLite's own patience is short, so that we look up in between: whether somebody still waits, and
    for how long already.

    Raises:
        QueueTimeout: Another process has held the lock for all of ``busy_timeout``.
        sqlite3.Error: It is no lock that is in the way.
    """
    since = -1.0
    while True:
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
        else:
            return
        now = clock.now()
        if since < 0:
            since = now
        gives_up.locked(now - since)
        if now - since >= o.busy_timeout:
            msg = (
                f"database {o.name!r}: another connection has held the lock on {str(o.path)!r} for "
                f"{now - since:.1f} s; nothing was written. Let whoever writes there commit sooner, or raise "
                f"busy_timeout ({o.busy_timeout:g} s)"
            )
            raise QueueTimeout(msg)


class Patience:
    """Hears of each look at a lock that is not to be had; may raise to end the wait."""

    def locked(self, waited: float) -> None:
        """Another process has the lock, for ``waited`` seconds by now."""
        del waited


_DESCRIPTORS: Final[dict[Role, int]] = {"writer": 3, "reader": 2, "inline": 2}
"""What a connection has open: the file, the log, and, once for the process, the log's index."""

_of_parents: Final[list[Runner]] = []
"""Connections that a child has inherited: kept, so that they are never closed."""


class Files:
    """Opens, counts and closes. Every method may be called from any thread."""

    def __init__(self, o: Options) -> None:
        self._o = o
        self._opening = threading.Lock()
        self._making = threading.Lock()
        self._writer: Runner | None = None
        self._prepared = False
        self._has_schema = False  # also in a child after a fork
        self._open: dict[Runner, Record] = {}
        self._idle: list[Runner] = []
        self._closed = False

    @property
    def count(self) -> int:
        """Connections open now."""
        return len(self._open)

    def writer(self) -> Runner:
        """Return the one that writes, opened and with its schema.

        Raises:
            sqlite3.Error: The file can't be opened.
            PoolClosed: It is closed.
        """
        runner = self._writer
        if runner is not None:
            return runner
        with self._making:  # the schema is run once
            if self._writer is None:
                self._writer = self.open("writer")
            return self._writer

    def prepare(self) -> None:
        """See to it that the file is there, with its write-ahead log and its schema."""
        if not self._prepared:
            if not self._o.read_only:
                self.writer()
            self._prepared = True

    def take(self) -> Runner:
        """Lend a reader: the one used last, whose cache is warm, or a new one."""
        try:
            return self._idle.pop()
        except IndexError:
            self.prepare()
            return self.open("reader")

    def give_back(self, runner: Runner) -> None:
        """Take a reader back."""
        self._idle.append(runner)
        if self._closed:
            self._close_idle()

    def open(self, role: Role, *, wait: float | None = 10.0) -> Runner:
        """Open one more, when the process has descriptors left for it.

        Args:
            role: What it is for.
            wait: Longest wait for descriptors, in seconds.

        Raises:
            sqlite3.Error: It can't be opened.
            UnderPressure: There are no descriptors to be had.
            PoolClosed: It is closed.
        """
        o = self._o
        self._check_open()
        owner = f"sqlite {o.name!r}"
        draw = DESCRIPTORS.take(_DESCRIPTORS[role], owner=owner, timeout=wait)
        try:
            db = self._open_one(role)
        except BaseException:
            draw.give_back()
            raise
        draw.opened()
        runner = Runner(db, o.name)
        record = REGISTRY.add(
            runner, site=o.where, owner=owner, kind="sqlite connection", name=role, draw=draw
        )
        with self._opening:
            closed = self._closed
            self._open[runner] = record
        if closed:
            self.close_one(runner)
            self._check_open()
        return runner

    def _check_open(self) -> None:
        if self._closed:
            msg = f"database {self._o.name!r} is closed; open it again"
            raise PoolClosed(msg)

    def _open_one(self, role: Role) -> Connection:
        o = self._o
        db = open_connection(o, role)
        if role == "writer" and o.schema is not None and not self._has_schema:
            try:
                _apply_schema(db, o, o.schema)
            except BaseException:
                db.close()
                raise
            self._has_schema = True
        return db

    def close_one(self, runner: Runner) -> None:
        """Close one that nobody has any more."""
        record = self._open.pop(runner, None)
        if record is not None:
            runner.close()
            record.drop()

    def _close_idle(self) -> None:
        while self._idle:
            try:
                runner = self._idle.pop()
            except IndexError:
                return
            self.close_one(runner)

    def close(self, *, writer_is_idle: Callable[[], bool]) -> None:
        """Close every connection, those in use when they have been stopped. The writer comes last.

        Args:
            writer_is_idle: Whether no thread is at it. If one is, it calls :meth:`close_writer` at its end.
        """
        with self._opening:
            self._closed = True  # first, and looked second: the thread does it the other way round
            writer = self._writer
        self._idle.clear()
        for runner in [r for r in list(self._open) if r is not writer]:
            self.close_one(runner)
        if writer_is_idle():
            self.close_writer()
        elif writer is not None:
            writer.interrupt_now()

    def close_writer(self) -> None:
        """Close the one that writes, if the database is closed."""
        if not self._closed:
            return
        with self._opening:  # the thread that wrote and the one that closes may both come here
            writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(sqlite3.Error):
                writer.connection.execute("PRAGMA optimize")
            self.close_one(writer)

    def after_fork(self) -> None:
        """In a child: forget the parent's connections, and open others when they are needed."""
        _of_parents.extend(self._open)
        self._opening = threading.Lock()
        self._making = threading.Lock()
        self._open = {}
        self._idle = []
        self._writer = None
        self._prepared = False


def _apply_schema(db: sqlite3.Connection, o: Options, schema: str) -> None:
    begin(db, o, Patience())
    try:
        make_schema(db, schema)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
