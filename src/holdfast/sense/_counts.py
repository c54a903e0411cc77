"""How many descriptors and threads there are, as the sizes and links of folders in ``/proc`` say.

Linux 6.2 and later give the number of open descriptors as the size of ``/proc/PID/fd``: one system
call whatever the number. Each thread is a folder in ``/proc/PID/task`` and adds one link to it. Both
are compared with a listing once before they are believed.
"""

import os
from collections.abc import Callable

__all__ = ("entries", "fds_by_size", "links_are_threads", "size_is_fds", "threads_by_links")

FD = "/proc/self/fd"
TASK = "/proc/self/task"

_TRIES = 3
# "." and ".." are two of a folder's links.
_OWN_LINKS = 2


def entries(folder: str) -> int | None:
    """Return how many entries a folder has, or None if it can't be listed."""
    try:
        return len(os.listdir(folder))  # noqa: PTH208 - the names alone, the cheapest way
    except OSError:
        return None


def fds_by_size(found: os.stat_result) -> int:
    """Return the number of descriptors that a ``stat`` of ``/proc/PID/fd`` tells."""
    return found.st_size


def threads_by_links(found: os.stat_result) -> int:
    """Return the number of threads that a ``stat`` of ``/proc/PID/task`` tells."""
    return found.st_nlink - _OWN_LINKS


def size_is_fds() -> bool:
    """Whether this kernel gives the number of descriptors as a size; compared once."""
    # The listing has one more: the descriptor through which it is made.
    return _believed(FD, fds_by_size, listing=1)


def links_are_threads() -> bool:
    """Whether this kernel gives the number of threads as links; compared once."""
    return _believed(TASK, threads_by_links, listing=0)


# What has been compared, by folder: a property of the kernel, which does not change.
_known: dict[str, bool] = {}


def _believed(folder: str, told: Callable[[os.stat_result], int], *, listing: int) -> bool:
    known = _known.get(folder)
    if known is not None:
        return known
    try:
        plausible = told(os.stat(folder)) > 0  # noqa: PTH116 - half the cost of Path.stat
    except OSError:
        return False
    try:
        known = _known[folder] = plausible and _agrees(folder, told, listing)
    except OSError:  # no descriptor is left to list it with: compared another time
        return plausible
    return known


def _agrees(folder: str, told: Callable[[os.stat_result], int], listing: int) -> bool:
    """Whether what is told stands with a listing made in between; others may open and close."""
    for _ in range(_TRIES):
        before = told(os.stat(folder))  # noqa: PTH116 - half the cost of Path.stat
        listed = len(os.listdir(folder)) - listing  # noqa: PTH208 - the cheapest way
        after = told(os.stat(folder))  # noqa: PTH116 - as above
        churn = listed // 50
        if min(before, after) - churn <= listed <= max(before, after) + churn:
            return True
    return False
