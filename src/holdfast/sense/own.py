"""What this process holds right now: threads, descriptors, memory.

Purpose: a reading cheap enough to take many times a second (about 15 microseconds on Linux).
Guarantees: never raises, starts nothing, leaves no descriptor open. A figure that the platform does
not give is None, never a guess.
Assumptions: a Unix. Linux with ``/proc``, macOS with ``/dev/fd``; without them, None.
"""

import os
import resource
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

__all__ = ("OwnReading", "peak_rss_bytes", "read_own")

_LINUX = sys.platform.startswith("linux")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# getrusage counts kilobytes on Linux and bytes on macOS.
_MAXRSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class OwnReading:
    """One reading of this process; None means that the figure is not available here.

    Attributes:
        threads: Threads of the process. On Linux all of them, those that Python did not start
            included; elsewhere those that Python knows of.
        fds: Open descriptors: files, sockets, pipes.
        fd_limit: Most descriptors the process may open (the soft limit); None also where there is
            no limit.
        rss_bytes: Resident memory. Where the platform shows only its peak (macOS), that peak.
    """

    threads: int | None
    fds: int | None
    fd_limit: int | None
    rss_bytes: int | None


def read_own() -> OwnReading:
    """Read what this process holds now.

    May be called from any thread. Takes about 15 microseconds on Linux 6.2 and later; on older
    kernels and on macOS the descriptors are listed, which costs more the more there are.

    Returns:
        One frozen record, each figure read a moment after the other.

    Example:
        >>> read_own().threads >= 1
        True
    """
    return OwnReading(_threads(), _fds(), _fd_limit(), _rss_bytes())


def peak_rss_bytes() -> int | None:
    """Most resident memory that this process has had so far, or None where nobody counts it.

    On Linux it is the program's own peak. ``getrusage`` would also show what the parent held when
    it started this program, which is why it is only the second choice.
    """
    if _LINUX:
        try:
            status = Path("/proc/self/status").read_bytes()
        except OSError:
            return _maxrss_bytes()
        _, found, rest = status.partition(b"\nVmHWM:")
        if found:
            return int(rest.split(maxsplit=1)[0]) * 1024
    return _maxrss_bytes()


def _threads() -> int | None:
    if _LINUX:
        try:
            # Each thread is a directory in there and adds one link; "." and ".." are the other two.
            linked = Path("/proc/self/task").stat().st_nlink - 2
            return linked if linked > 0 else _entries("/proc/self/task")
        except OSError:
            return threading.active_count()
    return threading.active_count()


def _fds() -> int | None:
    if not _LINUX:
        listed = _entries("/dev/fd")
        return None if listed is None else listed - 1  # the listing itself holds one
    try:
        # Linux 6.2 and later give their number as the directory's size; before that it is 0.
        size = Path("/proc/self/fd").stat().st_size
    except OSError:
        return None
    if size > 0:
        return size
    listed = _entries("/proc/self/fd")
    return None if listed is None else listed - 1


def _entries(folder: str) -> int | None:
    try:
        return len(os.listdir(folder))  # noqa: PTH208 - the names alone, the cheapest way
    except OSError:
        return None


def _fd_limit() -> int | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _rss_bytes() -> int | None:
    if not _LINUX:
        return _maxrss_bytes()
    try:
        with open("/proc/self/statm", "rb", buffering=0) as statm:  # noqa: PTH123 - half the cost of Path.open
            return int(statm.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return _maxrss_bytes()


def _maxrss_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT_BYTES
