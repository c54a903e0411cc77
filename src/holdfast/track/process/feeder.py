"""Gives a program its input, as fast as it takes it.

A program that ends, or closes its input, without having read all of it has had enough: that is no
error, as in a shell.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable
from typing import Any, cast

__all__ = ("Feeder", "own_descriptor")


def own_descriptor(given: object) -> int | None:
    """Return the descriptor of an open file, which the program can read by itself; None for other input."""
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    fileno = getattr(given, "fileno", None)
    if fileno is None:
        return None
    try:
        return int(fileno())
    except OSError:  # a file in memory
        return None


class Feeder:
    """The writing end of one pipe. For its loop's thread.

    Args:
        fd: It is not blocking, and closed by the feeder.
        loop: Whose thread calls everything here.
    """

    __slots__ = ("_fd", "_loop", "_ready")

    def __init__(self, fd: int, loop: asyncio.AbstractEventLoop) -> None:
        self._fd = fd
        self._loop = loop
        self._ready: asyncio.Future[None] | None = None

    def feed_at_once(self, given: object) -> object:
        """Write what the pipe takes without waiting; returns what is left to :meth:`feed`, None for nothing."""
        if not _is_bytes(given):
            return given
        rest = self._write(memoryview(cast("bytes", given)).cast("B"))
        if rest:
            return rest
        self.close()
        return None

    async def feed(self, given: object) -> None:
        """Write all of ``given``, and close the pipe.

        Raises:
            TypeError: The input is none, or has an item that is not bytes.
            Exception: Whatever the input raised.
        """
        source = _pieces(given)
        try:
            async for piece in source:
                if not _is_bytes(piece):
                    msg = f"input must give bytes, not {piece!r}; encode text first"
                    raise TypeError(msg)
                if not await self._write_all(memoryview(piece).cast("B")):
                    return
        finally:
            self.close()
            if isinstance(source, AsyncGenerator):
                await source.aclose()

    async def _write_all(self, data: memoryview) -> bool:
        """Write all of it; returns whether somebody still reads."""
        rest = self._write(data)
        while rest:
            await self._writable()
            rest = self._write(rest)
        return rest is not None

    def _write(self, data: memoryview) -> memoryview | None:
        """Write what the pipe takes; returns the rest, or None if nobody reads any more."""
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                break
            except OSError:  # BrokenPipeError, or closed meanwhile
                return None
        return data

    async def _writable(self) -> None:
        self._ready = self._loop.create_future()
        self._loop.add_writer(self._fd, self._tell)
        try:
            await self._ready
        finally:
            self._forget()

    def _tell(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def _forget(self) -> None:
        if self._ready is not None and self._fd >= 0 and not self._loop.is_closed():
            self._loop.remove_writer(self._fd)
        self._ready = None

    def close(self) -> None:
        """Close the pipe: the program sees the end of its input."""
        self._forget()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _is_bytes(given: object) -> bool:
    return isinstance(given, bytes | bytearray | memoryview)


def _pieces(given: Any) -> AsyncIterator[Any]:
    if _is_bytes(given):
        return _each((given,))
    if hasattr(given, "__aiter__"):
        return aiter(given)
    if hasattr(given, "__iter__"):
        return _each(given)
    msg = f"input must be bytes, an open file, or an iterable of bytes, not {given!r}"
    raise TypeError(msg)


async def _each(items: Iterable[Any]) -> AsyncGenerator[Any]:
    iterator = iter(items)
    try:
        for item in iterator:
            yield item
    finally:
        if isinstance(iterator, Generator):
            iterator.close()
