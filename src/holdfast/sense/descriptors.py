"""Descriptors: how many are open, and what bounds them.

The soft RLIMIT_NOFILE is what binds nearly always ("Too many open files"); the hard one is how far
it can be raised (:func:`holdfast.sense.raise_fd_limit`), ``fs.nr_open`` how far that one can be, and
``fs.file-max`` bounds the open files of all programs together.
"""

import os

from holdfast.sense._counts import fds_by_size, size_is_fds
from holdfast.sense._elsewhere import descriptors_elsewhere
from holdfast.sense._privilege import privilege
from holdfast.sense._process import Process
from holdfast.sense._rlimits import rlimit
from holdfast.sense._words import nth, whole
from holdfast.sense.reading import Reading, narrowest

__all__ = ("descriptor_bound", "descriptor_readings")

NAME = "descriptors"


def descriptor_readings(pid: int | None = None, *, root: str = "/") -> tuple[Reading, ...]:
    """Return how many descriptors are open, against each limit on them.

    May be called from any thread. On Linux 6.2 and later the count is one system call; on older
    kernels and elsewhere the descriptors are listed, which costs more the more there are.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` and ``sys`` are.

    Returns:
        The soft limit first. What can't be read here has the value None and a note that says why.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: The process hides itself from this user.
    """
    process = Process(pid, root)
    if not process.linux:
        return descriptors_elsewhere(process)
    limit = rlimit(process, "RLIMIT_NOFILE")
    held, note = _count(process)
    nr_open = process.machine_number("/proc/sys/fs/nr_open")
    soft, hard = (None, None) if limit is None else (limit.soft, limit.hard)
    own = [(soft, "soft RLIMIT_NOFILE"), (hard, "hard RLIMIT_NOFILE"), (nr_open, "fs.nr_open")]
    readings = [Reading(NAME, held, NAME, bound, told, note=note) for bound, told in own]
    return (*readings, _machine(process))


def descriptor_bound(pid: int | None = None, *, root: str = "/") -> Reading:
    """Return how many descriptors the process may have, by the tightest of all limits.

    May be called from any thread.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` and ``sys`` are.

    Returns:
        The open descriptors as ``value``, how many there may be in all as ``bound``.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: The process hides itself from this user.
    """
    own, *limits = descriptor_readings(pid, root=root)
    return narrowest(own, limits)


def _count(process: Process) -> tuple[int | None, str]:
    folder = f"{process.folder}/fd"
    if process.real and size_is_fds():
        try:
            return fds_by_size(os.stat(folder)), ""  # noqa: PTH116 - half the cost of Path.stat
        except OSError as error:
            return None, process.explain(error, "fd").strerror or ""
    try:
        listed = len(os.listdir(folder))  # noqa: PTH208 - the names alone, the cheapest way
    except OSError as error:
        return None, process.explain(error, "fd").strerror or ""
    return listed - int(process.own and process.real), ""  # less the one that lists


def _machine(process: Process) -> Reading:
    """``file-nr`` is: open files, free ones, the most there may be."""
    words = (process.machine("/proc/sys/fs/file-nr") or "").split()
    held, most = whole(nth(words, 0)), whole(nth(words, 2))
    note = "" if held is not None else "/proc/sys/fs/file-nr does not tell"
    reading = Reading(NAME, held, NAME, most, "fs.file-max", "machine", note)
    try:
        exempt = privilege(process).files_exempt
    except OSError:
        exempt = False
    if not exempt or most is None:
        return reading
    note = f"the kernel does not hold a process with CAP_SYS_ADMIN to the limit of {most:,}"
    return Reading(NAME, held, NAME, None, "fs.file-max", "machine", note)
