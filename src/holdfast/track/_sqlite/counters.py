"""What a database has done so far, and one consistent reading of it."""

import threading
from dataclasses import dataclass

from holdfast.pools._stats import PoolStats

__all__ = ("Counters", "SQLiteStats")


@dataclass(frozen=True, slots=True, kw_only=True)
class SQLiteStats:
    """One reading of a database.

    Attributes:
        name: The database's name.
        writes_queued: Writes in line now.
        writes_queued_peak: Most writes that were in line at once.
        writes: Writes that were committed.
        writes_failed: Writes that raised, and left nothing.
        writes_refused: Writes that never began.
        commits: Transactions that were committed; ``writes / commits`` is how well writes share them.
        broken_groups: Groups that SQLite rolled back, and that were run again one by one.
        lock_waits: How often another process had the lock, looked at ten times a second.
        transactions: Transactions of an owner that were granted.
        cut_transactions: Those that took too long and were rolled back.
        holder: The line that began the transaction which holds the writer now, or None.
        inline_reads: Reads on the caller's own thread.
        inline_given_up: Those of them that took too long there, and were run again in the pool.
        connections: Connections open now.
        streams: Streams open now.
        readers: The pool of the other reads.
    """

    name: str
    writes_queued: int
    writes_queued_peak: int
    writes: int
    writes_failed: int
    writes_refused: int
    commits: int
    broken_groups: int
    lock_waits: int
    transactions: int
    cut_transactions: int
    holder: str | None
    inline_reads: int
    inline_given_up: int
    connections: int
    streams: int
    readers: PoolStats


class Counters:
    """Totals since the database was opened; from any thread."""

    __slots__ = (
        "_lock",
        "broken_groups",
        "commits",
        "cut_transactions",
        "failed",
        "lock_waits",
        "refused",
        "transactions",
        "writes",
    )

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.broken_groups = 0
        self.commits = 0
        self.cut_transactions = 0
        self.failed = 0
        self.lock_waits = 0
        self.refused = 0
        self.transactions = 0
        self.writes = 0

    def note(self, **more: int) -> None:
        """Add to some of them."""
        with self._lock:
            for name, count in more.items():
                setattr(self, name, getattr(self, name) + count)

    def after_fork(self) -> None:
        """In a child: a thread of the parent may have held the lock."""
        self._lock = threading.Lock()
