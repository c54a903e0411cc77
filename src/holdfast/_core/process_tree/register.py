"""What runs, in memory that this program and its keeper share: written here, read there at the end.

A message for each start would wake the keeper each time, which costs more than all else that is done
for it. Nobody is woken by this. The memory lives as long as one of the two has it, so it survives the
program that is killed.

A place holds two numbers: the process, and when it started. ``ABOUT`` in place of the process says that
something is about to start. The second number is written first, so a place is never half of two.
"""

import mmap
import os
import tempfile
from collections.abc import Iterator
from typing import Final

__all__ = ("ABOUT", "Register")

PLACES: Final = 4096
ABOUT: Final = -1
_BYTES: Final = PLACES * 16


class Register:
    """The shared memory.

    Args:
        fd: The file of an existing one; -1 makes a new one.

    Raises:
        OSError: No descriptor or memory is left.
    """

    def __init__(self, fd: int = -1) -> None:
        self.fd = fd if fd >= 0 else _make_file()
        try:
            self._memory = mmap.mmap(self.fd, _BYTES)
        except BaseException:
            os.close(self.fd)
            raise
        self._numbers = memoryview(self._memory).cast("q")
        self._free = list(range(PLACES - 1, -1, -1)) if fd < 0 else []

    def take(self) -> int:
        """Return a place that says that something is about to start; -1 if there is none."""
        if not self._free:
            return -1  # it is still found by its mark
        place = self._free.pop()
        self.put(place, ABOUT, 0)
        return place

    def put(self, place: int, pid: int, started: int) -> None:
        """Say what runs there."""
        if place >= 0:
            self._numbers[2 * place + 1] = started
            self._numbers[2 * place] = pid

    def give_back(self, place: int) -> None:
        """Nothing runs there any more."""
        if place >= 0:
            self.put(place, 0, 0)
            self._free.append(place)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """What runs, or is about to start."""
        for place in range(PLACES):
            if self._numbers[2 * place]:
                yield self._numbers[2 * place], self._numbers[2 * place + 1]

    def close(self) -> None:
        """Let go of the memory."""
        self._numbers.release()
        self._memory.close()
        os.close(self.fd)


def _make_file() -> int:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("holdfast", os.MFD_CLOEXEC)
    else:
        fd, path = tempfile.mkstemp(prefix="holdfast-")
        os.unlink(path)  # noqa: PTH108 - no object for one word
    try:
        os.truncate(fd, _BYTES)
    except BaseException:
        os.close(fd)
        raise
    return fd
