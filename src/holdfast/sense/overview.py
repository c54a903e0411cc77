"""All bounds of a process, and all readings, in one place."""

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.sense.cpus import cpu_bound, cpu_readings
from holdfast.sense.descriptors import descriptor_bound, descriptor_readings
from holdfast.sense.memory import memory_bound, memory_readings
from holdfast.sense.pressure import pressure_readings
from holdfast.sense.processes import process_bound, process_readings
from holdfast.sense.reading import Reading
from holdfast.sense.threads import thread_bound, thread_readings

__all__ = ("Bounds", "bounds", "readings")


@dataclass(frozen=True, slots=True)
class Bounds:
    """For each resource what is held, against the tightest of all limits on it.

    Attributes:
        threads: See :func:`holdfast.sense.thread_bound`.
        processes: See :func:`holdfast.sense.process_bound`.
        descriptors: See :func:`holdfast.sense.descriptor_bound`.
        memory: See :func:`holdfast.sense.memory_bound`.
        cpus: See :func:`holdfast.sense.cpu_bound`.
    """

    threads: Reading
    processes: Reading
    descriptors: Reading
    memory: Reading
    cpus: Reading

    def __iter__(self) -> Iterator[Reading]:
        return iter((self.threads, self.processes, self.descriptors, self.memory, self.cpus))


def bounds(pid: int | None = None, *, root: str = "/") -> Bounds:
    """Return what a process may hold: the tightest limit of each resource, and what is left of it.

    May be called from any thread. Some milliseconds: for start-up, and for now and then; what
    changes quickly is in :func:`holdfast.sense.sample`.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` and ``sys`` are.

    Returns:
        One reading for each resource. What can't be read here has the value None and a note.

    Raises:
        ProcessLookupError: There is no process ``pid``, or it can't be seen.
        PermissionError: The process hides itself from this user.

    Example:
        >>> [reading.name for reading in bounds()]
        ['threads', 'processes', 'descriptors', 'memory', 'cpus']
    """
    return Bounds(
        thread_bound(pid, root=root),
        process_bound(pid, root=root),
        descriptor_bound(pid, root=root),
        memory_bound(pid, root=root),
        cpu_bound(pid, root=root),
    )


def readings(pid: int | None = None, *, root: str = "/") -> tuple[Reading, ...]:
    """Return every limit on every resource of a process, each with what its scope holds.

    May be called from any thread. Arguments and errors as :func:`bounds`.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` and ``sys`` are.

    Returns:
        Threads, processes, descriptors, memory, CPUs, pressure, in this order.

    Raises:
        ProcessLookupError: There is no process ``pid``, or it can't be seen.
        PermissionError: The process hides itself from this user.
    """
    return (
        *thread_readings(pid, root=root),
        *process_readings(pid, root=root),
        *descriptor_readings(pid, root=root),
        *memory_readings(pid, root=root),
        *cpu_readings(pid, root=root),
        *pressure_readings(pid, root=root),
    )
