"""The process's supply of worker processes: one bound for all pools together.

A pool takes a place before it asks for a process, and gives it back when that process has ended. One that
is denied is called when a place is free; meanwhile the others are asked to let an idle process go.
"""

import threading
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("PROCESSES", "ProcessSupply")


class Taker(Protocol):
    """A pool, as the supply sees it."""

    def refill(self) -> None:
        """A place may be free."""
        ...

    def spare_one(self) -> bool:
        """Let an idle process go, if there is one; whether there was."""
        ...


class ProcessSupply:
    """Places for worker processes. Every method may be called from any thread."""

    def __init__(self) -> None:
        self.limit = 0  # 0: it is still to be found
        self.find_limit: Callable[[], int] = lambda: 1
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self.taken = 0
        self._waiting: dict[Taker, None] = {}
        self._takers: dict[Taker, None] = {}

    def take(self, taker: Taker) -> bool:
        """A place for one more process; False: the pool is called when there is one."""
        if not self.limit:
            self.limit = self.find_limit()
        with self._lock:
            self._takers[taker] = None
            if self.taken < self.limit:
                self.taken += 1
                self._waiting.pop(taker, None)
                return True
            self._waiting[taker] = None
            return False

    def reclaim(self, needy: Taker) -> None:
        """A pool without any process was denied one: have another pool give up an idle one."""
        with self._lock:
            others = [taker for taker in self._takers if taker is not needy]
        for other in others:
            if other.spare_one():
                return

    def give_back(self, places: int = 1) -> None:
        """So many processes have ended."""
        with self._lock:
            self.taken -= places
            waiting, self._waiting = self._waiting, {}
        for taker in waiting:
            taker.refill()

    def resize(self, limit: int) -> None:
        """Set how many processes there may be; those beyond it end when they are idle."""
        with self._lock:
            self.limit = limit
            over = self.taken - limit
            takers = list(self._takers) if over > 0 else []
        for taker in takers:
            while over > 0 and taker.spare_one():
                over -= 1
        self.give_back(0)

    def leave(self, taker: Taker) -> None:
        """The pool has closed."""
        with self._lock:
            self._takers.pop(taker, None)
            self._waiting.pop(taker, None)

    def after_fork(self) -> None:
        """In a child: the processes are the parent's."""
        self._reset()


PROCESSES: Final = ProcessSupply()
"""The one supply of this process."""
