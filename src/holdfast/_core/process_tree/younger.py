"""A quick look at what was started after a process, for those who look after each call.

The kernel gives numbers in ascending order until it reaches the largest and begins again. As long as
it has not begun again, what is younger than a process has a number between its own and the latest, and
nothing else needs to be read. If those are few they are asked for one by one, and nothing is listed.

Whoever ends before he was looked at may have left a child. So a look counts only if the latest number
was the same before and after it, or if each that was listed could be read while it ran.
"""

import os
from functools import cache
from typing import Final

from holdfast._core.process_tree.table import Proc, Table, list_numbers, read_process, read_table

__all__ = ("read_younger",)

_MOST_FORKS_PER_S: Final = 20_000 * (os.cpu_count() or 64)
"""No machine starts more processes in a second: so long it takes at least to go through all numbers."""

_FEW: Final = 100
_ASKS: Final = 3
_LISTINGS: Final = 20


def read_younger(pid: int, age: float) -> Table | None:
    """Return a reading with every process that ``pid``, which has ended, or its children can have started.

    Threads may be among them, as if they were processes.

    Args:
        pid: A process that has ended and is not reaped.
        age: Seconds since it was started.

    Returns:
        The reading; None if processes come and go so fast that none was complete.

    Raises:
        OSError: No descriptor is left for reading it.
    """
    latest = _latest_since(pid, age)
    for _ in range(_ASKS):
        if latest is None or latest - pid > _FEW:
            break
        found = [proc for number in range(pid, latest + 1) if (proc := read_process(number))]
        before, latest = latest, _latest_since(pid, age)
        if latest == before:
            return Table(found)
    return _listed(pid, age)


def _listed(pid: int, age: float) -> Table | None:
    ended: set[int] = {pid}
    for _ in range(_LISTINGS):
        numbers = list_numbers()
        latest = _latest_since(pid, age)
        if latest is None:
            return read_table()
        found: list[Proc] = []
        missed = False
        for number in numbers:
            if not pid <= number <= latest:
                continue
            proc = read_process(number)
            if proc is not None:
                found.append(proc)
            if (proc is None or proc.ended) and number not in ended:
                missed = True
                ended.add(number)
        if not missed:
            return Table(found)
    return None


def _latest_since(pid: int, age: float) -> int | None:
    """Return the latest number; None if the kernel may have begun again since it gave ``pid``."""
    if age * _MOST_FORKS_PER_S >= _most():
        return None
    latest = int(_read("/proc/loadavg").split()[-1])
    return latest if latest >= pid else None


@cache
def _most() -> int:
    return int(_read("/proc/sys/kernel/pid_max"))


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 256)
    finally:
        os.close(fd)
