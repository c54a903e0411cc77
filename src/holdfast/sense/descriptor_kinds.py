"""What the open descriptors of a process are: files, sockets by state and peer, pipes, and the rest.

Purpose: say what holds the descriptors when their number grows.
Guarantees: every descriptor that is open from beginning to end is told once; those that come and
go meanwhile may be told or not. This process is read also when no descriptor is left to it.
Cost: one link read for each descriptor, one ``stat`` more for each path, and the tables of sockets
once (``benchmarks/bench_sense.py``). A file on a network file system whose server does not answer
blocks its ``stat``.
"""

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.sense._counts import FD, fds_by_size, size_is_fds
from holdfast.sense._descriptor import Descriptor
from holdfast.sense._elsewhere_kinds import descriptors_elsewhere
from holdfast.sense._process import Process
from holdfast.sense._rlimits import own_rlimit
from holdfast.sense._words import whole
from holdfast.sense.sockets import Socket, socket_tables

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ("Breakdown", "Descriptor", "descriptors_by_kind", "open_descriptors")

_SOCKET = "socket:["
_UNKNOWN = Socket("other")

# Links of what has no file, without the brackets that only some of them have.
_ANONYMOUS = {
    "eventfd": "eventfd",
    "eventpoll": "epoll",
    "inotify": "inotify",
    "timerfd": "timerfd",
    "signalfd": "signalfd",
    "pidfd": "pidfd",
}
_GONE = " (deleted)"


@dataclass(frozen=True, slots=True)
class Breakdown:
    """How many descriptors there are of each kind.

    Attributes:
        total: All of them.
        kinds: How many of each kind, the most frequent first.
        sockets: How many sockets with the same family, state and peer, the most frequent first.
    """

    total: int
    kinds: Mapping[str, int]
    sockets: Mapping[tuple[str, str, str], int]


def descriptors_by_kind(pid: int | None = None, *, root: str = "/") -> Breakdown:
    """Count the open descriptors of a process by kind, and its sockets by state and peer.

    May be called from any thread. Arguments, cost and errors as :func:`open_descriptors`.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` is.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: It belongs to another user; the message says what to do.

    Example:
        >>> found = descriptors_by_kind()
        >>> sum(found.kinds.values()) == found.total
        True
    """
    found = open_descriptors(pid, root=root)
    sockets = (each.socket for each in found if each.socket is not None)
    return Breakdown(
        len(found),
        dict(Counter(each.kind for each in found).most_common()),
        dict(Counter((it.family, it.state, it.peer) for it in sockets).most_common()),
    )


def open_descriptors(pid: int | None = None, *, root: str = "/") -> tuple[Descriptor, ...]:
    """Return every open descriptor of a process with what it is.

    May be called from any thread. It costs a system call or two for each descriptor: right for a
    report, too dear for many times a second.

    Args:
        pid: The process; None is this one.
        root: The folder in which ``proc`` is.

    Returns:
        In the order of their numbers. The one through which this process is read is not among
        them.

    Raises:
        ProcessLookupError: There is no process ``pid``.
        PermissionError: It belongs to another user; the message says what to do.
        NotImplementedError: This is not Linux, the process is another one, and psutil is not
            installed.
    """
    process = Process(pid, root)
    if not process.linux:
        return descriptors_elsewhere(process)
    with _reader(process) as reader:
        links = reader.links()
        inodes = {link: _inode(link) for link in links.values() if link.startswith(_SOCKET)}
        tables = socket_tables(process, set(inodes.values())) if inodes else {}
        sockets = {link: tables.get(inode, _UNKNOWN) for link, inode in inodes.items()}
        return tuple(_all_told(reader, links, sockets))


def _inode(link: str) -> int | None:
    """The number in ``socket:[4711]``."""
    return whole(link[len(_SOCKET) : -1])


class _Reader:
    """Reads links in ``/proc/PID/fd``, from the folder itself where it could be opened."""

    __slots__ = ("_folder", "_prefix", "numbers")

    def __init__(self, prefix: str, folder: int | None, numbers: Iterable[str]) -> None:
        self._prefix = prefix
        self._folder = folder
        self.numbers = numbers

    def links(self) -> dict[int, str]:
        """Return what each descriptor leads to, without those that have been closed."""
        readlink, prefix, folder = os.readlink, self._prefix, self._folder
        found: dict[int, str] = {}  # and no pairs, which the garbage collector would have to walk
        for fd in self.numbers:
            try:
                found[int(fd)] = readlink(f"{prefix}{fd}", dir_fd=folder)
            except OSError:
                continue
        return found

    def stat(self, fd: int) -> os.stat_result | None:
        """Return the ``stat`` of what a descriptor leads to, or None if it can't be had."""
        try:
            return os.stat(f"{self._prefix}{fd}", dir_fd=self._folder)
        except OSError:
            return None


@contextmanager
def _reader(process: Process) -> "Generator[_Reader]":
    path = f"{process.folder}/fd"
    try:
        folder, names = _listed(path)
    except OSError as error:
        if error.errno not in {errno.EMFILE, errno.ENFILE} or not process.own or not process.real:
            raise process.explain(error, "fd") from None
        yield _Reader(f"{path}/", None, _guessed())
        return
    try:
        own = str(folder) if process.own and process.real else ""
        yield _Reader("", folder, [name for name in names if name.isdecimal() and name != own])
    finally:
        os.close(folder)


def _listed(path: str) -> tuple[int, list[str]]:
    """Open a folder and list it, which needs a second descriptor for as long as it takes."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return folder, os.listdir(folder)  # noqa: PTH208 - of an open folder
    except OSError:
        os.close(folder)
        raise


def _guessed() -> Iterable[str]:
    """Numbers to try where there is no descriptor to list them with: until all were met."""
    total = fds_by_size(os.stat(FD)) if size_is_fds() else None  # noqa: PTH116 - half the cost
    limit = own_rlimit("RLIMIT_NOFILE")
    soft = limit.soft if limit is not None and limit.soft is not None else _MOST_GUESSED
    found = 0
    for fd in range(min(soft, _MOST_GUESSED)):
        try:
            os.fstat(fd)
        except OSError:
            continue
        yield str(fd)
        found += 1
        if found == total:
            return


_MOST_GUESSED = 1 << 20


def _all_told(
    reader: _Reader, links: Mapping[int, str], sockets: Mapping[str, Socket]
) -> list[Descriptor]:
    # What has no number of its own is the same for every descriptor that leads there.
    kinds: dict[str, str] = {}
    found: list[Descriptor] = []
    for fd in sorted(links):
        link = links[fd]
        if link.startswith(_SOCKET):
            each = Descriptor(fd, "socket", link, sockets[link])
        elif link.startswith("pipe:["):
            each = Descriptor(fd, "pipe", link)
        elif (kind := kinds.get(link)) is not None:
            each = Descriptor(fd, kind, link)
        else:
            each = _told(reader, fd, link)
            if not link.endswith(_GONE):
                kinds[link] = each.kind
        found.append(each)
    return found


def _told(reader: _Reader, fd: int, link: str) -> Descriptor:
    if link.startswith("/memfd:"):
        return Descriptor(fd, "memfd", link.removeprefix("/memfd:").removesuffix(_GONE))
    if link.startswith("/"):
        return _path(reader, fd, link)
    name = link.removeprefix("anon_inode:").partition(":")[0].strip("[]")
    return Descriptor(fd, _ANONYMOUS.get(name, "other"), link)


def _path(reader: _Reader, fd: int, link: str) -> Descriptor:
    found = reader.stat(fd)
    if found is None:
        return Descriptor(fd, "deleted file" if link.endswith(_GONE) else "file", link)
    mode = found.st_mode
    if stat.S_ISDIR(mode):
        kind = "directory"
    elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        kind = "device"
    elif stat.S_ISFIFO(mode):
        kind = "pipe"
    elif found.st_nlink == 0:
        # The kernel marks the link, but a file may also be called so: the missing name decides.
        name = link.removesuffix(_GONE)
        return Descriptor(fd, "deleted file", name, size_bytes=found.st_size)
    else:
        kind = "file"
    return Descriptor(fd, kind, link)
