"""A mark in the environment of a tree's root, which all that it starts inherits.

Parent links and sessions find what has stayed. A process that has left its session and lost its
parent (a daemon) is found by the mark, which it got from whoever started it and which the kernel
shows in ``/proc/PID/environ`` as it was when its program began.

A mark is a path: a marked process that marks what it starts adds to its own. So the outer tree holds
the inner ones. What clears its environment, or writes over the memory where it stands (programs that
change their title do), has lost its mark.
"""

import itertools
import os
from collections.abc import Mapping
from typing import Final

__all__ = ("MARK", "mark_environment", "marks_of", "new_mark", "owner_mark")

MARK: Final = "HOLDFAST_TREE"
_PREFIX: Final = MARK.encode() + b"="
_numbers = itertools.count(1)
_owner: tuple[int, str] = (0, "")


def owner_mark() -> str:
    """Return what the marks of this process begin with, and nobody else's do."""
    global _owner  # noqa: PLW0603 - the process's own
    pid, owner = _owner
    if pid != os.getpid():  # the first time, or the first time after a fork
        pid, owner = _owner = os.getpid(), os.urandom(8).hex()
    return owner


def new_mark() -> str:
    """Return a mark for one tree."""
    return f"{owner_mark()}.{next(_numbers)}"


def mark_environment(environment: Mapping[str, str], mark: str) -> dict[str, str]:
    """Return ``environment`` with ``mark`` below the mark of this process, if it bears one."""
    above = os.environ.get(MARK)
    return {**environment, MARK: f"{above}/{mark}" if above else mark}


def marks_of(pid: int) -> list[bytes]:
    """Return the marks with which the process's program was started, outermost first.

    None also where the environment can't be read: another user's process, or one that has ended.

    Raises:
        OSError: No descriptor is left for reading it.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:  # noqa: PTH123 - on a hot way
            text = file.read()
    except (PermissionError, FileNotFoundError, ProcessLookupError):
        return []
    if not text or _PREFIX not in text:
        return []
    return [
        mark
        for line in text.split(b"\0")
        if line.startswith(_PREFIX)
        for mark in line.removeprefix(_PREFIX).split(b"/")
    ]
