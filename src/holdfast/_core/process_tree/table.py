"""The processes of this machine, as the kernel lists them: one reading, shared by all who need one.

Purpose: say who is whose child, in which session, and whether a number still means the same process.
Guarantees: never raises for a process that ends meanwhile; a process is told apart from a later one
of the same number by its start time.
Assumptions: Linux with a ``/proc`` of this process's own namespace. Elsewhere :data:`HAS_TABLE` is
False and there is none to read.

A reading is not one moment: a process that forks and ends meanwhile can hide its child from it. Who
must be sure reads twice.
"""

import math
import os
import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from holdfast._core import clock
from holdfast._core.process_tree.mark import marks_of

__all__ = ("HAS_TABLE", "Proc", "Table", "list_numbers", "own_table", "read_process", "table_since")


_CHASES: Final = 50
"""Most listings in one reading."""


class Proc(NamedTuple):
    """One process.

    Attributes:
        pid: Its number.
        started: When it started, in the kernel's ticks since boot.
        parent: The number of its parent.
        group: Its process group.
        session: Its session.
        ended: Whether it has ended and only waits for being reaped.
    """

    pid: int
    started: int
    parent: int
    group: int
    session: int
    ended: bool

    @property
    def identity(self) -> tuple[int, int]:
        """What no other process has, before or after."""
        return self.pid, self.started


class Table:
    """All processes at about one moment, by number, parent, session and mark. Not to be changed.

    Args:
        procs: The processes.
        complete: Whether each that was listed could be read. One that had ended before that may have
            left a child that was not listed.
    """

    def __init__(self, procs: Iterable[Proc], *, complete: bool = True) -> None:
        self.complete = complete
        self.procs = {proc.pid: proc for proc in procs}
        self.children: dict[int, list[Proc]] = defaultdict(list)
        self.sessions: dict[int, list[Proc]] = defaultdict(list)
        for proc in self.procs.values():
            self.children[proc.parent].append(proc)
            self.sessions[proc.session].append(proc)
        self._lock = threading.Lock()
        self._marks: dict[bytes, list[Proc]] = defaultdict(list)
        self._looked_since = math.inf

    def marked(self, mark: bytes, since: int) -> list[Proc]:
        """Return orphans that bear ``mark``, of those that started at ``since`` or later.

        What still has a parent of its own age is found by its parent: whoever adopts an orphan is
        older than the trees. Each environment is read once, whoever asks.
        """
        with self._lock:
            if since < self._looked_since:
                for proc in self.procs.values():
                    if since <= proc.started < self._looked_since and self._may_be_orphan(
                        proc, since
                    ):
                        for one in marks_of(proc.pid):
                            self._marks[one].append(proc)
                self._looked_since = since
            return self._marks.get(mark, [])

    def _may_be_orphan(self, proc: Proc, since: int) -> bool:
        parent = self.procs.get(proc.parent)
        return not proc.ended and (since <= 0 or parent is None or parent.started < since)

    def owned(self, owner: bytes) -> set[bytes]:
        """Return all marks that ``owner`` gave and a process of this machine still bears."""
        self.marked(b"", 0)
        return {mark for mark in self._marks if mark.rpartition(b".")[0] == owner}


def own_table() -> bool:
    """Whether there is a ``/proc`` that shows the processes as this process numbers them."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())  # noqa: PTH115 - no object for a word
    except OSError:
        return False


HAS_TABLE: Final = own_table()


def read_process(pid: int) -> Proc | None:
    """Return the process ``pid``, or None if there is none."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        text = os.read(fd, 1024)
    except ProcessLookupError:
        return None
    finally:
        os.close(fd)
    return parse_stat(pid, text)


def parse_stat(pid: int, text: bytes) -> Proc:
    """Return what ``/proc/PID/stat`` says; the name in it may hold spaces and brackets."""
    words = text[text.rindex(b")") + 2 :].split(maxsplit=20)
    # A process whose first thread has ended shows as a zombie while its other threads still run.
    ended = words[0] in {b"Z", b"X"} and int(words[17]) <= 1
    return Proc(
        pid=pid,
        started=int(words[19]),
        parent=int(words[1]),
        group=int(words[2]),
        session=int(words[3]),
        ended=ended,
    )


def read_table() -> Table:
    """Read all processes that this one can see.

    What appears meanwhile is read too, at once: so what forks and ends all the time is seen in between.

    Raises:
        OSError: No descriptor is left for reading it.
    """
    found: dict[int, Proc | None] = {}
    for _ in range(_CHASES):
        unknown = [number for number in list_numbers() if number not in found]
        if not unknown:
            break
        for number in unknown:
            found[number] = read_process(number)
    procs = [proc for proc in found.values() if proc is not None]
    return Table(procs, complete=len(procs) == len(found))


def list_numbers() -> list[int]:
    """Return the numbers of all processes that there are, ascending as far as the kernel lists them so."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - the cheapest way


class _Shared:
    """The latest reading. Who comes while one is taken waits for it and, if it is new enough, shares it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.begun = -1.0
        self.table = Table(())


_shared = _Shared()
_time = clock.SystemClock()


def table_since(moment: float) -> Table:
    """Return a reading that began at ``moment`` (of the system's clock) or later; not to be changed.

    A hundred trees that end at once are ended with a few readings between them.

    Raises:
        OSError: No descriptor is left for reading it.
    """
    with _shared.lock:
        if _shared.begun < moment:
            begun = _time.now()
            _shared.table = read_table()
            _shared.begun = begun
        return _shared.table


def after_fork() -> None:
    """Start clean in a child: the lock may have been held by a thread that is not here."""
    global _shared  # noqa: PLW0603 - the process's own
    _shared = _Shared()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=after_fork)
