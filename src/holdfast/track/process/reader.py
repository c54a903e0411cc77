"""Reads a pipe as it fills, on any event loop, for as long as whoever takes the data wants more.

States: open -> (paused <-> open) -> last call -> ended. A paused reader takes nothing, so the pipe
fills and the program waits: that is the backpressure. After the last call nothing is waited for any
more: what is in the pipe is read, and whoever may still hold its other end is not.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

__all__ = ("CHUNK", "Reader")

CHUNK: Final = 65536

_LAST: Final = 1 << 20
"""Most bytes that are read after the last call: more a pipe can't hold."""


class Reader:
    """The reading end of one pipe.

    Args:
        fd: It is not blocking, and closed by the reader.
        loop: Whose thread calls everything here.
        sink: Takes what has come; returns whether it wants more now.
    """

    __slots__ = ("_fd", "_last", "_loop", "_paused", "_sink", "ended")

    def __init__(
        self, fd: int, loop: asyncio.AbstractEventLoop, sink: Callable[[bytes], bool]
    ) -> None:
        self._fd = fd
        self._loop = loop
        self._sink = sink
        self._paused = False
        self._last = False
        self.ended: asyncio.Future[None] = loop.create_future()

    @property
    def is_open(self) -> bool:
        """Whether the pipe is not closed yet."""
        return self._fd >= 0

    def start(self) -> None:
        """Begin."""
        self._loop.add_reader(self._fd, self._read)

    def _read(self) -> None:
        data = self._take()
        if data is None:
            return
        if not data:
            self.close()
        elif not self._sink(data):
            self._paused = True
            self._loop.remove_reader(self._fd)

    def _take(self) -> bytes | None:
        """What is there; None if nothing is, b"" at the end."""
        try:
            return os.read(self._fd, CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def resume(self) -> None:
        """Whoever takes the data wants more again."""
        if not self._paused or self._fd < 0:
            return
        self._paused = False
        if self._last:
            self._read_last()
        else:
            self._loop.add_reader(self._fd, self._read)

    def last_call(self) -> None:
        """Nothing that matters writes any more: read what there is, and end."""
        if self._fd < 0 or self._last:
            return
        self._last = True
        if not self._paused:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._fd)
            self._read_last()

    def _read_last(self) -> None:
        taken = 0
        while taken < _LAST and (data := self._take()):
            taken += len(data)
            if not self._sink(data):
                self._paused = True
                return
        self.close()

    def close(self) -> None:
        """Close the pipe; what is in it is lost."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            if not self._loop.is_closed():
                self._loop.remove_reader(fd)
            os.close(fd)
        if not self.ended.done() and not self._loop.is_closed():
            self.ended.set_result(None)
