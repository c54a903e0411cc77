"""Which process is read, and the files that tell about it.

Purpose: the one way into ``/proc`` and ``/sys``. ``root`` puts another tree in their place.
Guarantees: a file of the process that can't be read raises an ``OSError`` that says what was not
readable and what to do; a file of the machine that can't be read is None.
"""

import errno
import os
import sys

from holdfast._core import check
from holdfast.sense._words import number

__all__ = ("LINUX", "Process")

LINUX = sys.platform.startswith("linux")

_CHUNK_BYTES = 1 << 16


class Process:
    """A process to be read: this one, or another by its pid.

    Args:
        pid: None is this process.
        root: The folder in which ``proc`` and ``sys`` are.

    Raises:
        TypeError: ``pid`` is no whole number.
        ValueError: ``pid`` is less than 1.
    """

    __slots__ = ("folder", "linux", "own", "pid", "root")

    def __init__(self, pid: int | None = None, root: str = "/") -> None:
        self.pid = os.getpid() if pid is None else check.count("pid", pid, least=1)
        self.own = self.pid == os.getpid()
        self.root = root.rstrip("/")
        self.linux = LINUX
        self.folder = f"{self.root}/proc/{'self' if self.own else self.pid}"

    @property
    def real(self) -> bool:
        """Whether the kernel's own tree is read, and not a copy."""
        return not self.root

    def read(self, name: str) -> str:
        """Return the text of ``/proc/PID/<name>``.

        Raises:
            ProcessLookupError: There is no such process, as far as can be seen.
            PermissionError: The file belongs to somebody else.
            OSError: Whatever else keeps it from being read.
        """
        try:
            return _read(f"{self.folder}/{name}")
        except OSError as error:
            raise self.explain(error, name) from None

    def names(self, folder: str) -> list[str]:
        """Return what is in ``/proc/PID/<folder>``.

        Raises:
            OSError: As :meth:`read`.
        """
        try:
            return os.listdir(f"{self.folder}/{folder}")  # noqa: PTH208 - the cheapest way
        except OSError as error:
            raise self.explain(error, folder) from None

    @property
    def machine_folder(self) -> str:
        """The process's folder for :meth:`machine`, which puts the root before it."""
        return self.folder.removeprefix(self.root)

    def status(self) -> dict[str, str]:
        """Return the fields of ``/proc/PID/status``; a line without a colon is left out.

        Raises:
            OSError: As :meth:`read`.
        """
        lines = (line.partition(":") for line in self.read("status").splitlines())
        return {name: value.strip() for name, found, value in lines if found}

    def machine(self, path: str) -> str | None:
        """Return the text of a file under ``root``, or None if it can't be read."""
        try:
            return _read(f"{self.root}{path}")
        except OSError:
            return None

    def machine_number(self, path: str) -> int | None:
        """Return the whole number that a file under ``root`` begins with, or None."""
        return number(self.machine(path))

    def explain(self, error: OSError, name: str) -> OSError:
        """Return ``error`` in words: what could not be read, and what to do."""
        if not os.path.exists(self.folder):  # noqa: PTH110 - pathlib is dear to import
            return self._explain_missing()
        what = f"{self.folder}/{name}"
        if error.errno in {errno.EACCES, errno.EPERM}:
            told = (
                f"{what} may not be read by user {os.geteuid()}: run as the user who owns"
                f" process {self.pid}, or as root (CAP_SYS_PTRACE)"
            )
        elif error.errno in {errno.EMFILE, errno.ENFILE}:
            told = f"{what} can't be read because no descriptor is left to open it: close some"
        elif error.errno in {errno.ENOENT, errno.ESRCH}:
            told = f"{what} is not there: process {self.pid} has just ended, or the kernel lacks it"
        else:
            told = f"{what} can't be read: {error.strerror}"
        return type(error)(error.errno, told)

    def _explain_missing(self) -> OSError:
        if not os.path.exists(f"{self.root}/proc/self"):  # noqa: PTH110 - as above
            told = f"{self.root}/proc is not mounted, so that processes can't be read: mount it"
            return FileNotFoundError(errno.ENOENT, told)
        told = (
            f"no process {self.pid} can be seen: it has ended, or it is hidden (hidepid, another"
            " pid namespace): run as its user or as root, in its container"
        )
        return ProcessLookupError(errno.ESRCH, told)


def _read(path: str) -> str:
    # A file of /proc has no size: it is read until it ends. Raw calls cost half of what open() does.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts: list[bytes] = []
        while part := os.read(fd, _CHUNK_BYTES):
            parts.append(part)
    finally:
        os.close(fd)
    return b"".join(parts).decode("utf-8", "replace")
