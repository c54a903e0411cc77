"""Looks at how much memory a pool's workers hold, where that is bounded.

A worker above the bound is killed with what it runs. One that is close to it is reported, so that it is
replaced between two calls and no innocent call meets the bound. It is looked at every 20 ms while some
worker holds more than half of the bound, else five times a second; a look costs some 15 microseconds
for each worker, in the zygote.
"""

from __future__ import annotations

import os

from holdfast._core.clock import SystemClock
from holdfast.pools._child import wire

TYPE_CHECKING = False  # the module typing takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

__all__ = ("Monitor",)

_OFTEN = 0.02
_SELDOM = 0.2
_CLOSE = 0.75
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Monitor:
    """The bound, and what was found last."""

    def __init__(self, zygote: Any, bound: int) -> None:
        self._zygote = zygote
        self._bound = bound
        self._next = 0.0
        self._told: set[int] = set()
        self.over: set[int] = set()

    def step(self) -> float:
        """Look, if it is time; returns seconds until the next look."""
        now = SystemClock.now()
        if now < self._next:
            return self._next - now
        most = 0
        for pid, worker in tuple(self._zygote.workers.items()):
            held = _resident(pid)
            most = max(most, held)
            if held > self._bound:
                if pid not in self.over:
                    self.over.add(pid)
                    self._zygote.reaper.end(pid, 0.0)
            elif held > _CLOSE * self._bound and pid not in self._told:
                self._told.add(pid)
                self._zygote.tell(wire.GREEDY, worker, held)
        self._next = now + (_OFTEN if 2 * most > self._bound else _SELDOM)
        return self._next - now

    def was_over(self, pid: int) -> bool:
        """Whether the worker that has ended was killed for it; forgets it."""
        self._told.discard(pid)
        if pid in self.over:
            self.over.discard(pid)
            return True
        return False


def _resident(pid: int) -> int:
    """Bytes of memory that the process holds by itself: what it shares with the zygote is not its own."""
    try:
        fd = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        words = os.read(fd, 128).split()
    except OSError:
        return 0
    finally:
        os.close(fd)
    return int(words[1]) * _PAGE if words else 0
