"""Where a process stands in the control groups, and which of them can be read from here.

Purpose: every group whose limit binds the process, from its own up to the highest that is visible.
Guarantees: never raises for what the machine shows; what can't be seen is said in ``note``.
Assumptions: version 1 (one tree for each controller), version 2 (one tree for all), or both at
once (hybrid: a controller is in one of the two). A container may see its own group as the root of
the tree (a cgroup namespace), or the whole path with only a part of it mounted. What lies above the
mount can't be seen, and its limits hold nevertheless.

Source: cgroups(7), cgroup_namespaces(7), the kernel's ``admin-guide/cgroup-v1`` and
``admin-guide/cgroup-v2``.
"""

import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from holdfast.sense._process import Process
from holdfast.sense._words import nth, whole

__all__ = ("Group", "Lineage", "Mount", "lineage", "parse_membership", "parse_mounts")

# The version that has one tree for all controllers.
UNIFIED = 2


@dataclass(frozen=True, slots=True)
class Group:
    """One control group.

    Attributes:
        path: Its name in the tree, as ``/proc/PID/cgroup`` writes it.
        folder: Where its files are, from the root that was read.
    """

    path: str
    folder: str

    def file(self, name: str) -> str:
        """Return where a file of the group is."""
        return f"{self.folder}/{name}"

    def scope(self) -> str:
        """Return the group's name for a reading."""
        return f"cgroup {self.path}"


@dataclass(frozen=True, slots=True)
class Lineage:
    """The groups that bind a process for one controller.

    Attributes:
        version: 1 or 2; 0 if the process is in no tree with this controller.
        groups: The process's own group first, then each parent that can be seen.
        note: Why there are no groups, or empty.
    """

    version: int
    groups: tuple[Group, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted tree of control groups.

    Attributes:
        version: 1 or 2.
        controllers: What it controls; empty for version 2, where each group says so itself.
        root: The group that is mounted, seen from the reader's namespace.
        point: Where it is mounted.
    """

    version: int
    controllers: frozenset[str]
    root: str
    point: str


def lineage(process: Process, controller: str | None) -> Lineage:
    """Return the groups of ``process`` for ``controller``, its own first.

    Args:
        process: Who is read.
        controller: Such as ``"pids"``; None is the tree of version 2, whatever it controls.

    Raises:
        OSError: The process is another one and can't be read.
    """
    try:
        membership = parse_membership(process.read("cgroup"))
    except OSError as error:
        if not process.own:
            raise
        return Lineage(0, note=error.strerror or "")
    version, path = _place(membership, controller)
    if path is None:
        return Lineage(0, note="the process is in no such control group")
    mounts = parse_mounts(process.machine("/proc/self/mountinfo") or "")
    fitting = [mount for mount in mounts if _carries(mount, version, controller)]
    visible = [_climb(process, mount, path) for mount in fitting]
    if not any(visible):
        # A group that binds the process, but may be a parent of its own.
        visible = [
            _climb(process, mount, mount.root) for mount in fitting if _binds(process, mount)
        ]
    groups = max(visible, key=len, default=())
    note = "" if groups else f"its tree (version {version}) is not mounted here"
    return Lineage(version, groups, note)


def _carries(mount: Mount, version: int, controller: str | None) -> bool:
    return mount.version == version and (version == UNIFIED or controller in mount.controllers)


def _place(
    membership: list[tuple[frozenset[str], str]], controller: str | None
) -> tuple[int, str | None]:
    """In version 1 a tree names its controllers; the one without any is version 2."""
    for controllers, path in membership:
        if controller is not None and controller in controllers:
            return 1, path
    for controllers, path in membership:
        if not controllers:
            return UNIFIED, path
    return 0, None


def parse_membership(text: str) -> list[tuple[frozenset[str], str]]:
    """Return the controllers and the path of each line of ``/proc/PID/cgroup``.

    The line of version 2 has no controllers. A line of another form is left out.
    """
    found: list[tuple[frozenset[str], str]] = []
    for line in text.splitlines():
        tree, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon and path.startswith("/") and whole(tree) is not None:
            found.append((frozenset(filter(None, controllers.split(","))), path))
    return found


@lru_cache(maxsize=4)
def parse_mounts(text: str) -> tuple[Mount, ...]:
    """Return the trees that ``/proc/self/mountinfo`` lists; a line of another form is left out.

    What was parsed is kept: the text hardly ever changes.
    """
    return tuple(mount for line in text.splitlines() if (mount := _parse_mount(line)) is not None)


def _parse_mount(line: str) -> Mount | None:
    before, _, after = line.partition(" - ")
    place, kind = before.split(" "), after.split(" ")
    root, point = _unescape(nth(place, _ROOT)), _unescape(nth(place, _POINT))
    if not (root.startswith("/") and point.startswith("/")):
        return None
    if kind[0] == "cgroup2":
        return Mount(UNIFIED, frozenset(), root, point)
    if kind[0] == "cgroup":
        return Mount(1, frozenset(nth(kind, _SUPER_OPTIONS).split(",")), root, point)
    return None


# Where these fields stand, before and behind the separator.
_ROOT, _POINT = 3, 4
_SUPER_OPTIONS = 2


def _unescape(text: str) -> str:
    """A space and its like stand there as a backslash and three octal digits."""
    return re.sub(r"\\([0-3][0-7]{2})", lambda match: chr(int(match[1], 8)), text)


def _climb(process: Process, mount: Mount, path: str) -> tuple[Group, ...]:
    """The groups from ``path`` up to the root of the mount, as far as they exist."""
    root = mount.root.rstrip("/")
    if path != mount.root and (_leads_out(path) or not path.startswith(f"{root}/")):
        return ()
    below = path[len(root) + 1 :].strip("/")
    point = f"{process.root}{mount.point}"
    groups: list[Group] = []
    for step in _upwards(below):
        folder = posixpath.join(point, step) if step else point
        if os.path.isdir(folder):  # noqa: PTH112 - pathlib is dear to import
            # A group below has gone if the process ended or moved meanwhile; its parents remain.
            name = posixpath.join(mount.root, step) if step else mount.root
            groups.append(Group(name, folder.removeprefix(process.root)))
    return tuple(groups)


def _binds(process: Process, mount: Mount) -> bool:
    """Whether the root of a mount binds the process, although their names have nothing in common.

    They were named from different namespaces. A mount that begins above ours is a parent of it for
    sure; of another one only the group itself knows.
    """
    if _leads_out(mount.root):
        return process.own
    listed = process.machine(f"{mount.point}/cgroup.procs") or ""
    return str(process.pid) in listed.split()


def _leads_out(path: str) -> bool:
    """Whether a path begins outside of the reader's namespace."""
    return path == "/.." or path.startswith("/../")


def _upwards(path: str) -> Iterator[str]:
    while path:
        yield path
        path = os.path.dirname(path)  # noqa: PTH120 - a path in a tree of groups, not of files
    yield ""
