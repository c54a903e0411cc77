"""Work under a lock, asked for from where no lock can be taken.

Purpose: what the collector throws away (a lease, a right to descriptors, a waiting coroutine) has to be
taken back under the lock of its pool. But the collector runs anywhere: in a thread that holds that very
lock, or that of the timer, of another pool, of the log. So a finalizer takes none, and wakes nobody: it
appends to a list.

Guarantees: work that was put in is done once, by whoever takes the lock next, before anything else. While
somebody waits for what may come back in this way, the pool and the supply take their locks now and then
by themselves, on the process's timer.
"""

from collections import deque
from typing import Generic, TypeVar

__all__ = ("Later",)

T = TypeVar("T")


class Later(Generic[T]):
    """A list to which anybody appends, and which the holder of the lock empties."""

    __slots__ = ("_things",)

    def __init__(self) -> None:
        self._things: deque[T] = deque()

    def __bool__(self) -> bool:
        return bool(self._things)

    def put(self, thing: T) -> None:
        """Leave ``thing`` there; from anywhere, the collector included. One step of the interpreter."""
        self._things.append(thing)

    def take(self) -> T | None:
        """Take out what was left there first; None if there is nothing. Under the lock."""
        try:
            return self._things.popleft()
        except IndexError:
            return None
