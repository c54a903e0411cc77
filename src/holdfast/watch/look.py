"""Everything that one look at a process tells, as one record: what findings are made of."""

import errno
from dataclasses import dataclass, replace
from typing import Final

from holdfast._core import check, clock
from holdfast.sense._process import Process
from holdfast.sense.descriptor_kinds import Descriptor, open_descriptors
from holdfast.sense.descriptors import descriptor_readings
from holdfast.sense.memory import memory_readings, pss_bytes
from holdfast.sense.open_modes import appending
from holdfast.sense.overview import Bounds, bounds
from holdfast.sense.pressure import Pressure, read_pressure
from holdfast.sense.process_tree import ProcessState, family
from holdfast.sense.reading import Reading
from holdfast.sense.thread_list import ThreadState, list_threads
from holdfast.watch._words import tallied

__all__ = ("PASSING", "Look", "confirmed", "look", "look_once", "passing")

PASSING: Final = frozenset({"CLOSE_WAIT", "SYN_SENT", "LAST_ACK", "FIN_WAIT1", "CLOSING"})
"""States that a healthy connection leaves within moments."""

# Of a path that is open so many times it is worth knowing whether it is written.
_OFTEN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a process holds and may hold at one moment.

    Attributes:
        process: Its name, command and state.
        own: Whether it is this process.
        bounds: For each resource what is held, against the tightest limit.
        resident: Its own memory.
        proportional: The same with its part of what it shares.
        memory: Every limit on memory, with what its scope holds.
        hard_descriptors: As far as the limit of descriptors may be raised; None without an end.
        descriptors: Every open one.
        appending: The numbers of those among often opened paths that only write or append.
        threads: Every thread.
        family: The process with all its descendants, itself first.
        pressure: Stalls for want of CPU, disk, memory.
        lasting: What was in a passing state at a second look as well, by :func:`passing`; None if there
            was no second look.
    """

    process: ProcessState
    own: bool
    bounds: Bounds
    resident: Reading
    proportional: Reading
    memory: tuple[Reading, ...]
    hard_descriptors: int | None
    descriptors: tuple[Descriptor, ...]
    appending: frozenset[int]
    threads: tuple[ThreadState, ...]
    family: tuple[ProcessState, ...]
    pressure: tuple[Pressure, ...]
    lasting: frozenset[str] | None = None

    @property
    def children(self) -> tuple[ProcessState, ...]:
        """All descendants."""
        return self.family[1:]

    def lasts(self, key: str) -> bool:
        """Whether something in a passing state was there at each look.

        Args:
            key: Its name, as :func:`passing` gives it.
        """
        return self.lasting is None or key in self.lasting


def look(pid: int | None = None, *, confirm_s: float = 0.0, root: str = "/") -> Look:
    """Read everything about a process once; what is only passing, twice.

    May be called from any thread. Some milliseconds, and more for each descriptor and thread.

    Args:
        pid: The process; None is this one.
        confirm_s: Connections and children in a state that a healthy program soon leaves are looked
            at again after so many seconds, if there are any; 0 and no second look is the default.
        root: The folder in which ``proc`` and ``sys`` are.

    Raises:
        ProcessLookupError: There is no process ``pid``, or it can't be seen.
        PermissionError: It belongs to another user; the message says what to do.
        NotImplementedError: This is not Linux, and psutil is not installed.
    """
    pause_s = check.seconds("confirm_s", confirm_s, zero=True) or 0.0
    found = look_once(pid, root=root)
    if not pause_s or not passing(found):
        return found
    clock.sleep(pause_s)
    return confirmed(found, root=root)


def confirmed(found: Look, *, root: str = "/") -> Look:
    """Look again at what was in a passing state, and note what still is.

    Args:
        found: An earlier look.
        root: The folder in which ``proc`` and ``sys`` are.

    Returns:
        The same look with ``lasting``; without it if the process has ended or hides itself meanwhile.
    """
    pid = None if found.own else found.process.pid
    try:
        again = replace(
            found,
            descriptors=open_descriptors(pid, root=root),
            family=family(pid, root=root),
            threads=list_threads(pid, root=root),
        )
    except OSError:
        return found
    return replace(found, lasting=passing(found) & passing(again))


def passing(found: Look) -> frozenset[str]:
    """Name what is in a state that a healthy program leaves within moments.

    Returns:
        Sockets by their inode, zombies by ``"zombie PID"``, threads in ``D`` by ``"disk TID"``.
    """
    sockets = (
        each.target for each in found.descriptors if each.socket and each.socket.state in PASSING
    )
    zombies = (f"zombie {each.pid}" for each in found.children if each.state == "Z")
    stuck = (f"disk {each.tid}" for each in found.threads if each.state == "D")
    return frozenset((*sockets, *zombies, *stuck))


def look_once(pid: int | None = None, *, root: str = "/") -> Look:
    """Read everything about a process, without a second look. Arguments and errors as :func:`look`.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` and ``sys`` are.
    """
    tree = family(pid, root=root)
    if tree[0].state == "Z":
        told = (
            f"process {tree[0].pid} has ended, and its parent {tree[0].parent} has not asked how: nothing"
            f" is left of it to look at; look at the parent"
        )
        raise ProcessLookupError(errno.ESRCH, told)
    descriptors = open_descriptors(pid, root=root)
    paths = tallied(each.target for each in descriptors if each.kind == "file")
    often = [each.fd for each in descriptors if paths.get(each.target, 0) >= _OFTEN]
    memory = memory_readings(pid, root=root)
    return Look(
        process=tree[0],
        own=Process(pid, root).own,
        bounds=bounds(pid, root=root),
        resident=memory[0],
        proportional=_proportional(pid, root),
        memory=memory[1:],
        hard_descriptors=_hard(pid, root),
        descriptors=descriptors,
        appending=appending(often, pid, root=root),
        threads=list_threads(pid, root=root),
        family=tree,
        pressure=read_pressure(pid, root=root),
    )


def _proportional(pid: int | None, root: str) -> Reading:
    try:
        return pss_bytes(pid, root=root)
    except ProcessLookupError:  # a thread of the kernel, which has no memory of its own
        return Reading("proportional memory", None, "bytes", note="it has no memory of its own")


def _hard(pid: int | None, root: str) -> int | None:
    """The hard limit and the machine's own: the lower one holds."""
    limits = descriptor_readings(pid, root=root)
    found = [each.bound for each in limits if each.source in {"hard RLIMIT_NOFILE", "fs.nr_open"}]
    known = [int(each) for each in found if each is not None]
    return min(known, default=None)
