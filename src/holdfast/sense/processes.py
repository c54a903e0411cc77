"""Processes: this one with all that it started, and what bounds them.

A process is at least one task to the kernel, so the limits are those of threads but for the ones of
memory maps and address space, of which each process has its own.
"""

import os

from holdfast.sense._elsewhere import processes_elsewhere
from holdfast.sense._process import Process
from holdfast.sense._task_limits import task_limits
from holdfast.sense._words import whole
from holdfast.sense.reading import Reading, narrowest

__all__ = ("process_bound", "process_readings")


def process_readings(pid: int | None = None, *, root: str = "/") -> tuple[Reading, ...]:
    """Return how many processes there are from this one downwards, and every limit on them.

    May be called from any thread. Arguments, cost and errors as :func:`thread_readings`; a child
    that has left its parent (a daemon) is not counted.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` and ``sys`` are.

    Returns:
        The process with all its descendants first, then the limits, which count threads as well.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: The process hides itself from this user.
    """
    process = Process(pid, root)
    if not process.linux:
        return processes_elsewhere(process)
    return (_own(process), *task_limits(process, "processes"))


def process_bound(pid: int | None = None, *, root: str = "/") -> Reading:
    """Return how many processes this one and its descendants may be, by the tightest limit.

    May be called from any thread. Each thread that a new process starts counts as well: what is
    left is enough for so many processes of one thread.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` and ``sys`` are.

    Returns:
        The processes now as ``value``, how many there may be in all as ``bound``.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: The process hides itself from this user.
    """
    own, *limits = process_readings(pid, root=root)
    return narrowest(own, limits)


def _own(process: Process) -> Reading:
    first = "self" if process.own else str(process.pid)
    found: set[int] = set()
    unread = [first]
    try:
        process.read("status")
        while unread:
            children = _children(process, unread.pop()) - found
            found |= children
            unread += [str(child) for child in children]
    except OSError as error:
        if not process.own:
            raise
        return Reading("processes", None, "processes", note=error.strerror or "")
    return Reading("processes", 1 + len(found), "processes")


def _children(process: Process, pid: str) -> set[int]:
    """The kernel keeps them by the thread that started them; a process that has ended has none."""
    folder = f"/proc/{pid}/task"
    try:
        threads = os.listdir(f"{process.root}{folder}")  # noqa: PTH208 - the cheapest way
    except OSError:
        return set()
    texts = (process.machine(f"{folder}/{thread}/children") or "" for thread in threads)
    return {child for text in texts for word in text.split() if (child := whole(word)) is not None}
