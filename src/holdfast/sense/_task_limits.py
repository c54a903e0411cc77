"""What bounds threads and processes alike: to the kernel both are tasks.

Source: ``copy_process`` in the kernel, getrlimit(2), the kernel's ``admin-guide/sysctl/kernel``.
"""

import os

from holdfast.sense._privilege import privilege
from holdfast.sense._process import Process
from holdfast.sense._rlimits import rlimit
from holdfast.sense._words import nth, number, whole
from holdfast.sense.cgroup import lineage
from holdfast.sense.reading import Reading

__all__ = ("task_limits",)


def task_limits(process: Process, name: str) -> list[Reading]:
    """Return each limit on tasks that ``process`` shares with others.

    Args:
        process: Who is read, on Linux.
        name: ``"threads"`` or ``"processes"``: the name and the unit of the readings.

    Raises:
        OSError: The process is another one and can't be read.
    """
    return [_by_user(process, name), *_by_groups(process, name), *_by_machine(process, name)]


def _by_user(process: Process, name: str) -> Reading:
    limit = rlimit(process, "RLIMIT_NPROC")
    if limit is None or limit.soft is None:
        return Reading(name, None, name, source="soft RLIMIT_NPROC", note="no limit is set")
    try:
        who = privilege(process)
    except OSError as error:
        if not process.own:
            raise
        return Reading(
            name, None, name, limit.soft, "soft RLIMIT_NPROC", "user", error.strerror or ""
        )
    scope = f"user {who.uid}"
    if who.threads_exempt:
        note = f"the kernel does not hold {scope} to the limit of {limit.soft:,}"
        return Reading(name, None, name, source="soft RLIMIT_NPROC", scope=scope, note=note)
    held = _threads_of_user(process, who.uid)
    note = "" if held is not None else f"{process.root}/proc can't be listed"
    return Reading(name, held, name, limit.soft, "soft RLIMIT_NPROC", scope, note)


def _threads_of_user(process: Process, uid: int | None) -> int | None:
    """All threads of a user that can be seen; those in other pid namespaces can't."""
    try:
        pids = os.listdir(f"{process.root}/proc")  # noqa: PTH208 - the names alone, the cheapest way
    except OSError:
        return None
    held = 0
    for pid in pids:
        status = process.machine(f"/proc/{pid}/status") if pid.isdecimal() else None
        if status is not None and _field(status, "Uid") == uid:
            held += _field(status, "Threads") or 0
    return held


def _field(status: str, name: str) -> int | None:
    return number(f"\n{status}".partition(f"\n{name}:")[2])


def _by_groups(process: Process, name: str) -> list[Reading]:
    line = lineage(process, "pids")
    if not line.groups:
        return [Reading(name, None, name, source="pids.max", scope="cgroup", note=line.note)]
    found: list[Reading] = []
    for group in line.groups:
        bound = process.machine_number(group.file("pids.max"))
        if bound is not None:
            held = process.machine_number(group.file("pids.current"))
            note = "" if held is not None else "pids.current does not tell"
            found.append(Reading(name, held, name, bound, "pids.max", group.scope(), note))
    return found


def _by_machine(process: Process, name: str) -> list[Reading]:
    held = _threads_of_machine(process)
    note = "" if held is not None else "/proc/loadavg does not tell"
    return [
        Reading(name, held, name, bound, f"kernel.{knob}", "machine", note)
        for knob in ("threads-max", "pid_max")
        if (bound := process.machine_number(f"/proc/sys/kernel/{knob}")) is not None
    ]


def _threads_of_machine(process: Process) -> int | None:
    """The fourth word of loadavg is "running/all"."""
    words = (process.machine("/proc/loadavg") or "").split()
    return whole(nth(words, 3).partition("/")[2])
