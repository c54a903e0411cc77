"""The writer's line: who is next, and whether a thread is at it.

Purpose: every write of a database stands in one line, first come, first served, whoever asks; one thread
at a time takes from it.

States of the writer: idle (no thread) -> draining (one thread takes jobs) -> idle, when there is none.
While a lease is granted, only its jobs are taken: with none there, the writer is idle, and holds no thread
while the lease's owner thinks.

Why no job is left behind: ``put`` and ``take`` hold one lock. The thread that finds nothing marks the
writer idle under it, so a job that comes later sees that, and whoever put it sends a thread.

Guarantees: a job that was withdrawn never runs; withdrawing is O(1). It stays where it stood, as ENDED, until
its turn comes, or until there are more such than others.
"""

import threading
from collections import deque
from collections.abc import Iterable
from threading import get_ident
from typing import Final

from holdfast.errors import PoolClosed, QueueFull, WouldDeadlock
from holdfast.track._sqlite.jobs import ENDED, RUNNING, WAITING, Job
from holdfast.track._sqlite.lease import End, Lease, whoever_asks

__all__ = ("Line",)

_FEW: Final = 64
"""So many that were withdrawn are not worth a look at the whole line."""


class Line:
    """The jobs of one writer. Every method may be called from any thread."""

    __slots__ = (
        "_draining",
        "_gone",
        "_waiting",
        "closed",
        "drainer",
        "lease",
        "lock",
        "max_queue",
        "name",
        "peak",
    )

    def __init__(self, name: str, max_queue: int | None) -> None:
        self.name = name
        self.max_queue = max_queue  # None: who finds it full waits, which comes to the same place
        self.lock = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._gone = 0  # how many of these have been withdrawn
        self._draining = False
        self.closed = False
        self.lease: Lease | None = None
        self.drainer = 0  # the thread that takes from it
        self.peak = 0

    def __len__(self) -> int:
        return len(self._waiting) - self._gone

    @property
    def is_idle(self) -> bool:
        """Whether no thread is at it."""
        return not self._draining

    # ------------------------------------------------------------ in

    def put(self, job: Job) -> bool:
        """Put a job in line; whether a thread has to be sent.

        Raises:
            PoolClosed: The database is closed.
            QueueFull: ``max_queue`` jobs wait.
            WouldDeadlock: Whoever asks is what the job would wait for.
        """
        with self.lock:
            if self.closed:
                msg = f"database {self.name!r} is closed; open it again"
                raise PoolClosed(msg)
            if self.lease is not None or self.drainer:
                self._check_ring()
            waiting = self._waiting
            before = len(waiting) - self._gone
            if self.max_queue is not None and before >= self.max_queue:
                msg = (
                    f"database {self.name!r}: {before} writes wait, and max_queue is {self.max_queue}; "
                    f"write less at once, or let callers wait (overflow='wait'){self._holder()}"
                )
                raise QueueFull(msg)
            job.state = WAITING
            waiting.append(job)
            if before >= self.peak:
                self.peak = before + 1
            return not self._draining and self.lease is None

    def _check_ring(self) -> None:
        lease = self.lease
        if lease is not None and lease.owner == whoever_asks():
            ring = "this task" if not isinstance(lease.owner, int) else "this thread"
            msg = (
                f"database {self.name!r}: {ring} is inside of the transaction begun at {lease.where}, and a "
                "write beside it would wait for that transaction's end; use tx.execute(...) of the transaction"
            )
            raise WouldDeadlock(
                msg,
                cycle=(f"the write waits for {lease.where}", f"{lease.where} waits for the write"),
            )
        if self.drainer == get_ident():
            msg = (
                f"database {self.name!r}: a function that runs as a write would wait for a write behind it; "
                "use the connection that it was given"
            )
            raise WouldDeadlock(
                msg, cycle=("the write waits for its turn", "its turn comes after this very call")
            )

    def put_last(self, job: Job) -> bool | None:
        """Put a job behind all others, of a database that is closed already.

        Returns:
            Whether a thread has to be sent; None if nothing is before it, so that it need not run.
        """
        with self.lock:
            if not len(self) and self.lease is None and not self._draining:
                return None
            job.state = WAITING
            self._waiting.append(job)
            return not self._draining and self.lease is None

    def put_leased(self, lease: Lease, job: Job) -> bool:
        """Put a job of the transaction in its own line; whether a thread has to be sent.

        Raises:
            BaseException: The transaction can't go on; why it ended.
        """
        with self.lock:
            if lease.ending or self.lease is not lease:
                raise _over(self.name, lease)
            if isinstance(job, End):
                lease.ending = True
            job.state = WAITING
            lease.jobs.append(job)
            return not self._draining

    def hired(self) -> bool:
        """Whoever calls this sends a thread; False if there is one by now, or nothing to do."""
        with self.lock:
            if self._draining or not self._has_work():
                return False
            self._draining = True
            return True

    def unhired(self) -> None:
        """The thread could not be had."""
        with self.lock:
            self._draining = False

    # ------------------------------------------------------------ out

    def _has_work(self) -> bool:
        return bool(len(self) if self.lease is None else self.lease.jobs)

    def take(self) -> Job | None:
        """Take the next job to run it; None ends this thread's turn."""
        with self.lock:
            self.drainer = get_ident()
            if self.lease is not None:
                if self.lease.jobs:
                    job = self.lease.jobs.popleft()
                    job.state = RUNNING
                    return job
            else:
                waiting = self._waiting
                while waiting:
                    job = waiting.popleft()
                    if job.state == WAITING:
                        job.state = RUNNING
                        return job
                    self._gone -= 1
            self._draining = False
            self.drainer = 0
            return None

    def take_more(self, most: int) -> list[Job]:
        """Take the next jobs that may share the transaction that is under way."""
        found: list[Job] = []
        with self.lock:
            waiting = self._waiting
            while waiting and len(found) < most:
                job = waiting[0]
                if job.state != WAITING:
                    self._gone -= 1
                elif job.shared and not job.bare:
                    job.state = RUNNING
                    found.append(job)
                else:
                    break
                waiting.popleft()
        return found

    def withdraw(self, job: Job) -> bool:
        """Take a job back that has not begun; True if it never will."""
        with self.lock:
            if job.state != WAITING:
                return False
            lease = self.lease
            if lease is not None and job in lease.jobs:
                lease.jobs.remove(job)
            else:
                self._gone += 1
            job.state = ENDED
            if self._gone > _FEW and 2 * self._gone > len(self._waiting):
                self._waiting = deque(self._those_that_wait())
                self._gone = 0
            return True

    def _those_that_wait(self) -> Iterable[Job]:
        return (job for job in self._waiting if job.state == WAITING)

    def take_waiting_since(self, moment: float) -> list[Job]:
        """Take out those that have waited since before ``moment``; for a lock that is not to be had."""
        with self.lock:
            old = [job for job in self._those_that_wait() if job.queued_at <= moment]
            for job in old:
                job.state = ENDED
            self._gone += len(old)
            return old

    def take_all(self, why: BaseException) -> list[Job]:
        """Take out everything, for want of a thread; a transaction that is under way can't go on."""
        with self.lock:
            jobs = self._take_all_waiting()
            if self.lease is not None:
                self.lease.failure = self.lease.failure or why
                jobs += self._take_all_of(self.lease)
            return jobs

    def _take_all_waiting(self) -> list[Job]:
        jobs = list(self._those_that_wait())
        for job in jobs:
            job.state = ENDED
        self._waiting.clear()
        self._gone = 0
        return jobs

    # ------------------------------------------------------------ leases

    def grant(self, lease: Lease, begin: Job, now: float) -> bool:
        """Give the writer to a transaction; False if whoever asked has gone."""
        with self.lock:
            if begin.left or self.closed:
                return False
            lease.since = now
            self.lease = lease
            return True

    def leave(self, begin: Job) -> bool:
        """Whoever asked for a transaction goes; True if it was granted, and has to be ended."""
        with self.lock:
            begin.left = True
            return self.lease is not None and getattr(begin, "lease", None) is self.lease

    def release(self, lease: Lease) -> list[Job]:
        """The transaction is over; returns what was left in its line."""
        with self.lock:
            if self.lease is lease:
                self.lease = None
            lease.ending = True
            return self._take_all_of(lease)

    def cut(self, lease: Lease, why: BaseException, end: Job) -> list[Job] | None:
        """End a granted transaction from outside; what waited in it, or None if it ends already."""
        with self.lock:
            if lease.ending or self.lease is not lease:
                return None
            lease.ending = True
            lease.failure = why
            left = self._take_all_of(lease)
            lease.jobs.append(end)
            return left

    def _take_all_of(self, lease: Lease) -> list[Job]:
        left = list(lease.jobs)
        for job in left:
            job.state = ENDED
        lease.jobs.clear()
        return left

    # ------------------------------------------------------------ the end

    def close(self, *, refuse_waiting: bool) -> list[Job]:
        """Admit nothing any more; returns what is to be refused."""
        with self.lock:
            self.closed = True
            if not refuse_waiting:
                return []
            return self._take_all_waiting()

    def after_fork(self) -> None:
        """In a child: nobody waits, and nobody drains."""
        self.lock = threading.Lock()
        self._waiting.clear()
        self._gone = 0
        self._draining = False
        self.lease = None
        self.drainer = 0

    def _holder(self) -> str:
        lease = self.lease
        return "" if lease is None else f"; the transaction begun at {lease.where} holds the writer"


def _over(name: str, lease: Lease) -> BaseException:
    failure = lease.failure
    if failure is not None:
        return failure
    msg = f"database {name!r}: the transaction begun at {lease.where} is over; begin another one"
    return PoolClosed(msg)
