"""A quick look at what was started after a process, for those who look after each call.

The kernel gives numbers in ascending order until it reaches the largest and begins again. As long as
it has not begun again, what is younger than a process has a larger number, and nothing else needs to
be read.
"""

import os
from typing import Final

from holdfast._core.process_tree.table import Proc, Table, list_numbers, read_process, read_table

__all__ = ("read_younger",)

_MOST_FORKS_PER_S: Final = 20_000 * (os.cpu_count() or 64)
"""No machine starts more processes in a second: so long it takes at least to go through all numbers."""

_ROUNDS: Final = 20


def read_younger(pid: int, age: float) -> Table | None:
    """Return a reading with every process that ``pid``, which has ended, or its children can have started.

    One that was listed and ended before it was looked at may have left a child that was not listed:
    then the reading is taken again.

    Args:
        pid: A process that has ended and is not reaped.
        age: Seconds since it was started.

    Returns:
        The reading; None if processes come and go so fast that none was complete.
    """
    ended: set[int] = {pid}
    for _ in range(_ROUNDS):
        if not _ascending_since(pid, age):
            return read_table()
        found: list[Proc] = []
        missed = False
        for number in list_numbers():
            if number < pid:
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


def _ascending_since(pid: int, age: float) -> bool:
    """Whether the kernel has surely not begun again with small numbers since it gave ``pid``."""
    if age * _MOST_FORKS_PER_S >= int(_read("/proc/sys/kernel/pid_max")):
        return False
    return int(_read("/proc/loadavg").split()[-1]) >= pid


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 256)
    finally:
        os.close(fd)
