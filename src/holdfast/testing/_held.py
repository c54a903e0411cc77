"""What the process holds at one moment, taken quickly: before and after each test."""

import os
import threading
from dataclasses import dataclass

from holdfast._core.latch import close_stock
from holdfast._core.process_tree.keeper import KEEPER
from holdfast.pools._timer import TIMER
from holdfast.sense.process_tree import family
from holdfast.sense.sampler import release

__all__ = ("Held", "Identity", "child_pids", "identity", "let_go", "take")

_FD = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"  # noqa: PTH112 - once
Identity = tuple[int, int]
"""Which file it is: inode and device."""


@dataclass(slots=True)
class Held:
    """Threads and descriptors.

    Attributes:
        fds: By number: which file it is.
        threads: Those that Python knows.
    """

    fds: dict[int, Identity]
    threads: set[threading.Thread]


def take() -> Held:
    """Return what is held now, without what holdfast itself keeps for the next use."""
    let_go()
    return Held(_fds(), set(threading.enumerate()))


def let_go() -> None:
    """Let go of what holdfast keeps for its next use: it is nobody's leak."""
    TIMER.settle()
    close_stock()
    release()
    KEEPER.release()


def _fds() -> dict[int, Identity]:
    found: dict[int, Identity] = {}
    for name in os.listdir(_FD):  # noqa: PTH208 - the names alone, the cheapest way
        fd = int(name)
        known = identity(fd)
        if known is not None:  # it was the one that listed
            found[fd] = known
    return found


def identity(fd: int) -> Identity | None:
    """Return which file a descriptor leads to; None if it is closed."""
    try:
        stat = os.fstat(fd)
    except OSError:
        return None
    return stat.st_ino, stat.st_dev


_HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


def child_pids() -> set[int]:
    """Return the children of this process, without helpers that multiprocessing keeps for good."""
    try:
        tree = family()
    except (OSError, NotImplementedError):
        return set()
    return {
        each.pid
        for each in tree
        if each.depth == 1 and not any(helper in each.command for helper in _HELPERS)
    }
