"""What the writer can be asked to do, and how its outcome reaches whoever asked.

States: NEW -> WAITING (in the writer's line) -> RUNNING (the writer has it) -> ENDED; moved under the
line's lock. A job that is ended is settled once: with what it has returned, or with an error.
"""

from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from holdfast._core.future import CallFuture
from holdfast._core.loops import LoopState
from holdfast.track._sqlite.runner import Run
from holdfast.track._sqlite.sql_text import STANDS_ALONE

if TYPE_CHECKING:
    import asyncio

    from holdfast.track._sqlite.connect import Connection

__all__ = (
    "ENDED",
    "RUNNING",
    "WAITING",
    "Call",
    "Job",
    "Last",
    "Many",
    "Params",
    "Statement",
    "Written",
    "settle",
)

NEW: Final = 0
WAITING: Final = 1
RUNNING: Final = 2
ENDED: Final = 3

_INSERTS: Final = frozenset({"INSERT", "REPLACE", "WITH"})

Params = Sequence[Any] | dict[str, Any]


class Written(NamedTuple):
    """What a statement has done.

    Attributes:
        rowcount: Rows inserted, changed or deleted; -1 where that means nothing.
        lastrowid: The rowid of the last row that this connection has inserted, or None.
        rows: What ``RETURNING`` returned.
    """

    rowcount: int
    lastrowid: int | None
    rows: list[Any]


class Job(Run):
    """Work for the writer's connection.

    Attributes:
        shared: Whether it may share a transaction with its neighbours in line. What runs the user's own
            code may not, because a group that fails is run again.
        bare: Whether it must run outside of any transaction.
        contained: Whether it has failed, and has undone by itself what it had done.
    """

    shared = True
    bare = False
    contained = False

    state = NEW
    left = False  # whether whoever asked has gone
    mailbox: LoopState | None = None
    patience: Any = None
    queued_at = 0.0
    value: Any = None
    error: BaseException | None = None
    future: "asyncio.Future[None] | CallFuture[Any]"

    def work(self, db: "Connection") -> Any:
        """Do it."""
        raise NotImplementedError  # Begin, End and Last have no work: the writer knows them by kind


class Statement(Job):
    """One statement that changes something."""

    inserts = False

    def __init__(self, sql: str, params: Params, limit: float | None, verb: str = "") -> None:
        if limit is not None:
            self.limit = limit
        self.sql = sql
        self.params = params
        if verb in _INSERTS:
            self.inserts = True
        elif verb in STANDS_ALONE:
            self.bare = True

    def work(self, db: "Connection") -> Written:
        """Execute it."""
        # One cursor for all: to make one takes a tenth of what a small insert does. It remembers the
        # rowid of somebody else's insert, which is none of ours.
        cursor = db.common
        cursor.execute(self.sql, self.params)
        rows = [] if cursor.description is None else cursor.fetchall()
        return _written(
            Written, (cursor.rowcount, cursor.lastrowid if self.inserts else None, rows)
        )


# A named tuple's own __new__ takes twice as long.
_tuple: Any = tuple
_written: "Callable[[type[Written], tuple[Any, ...]], Written]" = _tuple.__new__


class Many(Job):
    """One statement for each of many rows: all of them, or none."""

    def __init__(self, sql: str, rows: Iterable[Params], limit: float | None) -> None:
        super().__init__(limit)
        self.sql = sql
        self.rows = list(rows)  # on the caller's side: the group may have to be run again

    def work(self, db: "Connection") -> Written:
        """Execute it for each row."""
        db.execute("SAVEPOINT holdfast_many")
        try:
            cursor = db.executemany(self.sql, self.rows)
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK TO holdfast_many")
                db.execute("RELEASE holdfast_many")
                self.contained = True
            raise
        db.execute("RELEASE holdfast_many")
        return Written(cursor.rowcount, None, [])


class Call(Job):
    """A function of the user's, in a transaction of its own."""

    shared = False

    def __init__(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: Context,
        limit: float | None,
    ) -> None:
        super().__init__(limit)
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.context = context

    def work(self, db: "Connection") -> Any:
        """Call it."""
        return self.context.run(self.fn, db, *self.args, **self.kwargs)


class Last(Job):
    """Nothing: it has its turn when all that came before it is over."""

    shared = False


# ---------------------------------------------------------------- the way back


class _Letter:
    """The outcomes of a group, for one loop: one wake-up."""

    __slots__ = ("jobs",)

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs

    def deliver(self) -> None:
        """On the loop: wake the coroutines."""
        for job in self.jobs:
            future = job.future
            if not future.done():
                future.set_result(None)


def settle(jobs: Iterable[Job]) -> bool:
    """Tell whoever asked that these jobs have ended; False if a loop to be told is closed."""
    letters: dict[LoopState, list[Job]] = {}
    last: LoopState | None = None
    group: list[Job] = []
    for job in jobs:
        job.state = ENDED
        if job.patience is not None:
            job.patience.end()
        mailbox = job.mailbox
        if mailbox is None:
            future = job.future
            assert isinstance(future, CallFuture)  # noqa: S101 - what has no mailbox is blocking code's
            future.settle(job.value, job.error)
            continue
        if mailbox is not last:
            last = mailbox
            group = letters.setdefault(mailbox, [])
        group.append(job)
    reached = True
    for mailbox, group in letters.items():
        reached = mailbox.post(_Letter(group)) and reached
    return reached
