"""Where the lines go: each whole, each handed to the system before the next.

Guarantees: a line is one ``write`` to a descriptor that only appends, so a kill at any moment
leaves whole lines and at most one torn one, the last. When the disk is full the torn piece is
cut off again. What :meth:`Sink.write` has returned from survives the end of this process; with
``fsync`` it survives the end of the machine too.
Assumptions: nobody else writes to the file; its lock sees to that (``output.py``).
"""

import errno
import os
import select
from contextlib import suppress

from holdfast.cli.map.user_error import FAILED, UserError

__all__ = ("OUTPUT_CLOSED", "Sink")

# What a shell shows for a program that SIGPIPE ended: 128 + 13.
OUTPUT_CLOSED = 141


class Sink:
    """An open OUTPUT.

    Args:
        fd: Open for appending; the sink closes it.
        name: What it is called in messages.
        size: Its length in bytes, whole lines only; None where it is no regular file.
        fsync: Whether each line is forced to the disk.
    """

    __slots__ = ("_fd", "_fsync", "_size", "name")

    def __init__(self, fd: int, name: str, *, size: int | None, fsync: bool = False) -> None:
        self.name = name
        self._fd = fd
        self._size = size
        self._fsync = fsync and size is not None

    @property
    def is_file(self) -> bool:
        """Whether the lines can be read again by a later run."""
        return self._size is not None

    def write(self, line: bytes) -> None:
        """Write one line, its end included.

        Raises:
            UserError: It could not be written whole; nothing of it is left in a regular file.
        """
        try:
            written = self._write_some(line)
            while written < len(line):
                written += self._write_some(line[written:])
            if self._fsync:
                os.fsync(self._fd)
        except OSError as error:
            raise self._failed(error) from error
        if self._size is not None:
            self._size += len(line)

    def close(self) -> None:
        """Close the descriptor, and with it give the lock back."""
        os.close(self._fd)

    def _write_some(self, data: bytes) -> int:
        while True:
            try:
                return os.write(self._fd, data)
            except BlockingIOError:  # a pipe that somebody else has made non-blocking
                select.select([], [self._fd], [])

    def _failed(self, error: OSError) -> UserError:
        if error.errno == errno.EPIPE:
            return UserError(f"nobody reads {self.name} any more", exit_code=OUTPUT_CLOSED)
        if self._size is not None:
            with suppress(OSError):
                os.ftruncate(self._fd, self._size)
        reasons = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
        reason = reasons.get(error.errno or 0, error.strerror or str(error))
        rest = "; all lines before it are whole, and --resume goes on from there"
        msg = f"{self.name} could not be written: {reason}{rest if self._size is not None else ''}"
        return UserError(msg, exit_code=FAILED)
