"""A database without its face: jobs go in, from coroutines and from blocking code, outcomes come out."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any, Final, NoReturn, cast

from holdfast._core import clock
from holdfast._core.future import CallFuture
from holdfast._core.loops import loop_state
from holdfast.errors import PoolClosed, QueueTimeout, UnderPressure
from holdfast.pools._forked import forks
from holdfast.pools._timer import TIMER
from holdfast.pools.deadline import inherited, remaining
from holdfast.track._sqlite.counters import Counters, SQLiteStats
from holdfast.track._sqlite.files import Files
from holdfast.track._sqlite.jobs import ENDED, RUNNING, Job, Last, settle
from holdfast.track._sqlite.lease import Begin, End, Lease
from holdfast.track._sqlite.options import Options
from holdfast.track._sqlite.reads import Reads
from holdfast.track._sqlite.runner import Stopped
from holdfast.track._sqlite.sql_text import check_statement, statements
from holdfast.track._sqlite.streams import Streams
from holdfast.track._sqlite.writer import Writer

__all__ = ("Core",)

_READ_ONLY: Final = "was opened read_only, so nothing can be written to it"


class Core:
    """Everything that a database is made of."""

    def __init__(self, o: Options) -> None:
        self.o = o
        self.counters = Counters()
        self.files = Files(o)
        self.reads = Reads(o, self.files)
        self.writer = Writer(o, self.files, self.counters)
        self.streams = Streams(o, self.files, self.reads)
        self.released = False
        self._line = self.writer.line
        self._plain = not o.read_only and o.queue_timeout is None
        self._now = clock.current().now
        forks(self)

    # ------------------------------------------------------------ writes

    def begin(self, job: Job, lease: Lease | None = None) -> "asyncio.Future[None]":
        """Put a job in line, for a coroutine, which awaits what this returns.

        Raises:
            Rejected: Before start.
        """
        loop = asyncio.get_running_loop()
        job.mailbox = mailbox = loop_state(loop)
        job.future = future = loop.create_future()
        if lease is None and self._plain and inherited() is None:  # as _put does, step by step
            job.queued_at = self._now()
            send = self._line.put(job)
        else:
            send = self._put(job, lease)
        if send and self.writer not in mailbox.deferred:
            self.writer.hire_at_pass_end(mailbox)
        return future

    async def ask(self, job: Job, lease: Lease | None = None) -> Any:
        """Have the writer do a job, for a coroutine.

        Raises:
            Rejected: Before start.
            Exception: What the job has raised; nothing of it remains.
        """
        future = self.begin(job, lease)
        try:
            await future
        except asyncio.CancelledError:
            self.leave(job)
            raise
        return job.value if job.error is None else fail(job)

    def ask_blocking(self, job: Job, lease: Lease | None = None) -> Any:
        """Do the same for blocking code."""
        job.future = future = CallFuture[Any]()
        if self._put(job, lease):
            self.writer.hire()
        try:
            future.exception()
        except BaseException:  # an interrupt: nobody will ask for the outcome
            self.leave(job)
            raise
        return job.value if job.error is None else fail(job)

    def _put(self, job: Job, lease: Lease | None) -> bool:
        o = self.o
        if o.read_only:
            msg = f"database {o.name!r} {_READ_ONLY}"
            raise PoolClosed(msg)
        job.queued_at = self._now()
        patience = o.queue_timeout if lease is None else None
        left = None
        if inherited() is not None and not isinstance(job, End):
            left = cast("float", remaining())
            if left <= 0.0:
                raise self._late(0.0, by_deadline=True)
            job.limit = left if job.limit is None else min(job.limit, left)
            patience = left if patience is None else min(patience, left)
        line = self.writer.line
        send = line.put(job) if lease is None else line.put_leased(lease, job)
        if patience is not None:
            self._watch(job, patience, by_deadline=patience == left)
        return send

    def _watch(self, job: Job, seconds: float, *, by_deadline: bool) -> None:
        """Have a job that is in line given up in time, if it has not begun."""
        patience = _Patience(self, job, seconds, by_deadline=by_deadline)
        try:
            patience.due = TIMER.watch(patience, seconds)
        except RuntimeError as error:
            if not self.writer.line.withdraw(job):
                return  # it has begun, and waits no more
            msg = (
                f"database {self.o.name!r}: the system refused the thread that watches time limits ({error}); "
                "raise the limit on threads (ulimit -u, pids.max), or run fewer"
            )
            raise UnderPressure(msg) from error
        job.patience = patience
        if job.state == ENDED:  # whoever settled it may have found nothing to end
            patience.end()

    def _late(self, seconds: float, *, by_deadline: bool) -> QueueTimeout:
        lease = self.writer.line.lease
        holder = (
            ""
            if lease is None
            else f", while the transaction begun at {lease.where} held the writer"
        )
        whose = (
            "the deadline that it inherited came"
            if by_deadline
            else f"it waited {seconds:g} s in line"
        )
        msg = (
            f"database {self.o.name!r}: {whose}{holder}; nothing was written "
            f"({len(self.writer.line)} writes wait)"
        )
        return QueueTimeout(msg)

    def give_up_waiting(self, job: Job, seconds: float, *, by_deadline: bool) -> None:
        """On the timer's thread: the job has waited in line for as long as it may."""
        if self.writer.line.withdraw(job):
            job.error = self._late(seconds, by_deadline=by_deadline)
            self.counters.note(refused=1)
            settle((job,))

    def leave(self, job: Job) -> None:
        """Whoever asked has gone: take the job back, or stop it."""
        line = self.writer.line
        if line.withdraw(job):
            if job.patience is not None:
                job.patience.end()
            return
        if isinstance(job, Begin):
            if line.leave(job):
                self.writer.abandon(job.lease)
        elif not isinstance(job, End) and job.state == RUNNING:
            job.left = True
            job.stop("cancelled")

    # ------------------------------------------------------------ the whole

    def stats(self) -> SQLiteStats:
        """Return one reading."""
        line, c = self.writer.line, self.counters
        lease = line.lease
        return SQLiteStats(
            name=self.o.name,
            writes_queued=len(line),
            writes_queued_peak=line.peak,
            writes=c.writes,
            writes_failed=c.failed,
            writes_refused=c.refused,
            commits=c.commits,
            broken_groups=c.broken_groups,
            lock_waits=c.lock_waits,
            transactions=c.transactions,
            cut_transactions=c.cut_transactions,
            holder=None if lease is None else str(lease.where),
            inline_reads=self.reads.inline,
            inline_given_up=self.reads.given_up,
            connections=self.files.count,
            streams=len(self.streams),
            readers=self.reads.stats(),
        )

    def refuse_new(self, *, refuse_waiting: bool) -> None:
        """Admit nothing any more."""
        left = self.writer.line.close(refuse_waiting=refuse_waiting)
        msg = f"database {self.o.name!r} was closed before the write began; open it again"
        for job in left:
            job.error = PoolClosed(msg)
        self.counters.note(refused=len(left))
        settle(left)

    async def wait_for_writes(self, timeout: float | None) -> bool:
        """Wait until every write is over, and every transaction; False after ``timeout`` seconds."""
        loop = asyncio.get_running_loop()
        job = Last()
        job.mailbox = mailbox = loop_state(loop)
        job.future = loop.create_future()
        send = self.writer.line.put_last(job)
        if send is None:
            return True
        if send:
            self.writer.hire_at_pass_end(mailbox)
        try:
            async with asyncio.timeout(timeout):
                await job.future
        except TimeoutError:
            self.cut(job)
            return False
        except BaseException:
            self.cut(job)
            raise
        return True

    def wait_for_writes_blocking(self, timeout: float | None) -> bool:
        """Do the same in blocking code."""
        job = Last()
        job.future = future = CallFuture[Any]()
        send = self.writer.line.put_last(job)
        if send is None:
            return True
        if send:
            self.writer.at_pass_end()
        try:
            future.exception(timeout)
        except TimeoutError:
            self.cut(job)
            return False
        except BaseException:
            self.cut(job)
            raise
        return True

    def cut(self, last: Job) -> None:
        """The time is over: end what still has the writer."""
        self.writer.line.withdraw(last)
        self.refuse_new(refuse_waiting=True)
        lease = self.writer.line.lease
        if lease is not None:
            self.writer.abandon(lease)
        self.writer.stop("closed")

    def release(self) -> None:
        """Everything has ended, or was given its time: close every connection."""
        self.released = True
        self.reads.close()
        self.streams.close()
        self.files.close(writer_is_idle=lambda: self.writer.line.is_idle)

    def after_fork(self) -> None:
        """In a child: nothing of the parent's is used."""
        self.counters.after_fork()
        self.writer.line.after_fork()
        self.files.after_fork()
        self.reads.after_fork()
        self.streams.after_fork()


class _Patience:
    """The time that a job may wait in line."""

    __slots__ = ("_by_deadline", "_core", "_job", "_seconds", "due")

    def __init__(self, core: Core, job: Job, seconds: float, *, by_deadline: bool) -> None:
        self._core, self._job, self._seconds, self._by_deadline = core, job, seconds, by_deadline
        self.due = 0.0

    def expire(self) -> None:
        """On the timer's thread."""
        self._core.give_up_waiting(self._job, self._seconds, by_deadline=self._by_deadline)

    def end(self) -> None:
        """It is over, one way or the other."""
        TIMER.unwatch(self, self.due)


def fail(job: Job) -> NoReturn:
    """Raise what a job has raised."""
    error = job.error
    job.error = None
    if isinstance(error, Stopped) or error is None:
        error = PoolClosed(f"the write was given up before it began: {error}")
    try:
        raise error
    finally:
        del error  # break the cycle with the traceback


def read_all(db: sqlite3.Connection, sql: str, params: Any) -> list[Any]:
    """All rows."""
    return db.execute(sql, params).fetchall()


def read_one(db: sqlite3.Connection, sql: str, params: Any) -> Any:
    """The first row, or None."""
    cursor = db.execute(sql, params)
    row = cursor.fetchone()
    cursor.close()  # else the statement stays open, and its snapshot with it
    return row


def read_value(db: sqlite3.Connection, sql: str, params: Any) -> Any:
    """The first column of the first row, or None."""
    row = read_one(db, sql, params)
    if row is None:
        return None
    values: Any = row.values() if isinstance(row, dict) else row  # pyright: ignore[reportUnknownVariableType] - a factory's
    return next(iter(values))


def run_script(db: sqlite3.Connection, script: str) -> None:
    """Each statement of a script."""
    for statement in statements(script):
        check_statement(statement)
        db.execute(statement)


def read_call(
    db: sqlite3.Connection,
    _sql: str,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """A function of the user's, over one snapshot."""
    db.execute("BEGIN")
    try:
        return fn(db, *args, **kwargs)
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
