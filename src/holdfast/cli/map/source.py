"""Where the items come from: a regular file, or something that has to be waited for.

Guarantees: holds one piece of the input and no more; what was pulled and is not settled yet stands
in ``taken``; after :meth:`Source.stop` no further item comes, even if a read never returns.
"""

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

from holdfast.cli.map.intake import BadLineError, Intake
from holdfast.cli.map.item import Item
from holdfast.cli.map.lines import LineSplitter, LineTooLongError
from holdfast.pools.thread_pool import ThreadPool

__all__ = ("FileSource", "PipeSource", "Source")

_PIECE_BYTES = 1 << 16


class Source(ABC):
    """An open INPUT.

    Args:
        fd: Open for reading; not closed here.
        intake: Makes items of lines.

    Attributes:
        intake: The same.
        taken: Items that were pulled and are not settled yet, by index, in the order of the input.
        trouble: Why the input ended before its end, as a sentence; None if it did not.
        exhausted: Whether the input has been read to its end.
    """

    def __init__(self, fd: int, intake: Intake) -> None:
        self.intake = intake
        self.taken: dict[int, Item] = {}
        self.trouble: str | None = None
        self.exhausted = False
        self._fd = fd
        self._stopped = False
        self._splitter = LineSplitter()

    @abstractmethod
    def items(self) -> Iterable[Item] | AsyncIterable[Item]:
        """Return the items, lazily; to be called once."""

    @abstractmethod
    def fraction(self) -> float | None:
        """How much of the input has been taken, from 0 to 1; None where its size is unknown."""

    def halt(self) -> None:
        """Let no further item come. May be called from anywhere, a signal handler included."""
        self._stopped = True

    def stop(self) -> None:
        """End the input here. Called on the loop."""
        self.halt()

    def _items_of(self, piece: bytes) -> Iterator[Item]:
        """Yield the items that end in ``piece``; ``b""`` is the end of the input."""
        take = self.intake.take
        try:
            for line in self._splitter.feed(piece) if piece else self._splitter.finish():
                if self._stopped:
                    return
                item = take(line)
                if item is not None:
                    self.taken[item.index] = item
                    yield item
            self.exhausted = not piece and not self._stopped
        except BadLineError as error:
            self._give_up(
                f"line {self.intake.lines} of {self.intake.name} {error} (all before it is done; "
                "--skip-bad records such lines as errors and goes on)"
            )
        except LineTooLongError as error:
            self._give_up(f"line {self.intake.lines + 1} of {self.intake.name} is {error}")

    def _is_over(self) -> bool:
        return self._stopped or self.exhausted

    def _give_up(self, trouble: str) -> None:
        self.trouble = trouble
        self._stopped = True

    def _cannot_read(self, error: OSError) -> str:
        return f"{self.intake.name} can't be read on: {error.strerror or error}"


class FileSource(Source):
    """A regular file: reading it never waits for anybody, so it is read where it is needed."""

    def items(self) -> Iterator[Item] | AsyncIterator[Item]:
        """Return the items, lazily; to be called once.

        Where an earlier run may have left much to skip, the iterator is an asynchronous one: it
        lets the loop turn after each piece, which a million skipped lines would hold for seconds.
        """
        return self._read() if self.intake.past is None else self._read_in_turns()

    def _read(self) -> Iterator[Item]:
        while (piece := self._next_piece()) is not None:
            yield from self._items_of(piece)

    async def _read_in_turns(self) -> AsyncIterator[Item]:
        while (piece := self._next_piece()) is not None:
            for item in self._items_of(piece):
                yield item
            await asyncio.sleep(0)

    def _next_piece(self) -> bytes | None:
        """Read on; ``b""`` once at the end, None behind it or where the input was stopped."""
        if self._is_over():
            return None
        try:
            return os.read(self._fd, _PIECE_BYTES)
        except OSError as error:
            self._give_up(self._cannot_read(error))
            return None

    def fraction(self) -> float | None:
        """How much of the file has been taken, by bytes."""
        if self.exhausted:
            return 1.0
        size = os.fstat(self._fd).st_size
        return min(1.0, self.intake.taken_bytes / size) if size else None


class PipeSource(Source):
    """A pipe, a terminal or a socket: read by a thread of its own, as its next line may never come.

    A read that does not return is left behind by :meth:`stop`; it ends with the process.
    """

    def __init__(self, fd: int, intake: Intake, pool: ThreadPool) -> None:
        super().__init__(fd, intake)
        self._pool = pool
        self._read: asyncio.Task[bytes] | None = None

    async def items(self) -> AsyncIterator[Item]:
        """Yield the items as they come; to be called once."""
        while (piece := await self._next_piece()) is not None:
            for item in self._items_of(piece):
                yield item

    async def _next_piece(self) -> bytes | None:
        """Read what there is, waiting for it; like that of a file."""
        if self._is_over():
            return None
        self._read = asyncio.ensure_future(self._pool.run(os.read, self._fd, _PIECE_BYTES))
        try:
            return await self._read
        except asyncio.CancelledError:
            if self._stopped:  # it was stop() that cancelled the read, and nobody this task
                return None
            raise
        except OSError as error:
            self._give_up(self._cannot_read(error))
            return None

    def fraction(self) -> float | None:
        """All or nothing: nobody knows how much is still to come."""
        return 1.0 if self.exhausted else None

    def stop(self) -> None:
        """End the input here, and wait for no read that is under way. Called on the loop."""
        super().stop()
        if self._read is not None:
            self._read.cancel()
