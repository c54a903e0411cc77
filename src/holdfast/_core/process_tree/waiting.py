"""Waiting until trees have ended: blocking, or on an event loop.

All trees that end on one loop share one :class:`Ending`, and with it the readings of ``/proc``.
"""

import asyncio
import weakref
from collections.abc import Iterable
from functools import partial

from holdfast._core import clock
from holdfast._core.process_tree.course import Left
from holdfast._core.process_tree.ending import Ending
from holdfast._core.process_tree.tree import Tree

__all__ = ("end_tree_async", "end_trees")


def end_trees(trees: Iterable[Tree], *, grace: float) -> dict[Tree, tuple[Left, ...]]:
    """End trees side by side and block until they have, at most ``grace`` and five seconds.

    May be called from any thread.

    Args:
        trees: Which; their roots are still to be reaped afterwards.
        grace: Seconds between SIGTERM and SIGKILL; 0 kills at once.

    Returns:
        For each tree what is left of it: nothing, but for processes that can't be killed.
    """
    left: dict[Tree, tuple[Left, ...]] = {}
    ending = Ending()
    for tree in trees:
        ending.add(tree, grace=grace, done=partial(left.__setitem__, tree))
    now = clock.current()
    while (wait := ending.step()) is not None:
        now.sleep(wait)
    return left


async def end_tree_async(tree: Tree, *, grace: float) -> tuple[Left, ...]:
    """End a tree, side by side with all others that end on this loop, without blocking it.

    If the awaiting task is cancelled meanwhile, the tree is killed at once, without further grace,
    and when it has ended the cancellation goes on.

    Args:
        tree: Its root is still to be reaped afterwards.
        grace: Seconds between SIGTERM and SIGKILL; 0 kills at once.

    Returns:
        What is left of it: nothing, but for processes that can't be killed.
    """
    loop = asyncio.get_running_loop()
    endings = _Endings.of(loop)
    ended: asyncio.Future[tuple[Left, ...]] = loop.create_future()
    endings.add(tree, grace, ended)
    cancelled: asyncio.CancelledError | None = None
    while not ended.done():
        try:
            await asyncio.wait((ended,))
        except asyncio.CancelledError as error:
            cancelled = error
            endings.hurry(tree)
    if cancelled is not None:
        raise cancelled
    return ended.result()


class _Endings:
    """The trees that end on one loop, stepped by its timer while there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._ending = Ending()
        self._next: asyncio.Handle | None = None

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> "_Endings":
        try:
            return _endings[loop]
        except KeyError:
            endings = _endings[loop] = cls(loop)
            return endings

    def add(self, tree: Tree, grace: float, ended: "asyncio.Future[tuple[Left, ...]]") -> None:
        self._ending.add(tree, grace=grace, done=ended.set_result)
        self._soon()

    def hurry(self, tree: Tree) -> None:
        self._ending.hurry(tree)
        self._soon()

    def _soon(self) -> None:
        """Step at the end of this pass, so that trees that are given up together are ended together."""
        if self._next is not None:
            self._next.cancel()
        loop = self._loop()
        if loop is not None:
            self._next = loop.call_soon(self._step)

    def _step(self) -> None:
        self._next = None
        wait = self._ending.step()
        loop = self._loop()
        if wait is not None and loop is not None:
            self._next = loop.call_later(wait, self._step)


_endings: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Endings]" = (
    weakref.WeakKeyDictionary()
)
