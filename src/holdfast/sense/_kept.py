"""A file of ``/proc`` that is kept open, and found out if it is no longer ours.

Guarantees: no child gets the descriptor by ``exec``; a number that was closed behind our back, and
may belong to somebody else by now, is neither read nor closed. Not for several threads at once.
States: closed, open; ``stat`` and ``read`` open, ``close`` closes.
"""

import os

__all__ = ("Kept",)

_NO_FD = -1


class Kept:
    """One kept descriptor, opened when it is first used.

    Args:
        path: What to open for reading.
        flags: More flags of ``open(2)``.
    """

    __slots__ = ("_flags", "_identity", "fd", "path")

    def __init__(self, path: str, flags: int = 0) -> None:
        self.path = path
        self.fd = _NO_FD
        self._flags = flags | os.O_RDONLY | os.O_CLOEXEC
        self._identity = (0, 0)

    def stat(self) -> os.stat_result:
        """Return the ``stat`` of the file; if it can't be kept open, by its path.

        Raises:
            OSError: The file can't be looked at either way.
        """
        found = self._ours()
        if found is not None:
            return found
        try:
            return self._open()
        except OSError:
            return os.stat(self.path)  # noqa: PTH116 - half the cost of Path.stat

    def read(self, most_bytes: int) -> bytes:
        """Return what the file says now, from its beginning.

        Raises:
            OSError: It can't be opened, or not be read.
        """
        if self._ours() is None:
            self._open()
        return os.pread(self.fd, most_bytes, 0)

    def close(self) -> None:
        """Let go of the descriptor; may be repeated, and the file be used again."""
        if self._ours() is not None:
            os.close(self.fd)
        self.fd = _NO_FD

    def _ours(self) -> os.stat_result | None:
        """The file's ``stat`` if the number still stands for what was opened under it."""
        if self.fd == _NO_FD:
            return None
        try:
            found = os.fstat(self.fd)
        except OSError:
            return None
        return found if (found.st_ino, found.st_dev) == self._identity else None

    def _open(self) -> os.stat_result:
        self.fd = os.open(self.path, self._flags)
        found = os.fstat(self.fd)
        self._identity = (found.st_ino, found.st_dev)
        return found
