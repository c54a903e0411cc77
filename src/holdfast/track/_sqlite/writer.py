"""The one that writes: takes jobs from its line and commits them in groups.

Purpose: a write is durable when the disk has it, and the disk takes its time for a commit however little
is in it. So what has come meanwhile goes into one transaction, and one commit serves all of it.

Guarantees
- who is told that a write succeeded is told after the commit; a write that raised left nothing;
- jobs take effect in the order of the line, each as a whole, and neighbours in a group do not see, or
  share, each other's failures: a group that SQLite rolls back is run again one by one;
- a function of the user's runs once, in a transaction of its own;
- one thread at most, which goes back to its pool when there is nothing to do.
"""

import logging
import sqlite3
from contextvars import Context
from typing import Any, Final

from holdfast._core import clock
from holdfast._core.future import CallFuture
from holdfast._core.loops import LoopState
from holdfast.errors import CallTimeout, Failed, QueueTimeout, Rejected
from holdfast.pools._timer import TIMER
from holdfast.pools.thread_pool import ThreadPool
from holdfast.track._sqlite.counters import Counters
from holdfast.track._sqlite.files import Files, Patience, begin
from holdfast.track._sqlite.jobs import ENDED, Job, Last, settle
from holdfast.track._sqlite.lease import Begin, End, Lease
from holdfast.track._sqlite.line import Line
from holdfast.track._sqlite.options import Options
from holdfast.track._sqlite.runner import Runner, Stopped

__all__ = ("Writer",)

log = logging.getLogger("holdfast.track")

_MOST: Final = 1024
_BATCH: Final = 32
_LONGEST: Final = 0.020
"""A group takes in no more when it has so many jobs (what the default ``max_queue`` lets wait is one group,
and one write to the disk), or has run for so long; so many at once. A group that SQLite rolls back costs a
commit for each of its jobs, so it does not grow without end."""


class Writer(Patience):
    """Runs jobs on the connection that writes."""

    def __init__(self, o: Options, files: Files, counters: Counters) -> None:
        self._o = o
        self._files = files
        self._counters = counters
        self.line = Line(o.name, o.max_queue if o.overflow == "reject" else None)
        self.pool = ThreadPool(1, name=f"{o.name}-writer", max_queue=8, idle_timeout=10.0)
        self._job: Job | None = None

    # ------------------------------------------------------------ threads

    def hire(self) -> None:
        """Send a thread, unless there is one.

        Raises:
            Rejected: There is none to be had.
        """
        if not self.line.hired():
            return
        try:
            # A context of its own: the thread works for everybody, and inherits nobody's deadline.
            _ = Context().run(self.pool.submit, self._drain)
        except Rejected:
            self.line.unhired()
            raise

    def hire_at_pass_end(self, mailbox: LoopState) -> None:
        """Send a thread when the loop has run what is ready now, which may write as well."""
        mailbox.defer(self)

    def at_pass_end(self) -> None:
        """On a loop: send it."""
        try:
            self.hire()
        except Rejected as refusal:
            self._refuse(self.line.take_all(refusal), refusal)

    def _refuse(self, jobs: list[Job], refusal: BaseException) -> None:
        for job in jobs:
            job.error = refusal
        self._counters.note(refused=len(jobs))
        settle(jobs)

    def _drain(self) -> None:
        while (job := self.line.take()) is not None:
            self._job = job
            try:
                self._do(job)
            except BaseException as error:  # noqa: BLE001 - whatever it is belongs to who asked
                self._end(job, None, error)
            self._job = None
        self._files.close_writer()

    # ------------------------------------------------------------ jobs

    def _do(self, job: Job) -> None:
        if isinstance(job, End):
            self._end_lease(job)
            return
        if job.stopped is not None:
            self._end(job, None, Stopped(job.stopped))
            return
        if isinstance(job, Last):
            self._end(job, None, None)
            return
        runner = self._files.writer()
        lease = self.line.lease
        if lease is not None:
            self._in_lease(runner, lease, job)
        elif isinstance(job, Begin):
            self._grant(runner, job)
        elif job.bare:
            self._end(job, runner.work(job), None)
        elif job.shared:
            self._group(runner, job)
        else:
            self._alone(runner, job)

    def _group(self, runner: Runner, first: Job) -> None:
        """Run ``first`` and those behind it in one transaction."""
        begin(runner.connection, self._o, self)
        done: list[Job] = []
        failed: list[Job] = []
        batch = [first]
        since = clock.now()
        try:
            while batch:
                broken = self._batch(runner, batch, done, failed)
                if broken is not None:
                    _roll_back(runner.connection)
                    self._one_by_one(runner, [*done, *broken], failed)
                    return
                room = min(_MOST - len(done) - len(failed), _BATCH)
                batch = self.line.take_more(room) if clock.now() - since < _LONGEST else []
            self._commit_group(runner, done, failed)
        except BaseException as error:
            self._refuse([j for j in (*done, *failed, *batch) if j.state != ENDED], error)
            raise

    def _batch(
        self, runner: Runner, batch: list[Job], done: list[Job], failed: list[Job]
    ) -> list[Job] | None:
        """Run jobs inside the group's transaction; those behind the one that broke it, or None."""
        db = runner.connection
        work, has_done = runner.work, done.append
        for place, job in enumerate(batch):
            self._job = job
            before = db.total_changes
            try:
                job.value = work(job)
                has_done(job)
            except BaseException as error:  # noqa: BLE001 - whatever it is belongs to who asked
                job.error = error
                failed.append(job)
                # A statement that fails undoes itself, but for OR FAIL and OR ROLLBACK.
                kept = job.contained or db.total_changes == before
                if not (db.in_transaction and kept):
                    return batch[place + 1 :]
        return None

    def _commit_group(self, runner: Runner, done: list[Job], failed: list[Job]) -> None:
        db = runner.connection
        try:
            db.execute("COMMIT")
        except sqlite3.Error as error:
            _roll_back(db)
            if len(done) == 1:
                done[0].value, done[0].error = None, error
                self._counters.note(failed=len(failed) + 1)
                settle([*failed, *done])
                return
            self._one_by_one(runner, done, failed)
            return
        self._counters.note(writes=len(done), failed=len(failed), commits=1)
        settle([*failed, *done])

    def _one_by_one(self, runner: Runner, again: list[Job], failed: list[Job]) -> None:
        """The group was rolled back: those that are not to blame run again, each by itself."""
        self._counters.note(failed=len(failed), broken_groups=1)
        settle(failed)
        for job in again:
            job.value = None
            try:
                self._alone(runner, job)
            except BaseException as error:  # noqa: BLE001 - whatever it is belongs to who asked
                self._end(job, None, error)

    def _alone(self, runner: Runner, job: Job) -> None:
        """Run a job in a transaction of its own."""
        db = runner.connection
        begin(db, self._o, self)
        try:
            value = runner.work(job)
            if not db.in_transaction:
                msg = (
                    f"database {self._o.name!r}: the function has ended its transaction itself; leave commit "
                    "and rollback to the database, which does one or the other when the function has ended"
                )
                raise Failed(msg)  # noqa: TRY301 - ends as any failure does
            db.execute("COMMIT")
        except BaseException:
            _roll_back(db)
            raise
        self._counters.note(commits=1)
        self._end(job, value, None)

    def _end(self, job: Job, value: Any, error: BaseException | None) -> None:
        job.value, job.error = value, error
        self._counters.note(writes=int(error is None), failed=int(error is not None))
        settle((job,))

    # ------------------------------------------------------------ a lock that another process has

    def locked(self, waited: float) -> None:
        """Another process has the lock: whoever has waited too long by now is told so."""
        o = self._o
        self._counters.note(lock_waits=1)
        job = self._job
        if job is not None and job.stopped is not None:
            raise Stopped(job.stopped)
        if waited < o.busy_timeout:
            return
        late = self.line.take_waiting_since(clock.now() - o.busy_timeout)
        msg = (
            f"database {o.name!r}: another connection has held the lock on {str(o.path)!r} for {waited:.1f} s; "
            "nothing was written"
        )
        self._refuse(late, QueueTimeout(msg))

    # ------------------------------------------------------------ transactions of an owner

    def _grant(self, runner: Runner, job: Begin) -> None:
        begin(runner.connection, self._o, self)
        lease = job.lease
        if not self.line.grant(lease, job, clock.now()):
            _roll_back(runner.connection)
            self._end(job, None, Stopped("its owner has gone"))
            return
        self._counters.note(transactions=1)
        lease.watch = watch = _Overdue(self, lease)
        try:
            watch.due = TIMER.watch(watch, self._o.transaction_timeout)
        except RuntimeError:
            log.warning(
                "database %r: no thread to watch the transaction of %s", self._o.name, lease.where
            )
        if not settle((job,)):  # its loop is closed: nobody will end it
            self.abandon(lease)

    def _in_lease(self, runner: Runner, lease: Lease, job: Job) -> None:
        db = runner.connection
        if lease.failure is not None:  # else it would be committed by itself
            raise lease.failure
        try:
            value = runner.work(job)
        except BaseException as error:
            if lease.failure is not None:
                raise lease.failure from None
            if not db.in_transaction:
                msg = (
                    f"database {self._o.name!r}: SQLite has rolled back the transaction begun at {lease.where} "
                    f"after {error!r}; nothing of it remains"
                )
                lease.failure = Failed(msg)
            raise
        self._end(job, value, None)

    def _end_lease(self, job: End) -> None:
        lease = job.lease
        failure = lease.failure
        runner = self._files.writer()
        db = runner.connection
        try:
            if job.commit and failure is None:
                db.execute("COMMIT")
                self._counters.note(commits=1)
        except sqlite3.Error as error:
            failure = error
        _roll_back(db)
        if lease.watch is not None:
            TIMER.unwatch(lease.watch, lease.watch.due)
        self._refuse(self.line.release(lease), failure or Stopped("the transaction is over"))
        job.error = failure if job.commit else None
        settle((job,))

    def abandon(self, lease: Lease) -> None:
        """Its owner has gone: roll it back."""
        self._cut(lease, Stopped("its owner has gone"))

    def stop(self, why: str) -> None:
        """Stop what runs now."""
        current = self._job
        if current is not None:
            current.stop(why)

    def overdue(self, lease: Lease) -> None:
        """It has held the writer for too long."""
        held = clock.now() - lease.since
        msg = (
            f"database {self._o.name!r}: the transaction begun at {lease.where} has held the writer for "
            f"{held:.1f} s and was rolled back; do what takes long (a model call) outside of the block, or "
            f"raise transaction_timeout ({self._o.transaction_timeout:g} s)"
        )
        if self._cut(lease, CallTimeout(msg, stopped=True)):
            self._counters.note(cut_transactions=1)
            log.warning("%s", msg)

    def _cut(self, lease: Lease, why: BaseException) -> bool:
        end = End(lease, commit=False)
        end.future = CallFuture()  # nobody waits for it
        left = self.line.cut(lease, why, end)
        if left is None:
            return False
        self.stop("its transaction was cut")
        self._refuse(left, why)
        try:
            self.hire()
        except Rejected as refusal:
            log.warning("database %r: nobody to roll back: %s", self._o.name, refusal)
        return True


class _Overdue:
    """A transaction under watch."""

    __slots__ = ("_lease", "_writer", "due")

    def __init__(self, writer: Writer, lease: Lease) -> None:
        self._writer, self._lease = writer, lease
        self.due = 0.0

    def expire(self) -> None:
        """On the timer's thread."""
        self._writer.overdue(self._lease)


def _roll_back(db: sqlite3.Connection) -> None:
    if db.in_transaction:
        db.execute("ROLLBACK")
