"""One worker of a thread pool: what it waits on, and where it stands."""

import threading
from typing import Protocol

from holdfast._core.clock import Latch
from holdfast._core.latch import closed_lock
from holdfast.pools._entry import Entry

__all__ = ("Work", "Worker")


class Work(Entry, Protocol):
    """An entry that a worker thread can run."""

    due: float | None  # the timer's key, where a deadline is watched

    def work(self, wake: list[Latch]) -> Entry | None:
        """Run, give the permit back, and return what this thread does next.

        Latches of those who wait for it are put into ``wake``, and released when this thread holds
        nothing of it any more.
        """
        ...

    def expire(self) -> None:
        """A deadline has passed; called on the timer's thread."""
        ...


class Worker:
    """A thread, for as long as it serves one pool; changed only under that pool's lock."""

    __slots__ = (
        "begun",
        "entry",
        "fresh",
        "gone",
        "latch",
        "leaving",
        "lock",
        "number",
        "passed_on",
        "reserved",
        "resting",
        "served",
        "slot",
        "thread",
        "void",
    )

    def __init__(self, number: int, thread: threading.Thread | None = None) -> None:
        self.number = number
        self.thread = thread
        self.fresh = thread is None  # its thread is not asked for yet
        self.begun = thread is not None  # its thread is there
        self.void = False  # it was given up before that, by whoever was interrupted meanwhile
        self.slot = thread is not None  # it has one of the process's supply
        self.lock = closed_lock()
        self.latch = self.lock  # what it waits on: its own lock, or the pool's hot seat
        self.resting = False  # it is idle
        self.entry: Entry | None = None  # a call that was handed to it while it was
        self.served = False  # it has had a call of this pool
        self.leaving = False  # it was asked to give up its slot
        self.reserved = False  # on leaving: its slot stays the pool's
        self.passed_on = False  # on leaving: its thread went on to another pool
        self.gone = closed_lock()  # opened when it has left, in one way or the other
