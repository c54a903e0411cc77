"""What can be read where there is no ``/proc``: macOS, and other Unixes.

psutil knows most of it (the extra ``sense``). Without psutil this process is read as far as the
standard library goes, and the rest is None with a note that says so. Nothing here raises but for a
process that does not exist or can't be read.
"""

import os
import threading

from holdfast.sense._counts import entries
from holdfast.sense._process import Process
from holdfast.sense._psutil import MISSING, ask, psutil
from holdfast.sense._rlimits import own_rlimit
from holdfast.sense._rusage import peak_bytes
from holdfast.sense.reading import Reading

__all__ = (
    "DEV_FD",
    "count_dev_fd",
    "cpus_elsewhere",
    "descriptors_elsewhere",
    "figures",
    "machine_memory_elsewhere",
    "missing",
    "processes_elsewhere",
    "resident_elsewhere",
    "swap_elsewhere",
    "threads_elsewhere",
)

DEV_FD = "/dev/fd"


def missing(name: str, unit: str, note: str = MISSING, scope: str = "process") -> Reading:
    """Return a reading without a value."""
    return Reading(name, None, unit, scope=scope, note=note)


def threads_elsewhere(process: Process) -> Reading:
    """The threads of the process, without a bound: the system tells none."""
    try:
        return Reading("threads", ask(process, lambda it: it.num_threads()), "threads")
    except NotImplementedError:
        if not process.own:
            return missing("threads", "threads")
    note = "only those that Python knows of; psutil counts all: pip install 'holdfast[sense]'"
    return Reading("threads", threading.active_count(), "threads", note=note)


def processes_elsewhere(process: Process) -> tuple[Reading, ...]:
    """The process with all its descendants, then the limit of its user where it is this one."""
    try:
        held = ask(process, lambda it: 1 + len(it.children(recursive=True)))
        own = Reading("processes", held, "processes")
    except NotImplementedError:
        own = missing("processes", "processes")
    limit = own_rlimit("RLIMIT_NPROC") if process.own else None
    if limit is None or limit.soft is None:
        return (own,)
    note = "the user's processes are not counted here"
    return (own, Reading(own.name, None, own.unit, limit.soft, "soft RLIMIT_NPROC", "user", note))


def count_dev_fd() -> int | None:
    """The descriptors of this process; the listing itself holds one, which is not counted."""
    listed = entries(DEV_FD)
    return None if listed is None else listed - 1


def descriptors_elsewhere(process: Process) -> tuple[Reading, ...]:
    """The descriptors of the process, with its limits where it is this one."""
    if not process.own:
        try:
            held = ask(process, lambda it: it.num_fds())
        except NotImplementedError:
            return (missing("descriptors", "descriptors"),)
        return (Reading("descriptors", held, "descriptors", note="its limit is not told here"),)
    count = count_dev_fd()
    note = "" if count is not None else f"{DEV_FD} can't be listed"
    limit = own_rlimit("RLIMIT_NOFILE")
    soft, hard = (None, None) if limit is None else (limit.soft, limit.hard)
    return tuple(
        Reading("descriptors", count, "descriptors", bound, f"{word} RLIMIT_NOFILE", note=note)
        for bound, word in ((soft, "soft"), (hard, "hard"))
    )


def resident_elsewhere(process: Process) -> Reading:
    """Resident memory; without psutil the most that this process has had."""
    try:
        return Reading("resident memory", ask(process, lambda it: it.memory_info().rss), "bytes")
    except NotImplementedError:
        if not process.own:
            return missing("resident memory", "bytes")
    note = "the peak: what is resident now takes psutil: pip install 'holdfast[sense]'"
    return Reading("resident memory", peak_bytes(), "bytes", note=note)


def machine_memory_elsewhere() -> Reading:
    """What all programs hold of the machine's memory."""
    known = psutil()
    if known is not None:
        memory = known.virtual_memory()
        held, total = memory.total - memory.available, memory.total
        return Reading("memory", held, "bytes", total, "the machine's memory", "machine")
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return missing("memory", "bytes", scope="machine")
    return Reading("memory", None, "bytes", total, "the machine's memory", "machine", MISSING)


def swap_elsewhere() -> Reading:
    """What is held of the machine's swap."""
    known = psutil()
    if known is None:
        return missing("swap", "bytes", scope="machine")
    memory = known.swap_memory()
    return Reading("swap", memory.used, "bytes", memory.total, "the machine's swap", "machine")


def cpus_elsewhere() -> Reading:
    """The machine's CPUs: where there is no affinity, all of them are usable."""
    count = os.cpu_count()
    return Reading("cpus", None, "CPUs", count, "CPUs of the machine", note="use is not told here")


def figures() -> tuple[int | None, int | None, int | None]:
    """Return the descriptors, the threads and the resident memory of this process."""
    try:
        threads, rss_bytes = ask(Process(), lambda it: (it.num_threads(), it.memory_info().rss))
    except (OSError, NotImplementedError):
        threads, rss_bytes = threading.active_count(), peak_bytes()
    return count_dev_fd(), threads, rss_bytes
