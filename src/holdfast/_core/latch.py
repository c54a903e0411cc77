"""What a thread waits on when the one that wakes it is about to wait itself: an eventfd, or a lock.

Purpose: the fastest hand-over from thread to thread. Releasing a lock wakes a thread that then has to
wait for the interpreter, which its waker still holds; writing to an eventfd lets go of the
interpreter in the same call. A round trip costs half as much (``benchmarks/bench_blocking.py``).

Guarantees: at most ``_STOCK`` descriptors for the process, however many threads wait; whoever comes
when they are out, or on a system without eventfd, gets a lock, which behaves alike.

Assumes: one waiter for each latch, and one release for each wait. A latch whose wait was broken off
(a timeout, an interrupt) is not returned to the stock: its release may be yet to come.
"""

import os
import select
import threading
from typing import Final

from holdfast._core.clock import Latch

__all__ = ("EventLatch", "borrow_latch", "close_stock", "closed_lock", "give_back_latch")

_STOCK: Final = 8


class EventLatch:
    """A latch over an eventfd, closed at first."""

    __slots__ = ("_fd", "_poll")

    def __init__(self) -> None:
        self._fd = -1
        self._fd = os.eventfd(0, os.EFD_CLOEXEC)
        self._poll: select.poll | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait until it is released; False if that took longer than ``timeout`` seconds."""
        if timeout >= 0 or not blocking:
            poll = self._poll
            if poll is None:
                poll = self._poll = select.poll()
                poll.register(self._fd, select.POLLIN)
            if not poll.poll(max(0.0, timeout) * 1000.0):
                return False
        os.eventfd_read(self._fd)
        return True

    def release(self) -> None:
        """Let the waiter through."""
        os.eventfd_write(self._fd, 1)

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


_stock: list[EventLatch] = []
_made = 0
_making = threading.Lock()


def borrow_latch() -> EventLatch | None:
    """Return a closed latch from the stock; None when there is none to be had."""
    global _made  # noqa: PLW0603 - the process's stock
    try:
        return _stock.pop()
    except IndexError:
        pass
    with _making:
        if _made >= _STOCK or not hasattr(os, "eventfd"):
            return None
        try:
            latch = EventLatch()
        except OSError:  # out of descriptors: the very moment not to insist
            return None
        _made += 1
        return latch


def give_back_latch(latch: EventLatch, *, broken_off: bool = False) -> None:
    """Return a latch; one whose wait was broken off is replaced by a new one later."""
    global _made  # noqa: PLW0603 - the process's stock
    if broken_off:
        with _making:
            _made -= 1
    else:
        _stock.append(latch)


def closed_lock() -> Latch:
    """Return a lock that is taken."""
    lock = threading.Lock()
    lock.acquire()
    return lock


def _forget_stock() -> None:
    """In a child after a fork: what is in stock, or in use by a thread that is gone, is the parent's."""
    global _made, _making
    _stock.clear()
    _made, _making = 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_stock)


def close_stock() -> None:
    """Close what is in stock; for tests that count descriptors."""
    global _made  # noqa: PLW0603 - the process's stock
    while _stock:
        _stock.pop()
        with _making:
            _made -= 1
