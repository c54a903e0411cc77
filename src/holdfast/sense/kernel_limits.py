"""Limits of the kernel that bind programs which watch files and open connections."""

from holdfast.sense._process import Process
from holdfast.sense._words import nth, whole
from holdfast.sense.reading import Reading

__all__ = ("kernel_readings",)

_INOTIFY = "/proc/sys/fs/inotify"
_NET = "/proc/sys/net"


def kernel_readings(*, root: str = "/") -> tuple[Reading, ...]:
    """Return limits of the machine, or of this network namespace, that have no reading of their own.

    May be called from any thread.

    Args:
        root: The folder in which ``proc`` is.

    Returns:
        Local ports (which bound the connections to one peer), the line of connections that wait to be
        accepted, watchers and watches of files. What the kernel does not tell is left out; all of it
        off Linux.
    """
    machine = Process(root=root)
    if not machine.linux:
        return ()
    found = [_ports(machine)]
    for name, path, source, scope in (
        ("waiting to be accepted", f"{_NET}/core/somaxconn", "net.core.somaxconn", "socket"),
        (
            "file watchers",
            f"{_INOTIFY}/max_user_instances",
            "fs.inotify.max_user_instances",
            "user",
        ),
        ("watched files", f"{_INOTIFY}/max_user_watches", "fs.inotify.max_user_watches", "user"),
    ):
        bound = machine.machine_number(path)
        if bound is not None:
            note = "nobody tells how many are held"
            found.append(Reading(name, None, name, bound, source, scope, note))
    return tuple(each for each in found if each is not None)


def _ports(machine: Process) -> Reading | None:
    words = (machine.machine(f"{_NET}/ipv4/ip_local_port_range") or "").split()
    first, last = whole(nth(words, 0)), whole(nth(words, 1))
    if first is None or last is None or last < first:
        return None
    note = "for connections to one peer; one that was closed here first is taken for a minute more"
    return Reading(
        "ports", None, "ports", last - first + 1, "net.ipv4.ip_local_port_range", "peer", note
    )
