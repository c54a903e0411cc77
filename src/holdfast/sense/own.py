"""What this process holds right now: threads, descriptors, memory.

Purpose: a reading cheap enough to take many times a second: about 10 microseconds on Linux
(``benchmarks/bench_sense.py``).
Guarantees: never raises, starts nothing, leaves no descriptor open. A figure that the platform does
not give is None, never a guess.
Assumptions: a Unix. Linux with ``/proc``, macOS with ``/dev/fd``; without them, None.
"""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from holdfast.sense._counts import (
    FD,
    TASK,
    entries,
    fds_by_size,
    links_are_threads,
    size_is_fds,
    threads_by_links,
)
from holdfast.sense._elsewhere import count_dev_fd
from holdfast.sense._process import LINUX
from holdfast.sense._rlimits import own_rlimit
from holdfast.sense._rusage import peak_bytes

__all__ = ("OwnReading", "peak_rss_bytes", "read_own", "read_own_descriptors")

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


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

    May be called from any thread. Takes about 10 microseconds on Linux 6.2 and later; on older
    kernels and on macOS the descriptors are listed, which costs more the more there are.

    Returns:
        One frozen record, each figure read a moment after the other.

    Example:
        >>> read_own().threads >= 1
        True
    """
    return OwnReading(_threads(), _fds(), _fd_limit(), _rss_bytes())


def read_own_descriptors() -> tuple[int | None, int | None]:
    """Read how many descriptors are open, and the most there may be (the soft limit).

    May be called from any thread, and needs no descriptor on Linux 6.2 and later: two system calls.

    Returns:
        Each None where it is not available or, the limit, where there is none.
    """
    return _fds(), _fd_limit()


def peak_rss_bytes() -> int | None:
    """Most resident memory that this process has had so far, or None where nobody counts it.

    On Linux it is the program's own peak. ``getrusage`` would also show what the parent held when
    it started this program, which is why it is only the second choice.
    """
    if LINUX:
        try:
            status = Path("/proc/self/status").read_bytes()
        except OSError:
            return peak_bytes()
        _, found, rest = status.partition(b"\nVmHWM:")
        if found:
            return int(rest.split(maxsplit=1)[0]) * 1024
    return peak_bytes()


def _threads() -> int | None:
    if not LINUX:
        return threading.active_count()
    try:
        if links_are_threads():
            return threads_by_links(os.stat(TASK))  # noqa: PTH116 - half the cost of Path.stat
    except OSError:
        return threading.active_count()
    return entries(TASK) or threading.active_count()


def _fds() -> int | None:
    if not LINUX:
        return count_dev_fd()
    try:
        if size_is_fds():
            return fds_by_size(os.stat(FD))  # noqa: PTH116 - half the cost of Path.stat
    except OSError:
        return None
    listed = entries(FD)
    return None if listed is None else listed - 1  # less the one that lists


def _fd_limit() -> int | None:
    limit = own_rlimit("RLIMIT_NOFILE")
    return None if limit is None else limit.soft


def _rss_bytes() -> int | None:
    if not LINUX:
        return peak_bytes()
    try:
        with open("/proc/self/statm", "rb", buffering=0) as statm:  # noqa: PTH123 - half the cost of Path.open
            return int(statm.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return peak_bytes()
