"""Noticing that a child has ended, on any event loop, without reaping it and without a thread.

Purpose: no use of asyncio's child watcher, which takes SIGCHLD or a thread for each child, and no
``waitpid(-1)``, which takes other people's children.
On Linux a descriptor of the process becomes readable in the loop's own ``poll``. Where there is none
to be had, the child alone is asked for, ever less often, up to fifty times a second.
"""

import asyncio
import os
from typing import Final

from holdfast._core.process_tree.tree import Root, Tree

__all__ = ("ExitWatch",)

_FIRST_WAIT: Final = 0.001
_LONGEST_WAIT: Final = 0.02


class ExitWatch:
    """Sets :attr:`ended` when the root of ``tree`` has ended."""

    __slots__ = ("_fd", "_loop", "_timer", "_tree", "_wait", "ended")

    def __init__(self, tree: Tree, loop: asyncio.AbstractEventLoop) -> None:
        self._tree = tree
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._wait = _FIRST_WAIT
        self._fd = -1
        self.ended: asyncio.Future[None] = loop.create_future()

    def start(self) -> None:
        """Begin."""
        try:
            self._fd = os.pidfd_open(self._tree.root)
        except (AttributeError, OSError):  # no such call, no descriptor left, or stolen already
            self._look()
        else:
            self._loop.add_reader(self._fd, self._tell)

    def _look(self) -> None:
        if self._tree.root_state() is not Root.RUNS:
            self._tell()
            return
        self._timer = self._loop.call_later(self._wait, self._look)
        self._wait = min(self._wait * 2, _LONGEST_WAIT)

    def _tell(self) -> None:
        self.close()
        if not self.ended.done():
            self.ended.set_result(None)

    def close(self) -> None:
        """Watch no longer."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            if not self._loop.is_closed():
                self._loop.remove_reader(fd)
            os.close(fd)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
