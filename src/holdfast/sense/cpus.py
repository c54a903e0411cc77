"""CPUs: how many the process may use, as affinity and the quotas of its control groups give them.

A quota of 150,000 in 100,000 microseconds is one and a half CPUs: as many threads as there are
CPUs may run, but all of them stand still for the rest of a period in which they have used it up.
"""

import os

from holdfast.sense._elsewhere import cpus_elsewhere
from holdfast.sense._process import Process
from holdfast.sense._words import nth, whole
from holdfast.sense.cgroup import Group, lineage
from holdfast.sense.reading import Reading

__all__ = ("cpu_bound", "cpu_readings", "parse_cpu_list", "usable_cpus")

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
# Where the fields of /proc/PID/stat are, counted behind the name, which may hold anything.
_UTIME, _STIME, _STARTED = 11, 12, 19
# A list of CPUs longer than any machine's is not one.
_MOST_CPUS = 1 << 16


def usable_cpus(pid: int | None = None, *, root: str = "/") -> float:
    """Return how many CPUs the process may use: 1.5 for a quota of one and a half.

    May be called from any thread.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` and ``sys`` are.

    Returns:
        The tightest of the affinity (or, from Python 3.13 on, the number that ``-X cpu_count`` or
        ``PYTHON_CPU_COUNT`` puts in its place) and the quotas of all control groups above the
        process; 1.0 where nobody tells.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: The process hides itself from this user.

    Example:
        >>> usable_cpus() > 0
        True
    """
    bound = cpu_bound(pid, root=root).bound
    return 1.0 if bound is None else float(bound)


def cpu_bound(pid: int | None = None, *, root: str = "/") -> Reading:
    """Return how many CPUs the process has used on average, and how many it may use.

    May be called from any thread.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` and ``sys`` are.

    Returns:
        The usable CPUs as ``bound``, with what sets them as ``source``. ``value`` is the mean since
        the process began.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: The process hides itself from this user.
    """
    readings = cpu_readings(pid, root=root)
    bounded = [each for each in readings if each.bound is not None]
    return min(bounded, key=lambda each: each.bound or 0, default=readings[0])


def cpu_readings(pid: int | None = None, *, root: str = "/") -> tuple[Reading, ...]:
    """Return every limit on the CPUs of the process.

    May be called from any thread. Arguments and errors as :func:`cpu_bound`.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` and ``sys`` are.

    Returns:
        Affinity first, then the quota of each control group that has one.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: The process hides itself from this user.
    """
    process = Process(pid, root)
    if not process.linux:
        return (cpus_elsewhere(),)
    held = _mean_use(process)
    note = (
        "the mean since the process began"
        if held is not None
        else "its mean use is not known, or not yet"
    )
    count, source = _count(process)
    found = [Reading("cpus", held, "CPUs", count, source, note=note)]
    for group in lineage(process, "cpu").groups:
        quota = _quota(process, group)
        if quota is not None:
            told = f"{quota[1]} of cgroup {group.path}"
            found.append(Reading("cpus", held, "CPUs", quota[0], told, note=note))
    return tuple(found)


def _count(process: Process) -> tuple[int | None, str]:
    affinity = _affinity(process)
    if process.own and process.real:
        # From 3.13 on; it is the affinity, unless the user has put a number in its place.
        told = getattr(os, "process_cpu_count", lambda: None)()
        if told is not None and told != affinity and told != len(os.sched_getaffinity(0)):
            return told, "PYTHON_CPU_COUNT or -X cpu_count"
    return affinity, "affinity"


def _affinity(process: Process) -> int | None:
    """The CPUs that the process is allowed to use, and that are there and switched on."""
    try:
        text = process.status().get("Cpus_allowed_list", "")
    except OSError:
        if not process.own:
            raise
        return os.cpu_count()
    allowed = parse_cpu_list(text)
    online = parse_cpu_list(process.machine("/sys/devices/system/cpu/online") or "")
    return len(allowed & online if online else allowed) or os.cpu_count()


def _quota(process: Process, group: Group) -> tuple[float, str] | None:
    """The CPUs of a group's quota and the file that says so; None for a group without one."""
    words = (process.machine(group.file("cpu.max")) or "").split()
    if words:
        quota, period = whole(words[0]), whole(nth(words, 1))
        name = "cpu.max"
    else:
        quota = process.machine_number(group.file("cpu.cfs_quota_us"))
        period = process.machine_number(group.file("cpu.cfs_period_us"))
        name = "cpu.cfs_quota_us"
    if quota is None or not period or quota <= 0 or period < 0:
        return None
    return quota / period, name


def _mean_use(process: Process) -> float | None:
    """CPU time since the process began over the time since then."""
    try:
        words = process.read("stat").rpartition(")")[2].split()
    except OSError:
        return None
    uptime_s = whole((process.machine("/proc/uptime") or "").partition(".")[0])
    ticks = [whole(nth(words, field)) for field in (_UTIME, _STIME, _STARTED)]
    known = [each for each in ticks if each is not None]
    if uptime_s is None or len(known) != len(ticks):
        return None
    age_s = uptime_s - known[2] / _TICKS_A_SECOND
    # Both are coarse: a process of less than a second has no mean worth telling.
    return (known[0] + known[1]) / _TICKS_A_SECOND / age_s if age_s >= 1 else None


def parse_cpu_list(text: str) -> frozenset[int]:
    """Return the CPUs of a list such as ``0-3,8``; what is no number or range is left out."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        low = whole(first)
        high = whole(last) if dash else low
        if low is not None and high is not None and 0 <= low <= high < _MOST_CPUS:
            found.update(range(low, high + 1))
    return frozenset(found)
