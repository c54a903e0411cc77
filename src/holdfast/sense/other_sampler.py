"""What another process holds now, for a few system calls.

Guarantees: it is always the same process that is read: once it has ended, a later one with its number
is not taken for it.
"""

import errno
import os
from typing import Any

from holdfast.sense._counts import fds_by_size, size_is_fds
from holdfast.sense._process import Process
from holdfast.sense._psutil import ask
from holdfast.sense._words import nth, whole
from holdfast.sense.sampler import Sample

__all__ = ("OtherSampler",)

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# Fields of /proc/PID/stat after the name.
_STATE, _UTIME, _STIME, _THREADS, _STARTED, _RSS = 0, 11, 12, 17, 19, 21


class OtherSampler:
    """Takes samples of a process from outside. May be used from any thread; nothing is kept open.

    Args:
        pid: The process.
        root: The folder in which ``proc`` is.

    Raises:
        ProcessLookupError: There is no process ``pid``, or it can't be seen.
        NotImplementedError: This is not Linux, and psutil is not installed.

    Example:
        >>> import os
        >>> OtherSampler(os.getppid()).sample().threads >= 1
        True
    """

    def __init__(self, pid: int, *, root: str = "/") -> None:
        self._process = Process(pid, root)
        self._started = self._identity()

    def sample(self) -> Sample:
        """Return what the process holds now; its descriptors are None if they may not be read.

        Raises:
            ProcessLookupError: It has ended.
        """
        if not self._process.linux:
            return ask(self._process, _asked)
        words = self._stat()
        if words[_STATE] in {"Z", "X"} or nth(words, _STARTED) != self._started:
            raise self._ended()
        ticks = (whole(nth(words, _UTIME)) or 0) + (whole(nth(words, _STIME)) or 0)
        pages = whole(nth(words, _RSS))
        return Sample(
            self._count_fds(),
            whole(nth(words, _THREADS)),
            None if pages is None else pages * _PAGE_BYTES,
            ticks / _TICKS_A_SECOND,
        )

    def kept(self) -> tuple[int, ...]:
        """Return the descriptors of the process that are this sampler's: none."""
        return ()

    def close(self) -> None:
        """Do nothing: nothing is kept open."""

    def _identity(self) -> str | None:
        if not self._process.linux:
            return str(ask(self._process, lambda it: it.create_time()))
        words = self._stat()
        if words[_STATE] in {"Z", "X"}:
            raise self._ended()
        return nth(words, _STARTED)

    def _stat(self) -> list[str]:
        # The name stands in brackets and may hold any others.
        return self._process.read("stat").rpartition(")")[2].split()

    def _ended(self) -> ProcessLookupError:
        return ProcessLookupError(errno.ESRCH, f"process {self._process.pid} has ended")

    def _count_fds(self) -> int | None:
        folder = f"{self._process.folder}/fd"
        try:
            if self._process.real and size_is_fds():
                return fds_by_size(os.stat(folder))  # noqa: PTH116 - half the cost of Path.stat
            return len(os.listdir(folder))  # noqa: PTH208 - the names alone, the cheapest way
        except OSError:
            return None


def _asked(it: Any) -> Sample:
    """What psutil tells of a process."""
    times = it.cpu_times()
    return Sample(it.num_fds(), it.num_threads(), it.memory_info().rss, times.user + times.system)
