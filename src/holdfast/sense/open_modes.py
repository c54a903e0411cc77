"""Which descriptors were opened to write, and which append: what a log file's are."""

import os
import sys
from collections.abc import Iterable

from holdfast.sense._process import Process

if sys.platform != "win32":
    import fcntl

__all__ = ("appending",)

_OCTAL = 8


def appending(fds: Iterable[int], pid: int | None = None, *, root: str = "/") -> frozenset[int]:
    """Return those of ``fds`` that only write, or append: what is written at the end of a log.

    May be called from any thread. Of another process one file is read for each; what can't be read is
    left out.

    Args:
        fds: Descriptors of the process.
        pid: The process; None is this one.
        root: The folder in which ``proc`` is.

    Returns:
        Nothing for another process where there is no ``/proc``.
    """
    process = Process(pid, root)
    if process.own and process.real:
        return frozenset(fd for fd in fds if _own_appends(fd))
    if not process.linux:
        return frozenset()
    return frozenset(fd for fd in fds if _appends(process, fd))


def _appends(process: Process, fd: int) -> bool:
    text = process.machine(f"{process.machine_folder}/fdinfo/{fd}") or ""
    word = f"\n{text}".partition("\nflags:")[2].split(maxsplit=1)
    if not word or not all(digit in "01234567" for digit in word[0]):
        return False
    return _says(int(word[0], _OCTAL))


def _own_appends(fd: int) -> bool:
    """Without a file, so that it works also when no descriptor is left."""
    if sys.platform == "win32":
        return False
    try:
        return _says(fcntl.fcntl(fd, fcntl.F_GETFL))
    except OSError:  # closed meanwhile
        return False


def _says(flags: int) -> bool:
    return flags & os.O_ACCMODE == os.O_WRONLY or bool(flags & os.O_APPEND)
