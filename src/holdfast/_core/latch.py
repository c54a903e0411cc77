"""What a thread waits on when the one that wakes it is about to wait itself: a pipe, or a lock.

Purpose: the fastest hand-over from thread to thread. Releasing a lock wakes a thread that then has to
wait for the interpreter, which its waker still holds; writing to a pipe lets go of the interpreter in
the same call. And a writer to a pipe tells the kernel that it is about to wait itself, so that the
thread which it wakes takes over its core; without that word (a lock, an eventfd) the kernel prefers a
core that is idle, and to wake one up can cost ten times as much as all the rest
(``benchmarks/bench_blocking.py``).

Guarantees: at most ``_STOCK`` pipes for the process, however many threads wait; whoever comes when
they are out, or on a system that can't wait for one, gets a lock, which behaves alike.

Assumes: one waiter for each latch, and one release for each wait. A latch whose wait was broken off
(a timeout, an interrupt) is not returned to the stock: its release may be yet to come. One that is
lost on the way, by an interrupt, makes room in the stock when it is collected.
"""

import contextlib
import os
import select
import threading
from collections import deque
from typing import Final

from holdfast._core.clock import Latch

__all__ = (
    "PipeLatch",
    "borrow_latch",
    "close_stock",
    "closed_lock",
    "give_back_latch",
    "open_latch",
)

_STOCK: Final = 8


class PipeLatch:
    """A latch over a pipe, closed at first."""

    __slots__ = ("_poll", "_read_fd", "_write_fd", "missed")

    def __init__(self) -> None:
        self._read_fd = -1
        self.missed: deque[None] | None = None  # where it is counted when it is lost
        self._read_fd, self._write_fd = os.pipe()
        self._poll: select.poll | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait until it is released; False if that took longer than ``timeout`` seconds."""
        if timeout >= 0 or not blocking:
            poll = self._poll
            if poll is None:
                poll = self._poll = select.poll()
                poll.register(self._read_fd, select.POLLIN)
            if not poll.poll(max(0.0, timeout) * 1000.0):
                return False
        os.read(self._read_fd, 1)
        return True

    def release(self) -> None:
        """Let the waiter through."""
        os.write(self._write_fd, b"\0")

    def __del__(self) -> None:
        if self._read_fd >= 0:
            os.close(self._read_fd)
            os.close(self._write_fd)
            if self.missed is not None:
                self.missed.append(None)  # a destructor takes no lock


_stock: list[PipeLatch] = []
_made = 0
_missed: deque[None] = deque()  # one for each of them that was lost
_making = threading.Lock()


def borrow_latch() -> PipeLatch | None:
    """Return a closed latch from the stock; None when there is none to be had."""
    try:
        return _stock.pop()
    except IndexError:
        return _make_latch()


def _make_latch() -> PipeLatch | None:
    global _made  # noqa: PLW0603 - the process's stock
    with _making:
        if _made - len(_missed) >= _STOCK or not hasattr(select, "poll"):
            return None
        try:
            latch = PipeLatch()
        except OSError:  # out of descriptors: the very moment not to insist
            return None
        latch.missed = _missed
        _made += 1
        return latch


def give_back_latch(latch: PipeLatch, *, broken_off: bool = False) -> None:
    """Return a latch; one whose wait was broken off is replaced by a new one later."""
    global _made  # noqa: PLW0603 - the process's stock
    if broken_off:
        with _making:
            _made -= latch.missed is _missed
            latch.missed = None
    else:
        _stock.append(latch)


def open_latch(latch: Latch) -> None:
    """Release a latch that may have been released already: then it is open, or lets two through."""
    with contextlib.suppress(RuntimeError):  # a lock that is open
        latch.release()


def closed_lock() -> Latch:
    """Return a lock that is taken."""
    lock = threading.Lock()
    lock.acquire()
    return lock


def _forget_stock() -> None:
    """In a child after a fork: what is in stock, or in use by a thread that is gone, is the parent's."""
    global _made, _making, _missed
    missed: deque[None] = deque()
    _stock.clear()
    _made, _making, _missed = 0, threading.Lock(), missed


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_stock)


def close_stock() -> None:
    """Close what is in stock; for tests that count descriptors."""
    while _stock:
        give_back_latch(_stock.pop(), broken_off=True)
