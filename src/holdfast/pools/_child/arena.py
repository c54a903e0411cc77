"""Memory that a pool shares with one of its workers, for what is too large for a pipe.

Purpose: one copy in, one copy out, whatever the size: a pickle is written into the arena as it is made,
and read where it lies. Buffers that the pickle leaves out (protocol 5: arrays and their like) lie
behind it, each at a multiple of 64 bytes.

Guarantees: nothing that was read refers to the arena afterwards. Whoever writes has the arena alone: a
worker has one call at a time, it has read the call before it answers, and the next call is sent after
the answer was read.

Where the system has no memory without a name (``memfd_create``), there is no arena, and everything goes
through the pipe.
"""

from __future__ import annotations

import mmap
import os
import struct
from _pickle import Pickler, loads

TYPE_CHECKING = False  # the module typing takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

__all__ = ("KEPT", "LAYOUT", "Arena", "make_arena_fd")

KEPT = 16 << 20
"""Bytes that an arena keeps between messages."""

_SIZE = struct.Struct("<Q")
LAYOUT = _SIZE
_ALIGN = 64
_FIRST = 1 << 20


def make_arena_fd() -> int:
    """Return a descriptor of shared memory, or -1 where there is none to be had that way."""
    return os.memfd_create("holdfast-arena", os.MFD_CLOEXEC) if hasattr(os, "memfd_create") else -1


class Arena:
    """One side's view of the shared memory. Takes the descriptor over."""

    __slots__ = ("_fd", "_map", "_pos", "_size")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._map: mmap.mmap | None = None
        self._size = 0
        self._pos = 0

    @property
    def usable(self) -> bool:
        """Whether there is any."""
        return self._fd >= 0 or self._map is not None

    def close(self) -> None:
        """Let go of it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._map is not None:
            self._map.close()
            self._map = None

    # ------------------------------------------------------------ in

    def write(self, data: bytes | memoryview) -> int:
        """Take the next piece of a pickle; what a pickler asks of a file."""
        size = len(data) if type(data) is bytes else memoryview(data).nbytes
        start = self._pos
        end = start + size
        if end > self._size:
            self._reserve(end)
        assert self._map is not None  # noqa: S101 - reserved just now
        self._map[start:end] = data
        self._pos = end
        return size

    def dump(self, value: object) -> bytes:
        """Pickle ``value`` into the arena; returns what the other side has to know.

        Raises:
            Exception: It can't be pickled.
        """
        self._pos = 0
        buffers: list[Any] = []
        pickler = Pickler(self, 5, buffer_callback=buffers.append)
        pickler.dump(value)
        return self._close_message(buffers)

    def put(self, data: bytes, buffers: list[Any]) -> bytes:
        """Copy a pickle that was made already; returns what the other side has to know."""
        self._pos = 0
        self.write(data)
        return self._close_message(buffers)

    def _close_message(self, buffers: list[Any]) -> bytes:
        layout = [_SIZE.pack(self._pos)]
        for buffer in buffers:
            with buffer.raw() as raw:
                self._pos = -(-self._pos // _ALIGN) * _ALIGN
                layout.append(_SIZE.pack(raw.nbytes << 1 | raw.readonly))
                self.write(raw)
        return b"".join(layout)

    def _reserve(self, size: int) -> None:
        size = max(_FIRST, 1 << (size - 1).bit_length())
        if self._map is None:
            if os.fstat(self._fd).st_size < size:
                os.ftruncate(self._fd, size)
            self._open()
        if self._size < size:
            assert self._map is not None  # noqa: S101 - opened just now
            self._map.resize(max(size, self._map.size()))
            self._size = len(self._map)

    def _open(self) -> None:
        self._map = mmap.mmap(self._fd, 0)
        os.close(self._fd)  # the map has one of its own
        self._fd = -1
        self._size = len(self._map)

    # ------------------------------------------------------------ out

    def load(self, layout: bytes) -> object:
        """Return what the other side has put there.

        Raises:
            Exception: It can't be unpickled here.
        """
        sizes = [word for (word,) in _SIZE.iter_unpack(layout)]
        self._see()
        assert self._map is not None  # noqa: S101 - seen just now
        with memoryview(self._map) as whole:
            end: int = sizes[0]
            buffers: list[object] = []
            for word in sizes[1:]:
                start = -(-end // _ALIGN) * _ALIGN
                end = start + (word >> 1)
                with whole[start:end] as part:
                    buffers.append(bytes(part) if word & 1 else bytearray(part))
            self._pos = max(self._pos, end)
            with whole[: sizes[0]] as part:
                return loads(part, buffers=buffers)

    def take(self, layout: bytes) -> bytes:
        """Return what :meth:`put` has put there without buffers, as it is."""
        (size,) = _SIZE.unpack(layout)
        self._see()
        assert self._map is not None  # noqa: S101 - seen just now
        return self._map[:size]

    def load_call(self, layout: bytes) -> Any:
        """Return the same, where it is a call: its function and its arguments."""
        return self.load(layout)

    def _see(self) -> None:
        """Map what the other side may have added."""
        if self._map is None:
            self._open()
        elif (size := self._map.size()) > self._size:
            self._map.resize(size)
            self._size = size

    def shrink(self) -> None:
        """Give memory back to the system, if it is much; between messages."""
        if self._map is not None and self._pos > KEPT and hasattr(mmap, "MADV_REMOVE"):
            self._map.madvise(mmap.MADV_REMOVE)
            self._pos = 0
