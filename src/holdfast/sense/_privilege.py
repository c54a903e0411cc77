"""Whom the kernel exempts from a limit.

Source: the kernel's ``copy_process`` and ``alloc_empty_file``: capabilities count in the first user
namespace only, so that the root user of a rootless container is not exempt.
"""

from dataclasses import dataclass

from holdfast.sense._process import Process
from holdfast.sense._words import hexadecimal, nth, whole

__all__ = ("Privilege", "privilege")

CAP_SYS_ADMIN = 21
CAP_SYS_RESOURCE = 24


@dataclass(frozen=True, slots=True)
class Privilege:
    """What of a process's identity decides about limits.

    Attributes:
        uid: The real user, as its user namespace numbers it; None where that can't be read.
        root: Whether it is the machine's user 0.
        capabilities: The effective capabilities that count outside of its user namespace, as bits.
    """

    uid: int | None
    root: bool
    capabilities: int

    def may(self, *capabilities: int) -> bool:
        """Whether one of ``capabilities`` is effective."""
        return any(self.capabilities >> bit & 1 for bit in capabilities)

    @property
    def threads_exempt(self) -> bool:
        """Whether RLIMIT_NPROC does not bind."""
        return self.root or self.may(CAP_SYS_RESOURCE, CAP_SYS_ADMIN)

    @property
    def files_exempt(self) -> bool:
        """Whether ``fs.file-max`` does not bind."""
        return self.may(CAP_SYS_ADMIN)


def privilege(process: Process) -> Privilege:
    """Read it.

    Raises:
        OSError: ``/proc/PID/status`` can't be read.
    """
    status = process.status()
    uid = whole(nth(status.get("Uid", "").split(), 0))
    ranges = _uid_map(process)
    first_namespace = ranges is None or (0, 0, _ALL_USERS) in ranges
    bits = (hexadecimal(status.get("CapEff", "")) or 0) if first_namespace else 0
    return Privilege(uid, uid is not None and _outside(uid, ranges) == 0, bits)


_ALL_USERS = 4294967295


def _uid_map(process: Process) -> list[tuple[int, int, int]] | None:
    """First user inside, first outside, how many; None where the kernel has no user namespaces."""
    try:
        text = process.read("uid_map")
    except OSError:
        return None
    found: list[tuple[int, int, int]] = []
    for line in text.splitlines():
        words = line.split()
        inside, outside, count = (whole(nth(words, place)) for place in range(3))
        if inside is not None and outside is not None and count is not None:
            found.append((inside, outside, count))
    return found


def _outside(uid: int, ranges: list[tuple[int, int, int]] | None) -> int | None:
    if ranges is None:
        return uid
    for inside, outside, count in ranges:
        if inside <= uid < inside + count:
            return uid - inside + outside
    return None
