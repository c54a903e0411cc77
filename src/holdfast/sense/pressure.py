"""Pressure stall: for how much of the time tasks stood still for want of a resource.

Source: the kernel's ``accounting/psi``; since Linux 4.20, and off where ``psi=0`` was given at boot.
"""

from dataclasses import dataclass

from holdfast.sense._process import Process
from holdfast.sense._words import whole
from holdfast.sense.cgroup import lineage
from holdfast.sense.reading import Reading

__all__ = ("Pressure", "Stall", "parse_pressure", "pressure_readings", "read_pressure")

RESOURCES = ("cpu", "io", "memory")
_AVERAGES = ("avg10", "avg60", "avg300")


@dataclass(frozen=True, slots=True)
class Stall:
    """The share of the time in which tasks stood still.

    Attributes:
        avg10: Per cent of the last 10 seconds.
        avg60: Per cent of the last minute.
        avg300: Per cent of the last five minutes.
        total_s: Seconds of it since the machine, or the group, began.
    """

    avg10: float
    avg60: float
    avg300: float
    total_s: float


@dataclass(frozen=True, slots=True)
class Pressure:
    """The stalls for want of one resource.

    Attributes:
        resource: ``"cpu"``, ``"io"`` or ``"memory"``.
        scope: ``"machine"``, or the control group whose tasks are meant.
        some: While at least one task stood still; None where it isn't told.
        full: While all that had work did; None where it isn't told.
    """

    resource: str
    scope: str
    some: Stall | None
    full: Stall | None


def read_pressure(pid: int | None = None, *, root: str = "/") -> tuple[Pressure, ...]:
    """Return the pressure on CPU, input and output, and memory: of the group, then of the machine.

    May be called from any thread. The kernel computes the averages every two seconds.

    Args:
        pid: The process whose control group is read; None is this one.
        root: The folder in which ``proc`` and ``sys`` are.

    Returns:
        Up to six records; none where the kernel does not tell, and none off Linux.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: The process hides itself from this user.
    """
    process = Process(pid, root)
    if not process.linux:
        return ()
    files: list[tuple[str, str, str]] = []
    for group in lineage(process, None).groups[:1]:
        files += [(name, group.file(f"{name}.pressure"), group.scope()) for name in RESOURCES]
    files += [(name, f"/proc/pressure/{name}", "machine") for name in RESOURCES]
    found = [
        Pressure(name, scope, *parse_pressure(process.machine(path) or ""))
        for name, path, scope in files
    ]
    return tuple(each for each in found if each.some is not None or each.full is not None)


def pressure_readings(pid: int | None = None, *, root: str = "/") -> tuple[Reading, ...]:
    """Return the shares of the last ten seconds as readings, in per cent of 100.

    May be called from any thread. Arguments and errors as :func:`read_pressure`.

    Args:
        pid: The process whose control group is read; None is this one.
        root: The folder in which ``proc`` and ``sys`` are.

    Returns:
        Two for each resource and scope; one without a value where nothing is told.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: The process hides itself from this user.
    """
    unit = "per cent of the last 10 s"
    found = [
        Reading(
            f"{each.resource} pressure, {word}", stall.avg10, unit, 100, "all the time", each.scope
        )
        for each in read_pressure(pid, root=root)
        for word, stall in (("some", each.some), ("full", each.full))
        if stall is not None
    ]
    if found:
        return tuple(found)
    note = "not available here: Linux 4.20 and later tell it, unless it was turned off (psi=0)"
    return (Reading("pressure", None, unit, scope="machine", note=note),)


def parse_pressure(text: str) -> tuple[Stall | None, Stall | None]:
    """Return the line "some" and the line "full"; None for one that is missing or of another form."""
    found: dict[str, Stall] = {}
    for line in text.splitlines():
        kind, *words = line.split() or [""]
        values = dict(word.split("=", 1) for word in words if "=" in word)
        stall = _stall(values)
        if stall is not None:
            found[kind] = stall
    return found.get("some"), found.get("full")


def _stall(values: dict[str, str]) -> Stall | None:
    averages = [_decimal(values.get(name, "")) for name in _AVERAGES]
    total_us = whole(values.get("total", ""))
    known = [average for average in averages if average is not None]
    if len(known) != len(averages) or total_us is None:
        return None
    return Stall(known[0], known[1], known[2], total_us / 1e6)


def _decimal(text: str) -> float | None:
    """A number such as 12.34, and nothing that only Python takes for one."""
    before, _, after = text.partition(".")
    left, right = whole(before), whole(after or "0")
    if left is None or right is None or left < 0 or right < 0:
        return None
    return float(f"{left}.{after or 0}")
