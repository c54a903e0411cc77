"""Memory: what the process holds, and the limits that end it when they are reached.

A control group with all that is below it is killed at its limit (``memory.max``,
``memory.limit_in_bytes``) and slowed down at ``memory.high``; the machine is out of memory when
nothing is available. The page cache of a group counts against its limit but is given back on demand:
what has not been used lately (``inactive_file``) is taken off here, as Kubernetes does, so that a
program that reads many files does not look as if it were about to be killed.
"""

import os
from dataclasses import replace

from holdfast.sense._elsewhere import (
    machine_memory_elsewhere,
    missing,
    resident_elsewhere,
    swap_elsewhere,
)
from holdfast.sense._process import Process
from holdfast.sense._rlimits import rlimit
from holdfast.sense._rusage import peak_bytes
from holdfast.sense._words import nth, number, whole
from holdfast.sense.cgroup import Group, lineage
from holdfast.sense.reading import Reading, tightest

__all__ = ("memory_bound", "memory_readings", "pss_bytes")

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# Version 1 writes the largest number of pages for "no limit", rounded differently by each kernel.
_NO_LIMIT_BYTES = 1 << 60
# vm.overcommit_memory: no more may be promised than there is.
_STRICT = 2


def memory_readings(pid: int | None = None, *, root: str = "/") -> tuple[Reading, ...]:
    """Return what is held of memory and swap, by the process, its groups and the machine.

    May be called from any thread.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` and ``sys`` are.

    Returns:
        ``"resident memory"`` of the process first; then ``"memory"`` of each control group that has
        a limit, and of the machine; ``"swap"`` likewise; ``"address space"`` and ``"committed
        memory"`` where they are limited. What can't be read here has the value None and a note.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: The process hides itself from this user.
    """
    process = Process(pid, root)
    if not process.linux:
        return (resident_elsewhere(process), machine_memory_elsewhere(), swap_elsewhere())
    return (
        _resident(process),
        *_by_groups(process),
        *_by_machine(process),
        *_by_address_space(process),
    )


def memory_bound(pid: int | None = None, *, root: str = "/") -> Reading:
    """Return the memory that is held where it is scarcest: in a control group, or on the machine.

    May be called from any thread. Unlike threads, memory is not a bound of one process: when a
    group is full, the kernel ends any of its processes. So the reading tells of the group (or the
    machine) of which least is left: what all in it hold, or what this process holds, whichever is
    more.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` and ``sys`` are.

    Returns:
        ``left`` is what may still be taken before somebody is killed (or, for ``memory.high``,
        slowed down).

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: The process hides itself from this user.

    Example:
        >>> memory = memory_bound()
        >>> memory.unit
        'bytes'
    """
    own, *others = memory_readings(pid, root=root)
    held = own.value or 0
    shared = [
        replace(each, value=max(each.value or 0, held)) for each in others if each.name == "memory"
    ]
    return tightest(shared) or replace(own, name="memory")


def pss_bytes(pid: int | None = None, *, root: str = "/") -> Reading:
    """Return the memory of the process with its part of what it shares with others.

    Right for summing over a tree of forked processes. The kernel walks through all the memory for
    it: a thousand times the cost of resident memory.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` is.

    Returns:
        The proportional set size; None with a note where it can't be read.

    Raises:
        ProcessLookupError: There is no process ``pid``.
    """
    process = Process(pid, root)
    name, unit = "proportional memory", "bytes"
    if not process.linux:
        return missing(name, unit, "not available here: only Linux tells it")
    try:
        text = process.read("smaps_rollup")
    except ProcessLookupError:
        raise
    except OSError as error:
        return Reading(name, None, unit, note=error.strerror or "")
    held_kb = _field(text, "Pss:")
    if held_kb is None:
        return missing(name, unit, f"{process.folder}/smaps_rollup does not tell")
    return Reading(name, held_kb * 1024, unit)


def _resident(process: Process) -> Reading:
    name = "resident memory"
    try:
        words = process.read("statm").split()
    except OSError as error:
        if not process.own:
            raise
        note = f"the peak, because {error.strerror}"
        return Reading(name, peak_bytes(), "bytes", note=note)
    pages = whole(nth(words, 1))
    if pages is None:
        return missing(name, "bytes", f"{process.folder}/statm does not tell")
    return Reading(name, pages * _PAGE_BYTES, "bytes")


def _by_groups(process: Process) -> list[Reading]:
    line = lineage(process, "memory")
    if not line.groups:
        return [Reading("memory", None, "bytes", scope="cgroup", note=line.note)]
    if line.version == 1:
        return _by_groups_1(process, line.groups)
    found: list[Reading] = []
    for group in line.groups:
        usage = process.machine_number(group.file("memory.current"))
        held, note = _without_cache(process, group, usage, "inactive_file")
        for knob in ("memory.max", "memory.high"):
            bound = process.machine_number(group.file(knob))
            if bound is not None:
                found.append(Reading("memory", held, "bytes", bound, knob, group.scope(), note))
        found += _limited(process, group, "swap", ("memory.swap.current", "memory.swap.max"))
    return found


def _by_groups_1(process: Process, groups: tuple[Group, ...]) -> list[Reading]:
    found: list[Reading] = []
    for depth, group in enumerate(groups):
        if depth and process.machine_number(group.file("memory.use_hierarchy")) == 0:
            break  # an old setting: this group does not count what is below it, nor do its parents
        usage = process.machine_number(group.file("memory.usage_in_bytes"))
        held, note = _without_cache(process, group, usage, "total_inactive_file")
        knob = "memory.limit_in_bytes"
        bound = _finite(process.machine_number(group.file(knob)))
        if bound is not None:
            found.append(Reading("memory", held, "bytes", bound, knob, group.scope(), note))
        files = ("memory.memsw.usage_in_bytes", "memory.memsw.limit_in_bytes")
        found += _limited(process, group, "memory and swap", files)
    found += _above(process, groups[0], [each.bound for each in found if each.name == "memory"])
    return found


def _above(process: Process, own: Group, seen: list[float | None]) -> list[Reading]:
    """The limit of a parent that isn't mounted here: version 1 tells the tightest of all."""
    stat = process.machine(own.file("memory.stat")) or ""
    bound = _finite(_field(stat, "hierarchical_memory_limit"))
    if bound is None or any(each is not None and each <= bound for each in seen):
        return []
    usage = process.machine_number(own.file("memory.usage_in_bytes"))
    held, note = _without_cache(process, own, usage, "total_inactive_file")
    source = "hierarchical_memory_limit, of a parent that is not visible"
    return [Reading("memory", held, "bytes", bound, source, own.scope(), note)]


def _limited(process: Process, group: Group, name: str, files: tuple[str, str]) -> list[Reading]:
    held, bound = (process.machine_number(group.file(file)) for file in files)
    bound = _finite(bound)
    if bound is None:
        return []
    note = "" if held is not None else f"{files[0]} does not tell"
    return [Reading(name, held, "bytes", bound, files[1], group.scope(), note)]


def _without_cache(
    process: Process, group: Group, usage: int | None, cache: str
) -> tuple[int | None, str]:
    if usage is None:
        return None, "its usage can't be read"
    unused = _field(process.machine(group.file("memory.stat")) or "", cache) or 0
    note = f"without {unused:,} bytes of page cache that is given back on demand" if unused else ""
    return max(usage - unused, 0), note


def _by_machine(process: Process) -> list[Reading]:
    text = process.machine("/proc/meminfo") or ""
    total, free = _kb(text, "MemTotal:"), _kb(text, "MemAvailable:")
    held = None if total is None or free is None else total - free
    note = "" if held is not None else "/proc/meminfo does not tell"
    found = [Reading("memory", held, "bytes", total, "the machine's memory", "machine", note)]
    swap, unused = _kb(text, "SwapTotal:"), _kb(text, "SwapFree:")
    if swap is not None and unused is not None:
        found.append(Reading("swap", swap - unused, "bytes", swap, "the machine's swap", "machine"))
    if process.machine_number("/proc/sys/vm/overcommit_memory") == _STRICT:
        promised, most = _kb(text, "Committed_AS:"), _kb(text, "CommitLimit:")
        source = "CommitLimit: vm.overcommit_memory is 2"
        found.append(Reading("committed memory", promised, "bytes", most, source, "machine", note))
    return found


def _by_address_space(process: Process) -> list[Reading]:
    limit = rlimit(process, "RLIMIT_AS")
    if limit is None or limit.soft is None:
        return []
    try:
        held_kb = number(process.status().get("VmSize"))
    except OSError:
        held_kb = None
    held = None if held_kb is None else held_kb * 1024
    note = "" if held is not None else f"{process.folder}/status does not tell"
    return [Reading("address space", held, "bytes", limit.soft, "soft RLIMIT_AS", note=note)]


def _finite(limit: int | None) -> int | None:
    return None if limit is None or limit >= _NO_LIMIT_BYTES else limit


def _kb(text: str, name: str) -> int | None:
    found = _field(text, name)
    return None if found is None else found * 1024


def _field(text: str, name: str) -> int | None:
    """The number in the line that begins with ``name`` and a space."""
    return number(f"\n{text}".partition(f"\n{name} ")[2])
