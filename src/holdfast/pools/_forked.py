"""What has to start clean in a child after a fork: only the thread that forked lives on there."""

import os
import weakref
from typing import Protocol

from holdfast.pools._supply import SUPPLY

__all__ = ("forks",)


class Forks(Protocol):
    """Something whose threads, locks and callers stay behind with the parent."""

    def after_fork(self) -> None:
        """Start clean; called in the child's only thread."""
        ...


_living: "weakref.WeakSet[Forks]" = weakref.WeakSet()


def forks(thing: Forks) -> None:
    """Have ``thing.after_fork()`` called in a child, for as long as it lives."""
    _living.add(thing)


def _after_fork() -> None:
    SUPPLY.after_fork()
    for thing in list(_living):
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
