"""Threads: how many the process has, and what bounds them.

Each thread counts against the user's RLIMIT_NPROC (unless the user is root or has
CAP_SYS_RESOURCE), against ``pids.max`` of every control group above the process, against
``threads-max`` and ``pid_max`` of the machine, takes about two of the process's memory maps, and
the size of its stack from RLIMIT_AS, where one is set. "can't start new thread" can mean any of
them.
"""

import threading

from holdfast.sense._elsewhere import threads_elsewhere
from holdfast.sense._process import Process
from holdfast.sense._rlimits import rlimit
from holdfast.sense._task_limits import task_limits
from holdfast.sense._words import number
from holdfast.sense.reading import Reading, narrowest

__all__ = ("thread_bound", "thread_count", "thread_readings")

# The stack and the guard page below it.
_MAPS_OF_A_THREAD = 2
# What glibc takes if the soft RLIMIT_STACK is endless.
_USUAL_STACK_BYTES = 8 << 20


def thread_readings(pid: int | None = None, *, root: str = "/") -> tuple[Reading, ...]:
    """Return what the process holds of threads, and every limit on them.

    May be called from any thread. The first reading is the process's own count, the others are the
    limits, each with what its scope holds. Counting the threads of a user reads the status of every
    process on the machine; that is left out for users whom the limit does not bind.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` and ``sys`` are.

    Returns:
        At least one reading. What can't be read here has the value None and a note that says why.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: The process hides itself from this user.
    """
    process = Process(pid, root)
    if not process.linux:
        return (threads_elsewhere(process),)
    own = _own(process)
    limits = task_limits(process, "threads")
    return (own, *limits, *_by_maps(process, own), *_by_address_space(process, own))


def thread_bound(pid: int | None = None, *, root: str = "/") -> Reading:
    """Return how many threads the process may have, by the tightest of all limits.

    May be called from any thread; see :func:`thread_readings` for what it costs.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` and ``sys`` are.

    Returns:
        The process's threads as ``value``, how many it may have in all as ``bound``, and how many
        more as ``left``. What others hold of a shared limit is already taken off.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: The process hides itself from this user.

    Example:
        >>> bound = thread_bound()
        >>> bound.bound is None or bound.bound >= bound.value >= 1
        True
    """
    own, *limits = thread_readings(pid, root=root)
    return narrowest(own, limits)


def thread_count(pid: int | None = None) -> int | None:
    """Return how many threads a process has; None where that can't be read, as of one that has ended.

    May be called from any thread; reads one file.

    Args:
        pid: The process; None is this one.
    """
    process = Process(pid, "/")
    try:
        reading = _own(process) if process.linux else threads_elsewhere(process)
    except OSError:
        return None
    return None if reading.value is None else int(reading.value)


def _own(process: Process) -> Reading:
    try:
        held = number(process.status().get("Threads"))
    except OSError as error:
        if not process.own:
            raise
        return Reading("threads", threading.active_count(), "threads", note=_told(error))
    note = "" if held is not None else f"{process.folder}/status does not tell"
    return Reading("threads", held, "threads", note=note)


def _told(error: OSError) -> str:
    return f"only those that Python knows of: {error.strerror}"


def _by_maps(process: Process, own: Reading) -> list[Reading]:
    most = process.machine_number("/proc/sys/vm/max_map_count")
    if most is None or own.value is None:
        return []
    try:
        held = process.read("maps").count("\n")
    except OSError:
        return []  # of another user's process; its other limits are told
    more = max(most - held, 0) // _MAPS_OF_A_THREAD
    source = f"vm.max_map_count: {held:,} of {most:,} maps held, about two for each thread"
    return [Reading("threads", own.value, "threads", own.value + more, source)]


def _by_address_space(process: Process, own: Reading) -> list[Reading]:
    space = rlimit(process, "RLIMIT_AS")
    if space is None or space.soft is None or own.value is None:
        return []
    try:
        held_kb = number(process.status().get("VmSize")) or 0
    except OSError:
        return []  # of this process, without /proc: its size is not known
    stack = _stack_bytes(process)
    more = max(space.soft - held_kb * 1024, 0) // stack
    source = f"soft RLIMIT_AS: {stack >> 10:,} KB of address space for each stack"
    return [Reading("threads", own.value, "threads", own.value + more, source)]


def _stack_bytes(process: Process) -> int:
    asked_for = threading.stack_size() if process.own else 0
    if asked_for:
        return asked_for
    stack = rlimit(process, "RLIMIT_STACK")
    return stack.soft if stack is not None and stack.soft else _USUAL_STACK_BYTES
