"""Which descriptors were opened to write, and which append: what a log file's are."""

import os
from collections.abc import Iterable

from holdfast.sense._process import Process

__all__ = ("appending",)

_OCTAL = 8


def appending(fds: Iterable[int], pid: int | None = None, *, root: str = "/") -> frozenset[int]:
    """Return those of ``fds`` that only write, or append: what is written at the end of a log.

    May be called from any thread. One file is read for each; what can't be read is left out.

    Args:
        fds: Descriptors of the process.
        pid: The process; None is this one.
        root: The folder in which ``proc`` is.

    Returns:
        Nothing where there is no ``/proc``.
    """
    process = Process(pid, root)
    if not process.linux:
        return frozenset()
    return frozenset(fd for fd in fds if _appends(process, fd))


def _appends(process: Process, fd: int) -> bool:
    text = process.machine(f"{process.machine_folder}/fdinfo/{fd}") or ""
    word = f"\n{text}".partition("\nflags:")[2].split(maxsplit=1)
    if not word or not all(digit in "01234567" for digit in word[0]):
        return False
    flags = int(word[0], _OCTAL)
    return flags & os.O_ACCMODE == os.O_WRONLY or bool(flags & os.O_APPEND)
