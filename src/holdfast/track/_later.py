"""Work under a lock, asked for from where that lock can't be waited for.

Purpose: what the collector throws away (a lease, a right to descriptors, a waiting coroutine) has to be
taken back under the lock of its pool; but the collector runs anywhere, in a thread that holds that very
lock too.

Guarantees: work that was put in is done once, under the lock, as soon as the lock is free: at once by
whoever puts it in, if it gets the lock without waiting; else by whoever holds the lock, after releasing
it (:meth:`Later.settle` is the last thing that every holder does).

Why nothing is left lying: work is appended before the lock is tried, and the holder looks after
releasing. If the trial fails, the holder has not looked yet.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ("Later",)

T = TypeVar("T")


class Later(Generic[T]):
    """Things to be done under a lock.

    Args:
        lock: The lock.
        do: Called with each thing, under the lock; must not raise.
        then: Called after the lock was released, if anything was done; must not raise.
    """

    __slots__ = ("_do", "_lock", "_then", "_things")

    def __init__(
        self, lock: threading.Lock, do: Callable[[T], None], then: Callable[[], None]
    ) -> None:
        self._lock = lock
        self._do = do
        self._then = then
        self._things: deque[T] = deque()

    def put(self, thing: T) -> None:
        """Have ``thing`` done; from anywhere."""
        self._things.append(thing)
        self.settle()

    def settle(self) -> None:
        """Do what has been put in meanwhile; without the lock."""
        while self._things and self._lock.acquire(blocking=False):
            done = False
            try:
                while self._things:
                    self._do(self._things.popleft())
                    done = True
            finally:
                self._lock.release()
            if done:
                self._then()
