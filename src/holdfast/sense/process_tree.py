"""A process and all that it has started: names, states, sizes."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from holdfast.sense._process import Process
from holdfast.sense._psutil import ask, psutil
from holdfast.sense._words import nth, whole

__all__ = ("ProcessState", "family", "process_state")

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# Fields of /proc/PID/stat after the name, which is the second: see proc(5).
_STATE, _PARENT, _THREADS, _PAGES = 0, 1, 17, 21


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One process.

    Attributes:
        pid: Its number.
        parent: The number of the process that it belongs to now.
        name: What the kernel calls it: at most 15 characters of its program's name.
        command: Its arguments with spaces between; empty for one that has ended.
        state: The kernel's letter, as in :class:`~holdfast.sense.ThreadState`; ``"Z"`` has ended, and
            its parent has not asked for its exit code.
        threads: How many it has; None where nobody tells.
        rss_bytes: What it holds of memory; None where nobody tells.
        depth: 0 for the first, 1 for its children, and so on.
    """

    pid: int
    parent: int | None
    name: str
    command: str
    state: str
    threads: int | None = None
    rss_bytes: int | None = None
    depth: int = 0


def process_state(pid: int | None = None, *, root: str = "/") -> ProcessState:
    """Return what the system tells of one process.

    May be called from any thread.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` is.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: The process hides itself from this user.
        NotImplementedError: This is not Linux, and psutil is not installed.
    """
    process = Process(pid, root)
    if not process.linux:
        return ask(process, lambda it: _by_psutil(it, 0))
    try:
        return _parse(process, process.read("stat"), 0)
    except OSError:
        if not process.own:
            raise
        # No descriptor is left to read it with: what needs none.
        return ProcessState(process.pid, os.getppid(), "", " ".join(sys.argv), "R")


def family(pid: int | None = None, *, root: str = "/") -> tuple[ProcessState, ...]:
    """Return a process with all its descendants: each followed by its children.

    May be called from any thread. A descendant that has left its parent (a daemon) is not found, and
    one that ends meanwhile is told or not.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` is.

    Returns:
        The process itself first.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: The process hides itself from this user.
        NotImplementedError: This is not Linux, and psutil is not installed.

    Example:
        >>> family()[0].depth
        0
    """
    process = Process(pid, root)
    if not process.linux:
        return ask(process, lambda it: tuple(_descend(it)))
    first = process_state(pid, root=root)
    return tuple(_with_children(process, first, set()))


def _with_children(
    process: Process, parent: ProcessState, seen: set[int]
) -> Iterator[ProcessState]:
    """From the top down with a stack of its own: a chain of processes can be longer than Python's."""
    left = [parent]
    while left:
        each = left.pop()
        if each.pid in seen:
            continue
        seen.add(each.pid)
        yield each
        children = (_child(process, pid, each.depth + 1) for pid in _children(process, each.pid))
        left += reversed([child for child in children if child is not None])


def _child(process: Process, pid: int, depth: int) -> ProcessState | None:
    other = Process(pid, process.root or "/")
    try:
        return _parse(other, other.read("stat"), depth)
    except OSError:
        return None


def _children(process: Process, pid: int) -> list[int]:
    """The kernel keeps them by the thread that started them; a process that has ended has none."""
    folder = f"/proc/{pid}/task"
    try:
        threads = os.listdir(f"{process.root}{folder}")  # noqa: PTH208 - the cheapest way
    except OSError:
        return []
    texts = (process.machine(f"{folder}/{thread}/children") or "" for thread in threads)
    found = [whole(word) for text in texts for word in text.split()]
    return sorted({pid for pid in found if pid is not None})


def _parse(process: Process, text: str, depth: int) -> ProcessState:
    before, _, after = text.rpartition(")")
    words = after.split()
    pages, state = whole(nth(words, _PAGES)), nth(words, _STATE)
    arguments = process.machine(f"{process.machine_folder}/cmdline") or ""
    return ProcessState(
        process.pid,
        whole(nth(words, _PARENT)),
        before.partition("(")[2],
        " ".join(arguments.rstrip("\0").split("\0")),
        state,
        whole(nth(words, _THREADS)),
        None if pages is None else pages * _PAGE_BYTES,
        depth,
    )


def _descend(it: Any) -> Iterator[ProcessState]:
    known = psutil()
    gone: tuple[type[Exception], ...] = () if known is None else (known.Error,)
    left = [(it, 0)]
    while left:
        each, depth = left.pop()
        try:
            yield _by_psutil(each, depth)
            left += [(child, depth + 1) for child in reversed(each.children())]
        except gone:
            if depth == 0:
                raise
            continue  # it has ended meanwhile, or is another user's


_LETTERS = {"running": "R", "sleeping": "S", "disk-sleep": "D", "stopped": "T", "zombie": "Z"}


def _by_psutil(it: Any, depth: int) -> ProcessState:
    state = _LETTERS.get(it.status(), "")
    if state == "Z":
        return ProcessState(it.pid, it.ppid(), it.name(), "", state, depth=depth)
    return ProcessState(
        it.pid,
        it.ppid(),
        it.name(),
        " ".join(it.cmdline()),
        state,
        it.num_threads(),
        it.memory_info().rss,
        depth,
    )
