"""The lines of a program's output, as they come: one object for ``for`` and ``async for``."""

from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections import deque
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Self

from holdfast._core import check
from holdfast.flow._process_follow import Following
from holdfast.pools import AsyncCalls
from holdfast.track.process.result import ProcessResult
from holdfast.track.process.spec import Spec

__all__ = ("ProcessLines",)


class ProcessLines:
    """The lines of a program's standard output. Made by :func:`holdfast.process_lines`.

    Iterate it once, with ``async for`` in a coroutine or ``for`` in blocking code. Each line is bytes
    with its line end. A reader that pauses stops the program: it waits until there is room again.

    Leaving the loop early, by ``break`` or by an error, ends the program with all that it started;
    ``async with`` and ``with`` do that at the end of their block, and wait for it.

    An error (the timeout, with ``check`` the exit status) is raised behind the lines that were read.

    Args:
        spec: What to run.
        pool: Where; None is the pool of the process.
        max_line_bytes: Longest piece of a line.
        max_buffer_bytes: About how many bytes of lines are read ahead.
    """

    def __init__(
        self, spec: Spec, pool: AsyncCalls | None, *, max_line_bytes: int, max_buffer_bytes: int
    ) -> None:
        self._following = Following(
            spec,
            pool,
            check.count("max_line_bytes", max_line_bytes, least=1),
            check.count("max_buffer_bytes", max_buffer_bytes, least=1),
        )
        self._taken = False

    @property
    def result(self) -> ProcessResult | None:
        """What became of the program, without the lines; None until it has ended by itself."""
        return self._following.result

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._take()
        return _AsyncLines(self._following)

    def __iter__(self) -> Iterator[bytes]:
        if _get_running_loop() is not None:
            msg = "lines in a coroutine would freeze its event loop with `for`; use `async for`"
            raise RuntimeError(msg)
        self._take()
        return _BlockingLines(self._following)

    def _take(self) -> None:
        if self._taken:
            msg = "the lines of a program can be iterated once; run it again for another pass"
            raise RuntimeError(msg)
        self._taken = True

    def close(self) -> None:
        """End the program, and wait for its end; for blocking code. Nothing happens if it has ended."""
        self._taken = True
        self._following.close_blocking()

    async def aclose(self) -> None:
        """End the program, and wait for its end. Nothing happens if it has ended."""
        self._taken = True
        await self._following.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class _AsyncLines:
    """The consumer's end. When it goes, by ``break`` or otherwise, the program is ended."""

    __slots__ = ("_following", "_ready")

    def __init__(self, following: Following) -> None:
        self._following = following
        self._ready: deque[bytes] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._ready:
            self._ready += await self._following.more()
            if not self._ready:
                raise StopAsyncIteration
        return self._ready.popleft()

    def __del__(self) -> None:
        self._following.let_go()


class _BlockingLines:
    """The same for blocking code."""

    __slots__ = ("_following", "_ready")

    def __init__(self, following: Following) -> None:
        self._following = following
        self._ready: deque[bytes] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if not self._ready:
            self._ready += self._following.more_blocking()
            if not self._ready:
                raise StopIteration
        return self._ready.popleft()

    def __del__(self) -> None:
        self._following.let_go()
