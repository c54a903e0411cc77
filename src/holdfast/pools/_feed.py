"""Pulling an asynchronous input on its loop, for workers that may be anywhere.

One task pulls, when the window has room, and never holds a permit while the input makes it wait.
Workers take from a short line; the task calls them when it has put something there.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any

from holdfast._core.loops import LoopState, loop_state
from holdfast.pools._window import Window

__all__ = ("Dry", "Feed")


class Dry(Exception):
    """Nothing to take now; workers will be called."""


class Feed:
    """The pulling task of one stream and its line of items."""

    def __init__(
        self,
        items: AsyncIterable[Any],
        window: Window,
        *,
        on_item: Callable[[], None],
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        self._source: AsyncIterator[Any] = aiter(items)
        self._window = window
        self._on_item = on_item
        self._on_end = on_end
        self._line: deque[Any] = deque()
        self._over = False
        self._task: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._mailbox: LoopState | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to pull; on the loop."""
        self._mailbox = loop_state(loop)
        self._window.fed = True
        self._task = asyncio.Task(self._pull(loop), loop=loop, name="holdfast:feed")

    def take(self) -> Any:
        """Return the next item; from any thread.

        Raises:
            Dry: Nothing is here now.
            StopIteration: Nothing will come any more.
        """
        try:
            return self._line.popleft()
        except IndexError:
            if self.is_spent():
                raise StopIteration from None
            raise Dry from None

    def has_items(self) -> bool:
        """Whether something can be taken now."""
        return bool(self._line)

    @property
    def over(self) -> bool:
        """Whether the input has ended; items of it may still be here."""
        return self._over

    def is_spent(self) -> bool:
        """Whether the input has ended and all that it gave was taken."""
        return self._over and not self._line

    def resume(self) -> None:
        """There is room again; from any thread."""
        if self._mailbox is not None:
            self._mailbox.post(self)

    def deliver(self) -> None:
        """On the loop: let the task go on."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def stop(self) -> None:
        """Stop pulling and close the input; on the loop."""
        if self._task is not None:
            self._task.cancel()

    async def wait_stopped(self) -> None:
        """Wait for the task to have ended."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _pull(self, loop: asyncio.AbstractEventLoop) -> None:
        window = self._window
        failure: BaseException | None = None
        try:
            while True:
                while window.full():
                    self._room = loop.create_future()
                    window.starved = True
                    if window.full():
                        await self._room
                    window.starved = False
                item = await anext(self._source)
                window.pulled += 1
                self._line.append(item)
                self._on_item()
        except (StopAsyncIteration, asyncio.CancelledError):
            await self._close_source()
        except BaseException as error:  # noqa: BLE001 - the input's error ends the stream, whatever it is
            failure = error
        self._over = True
        window.fed = False
        self._on_end(failure)

    async def _close_source(self) -> None:
        aclose = getattr(self._source, "aclose", None)
        if aclose is not None and hasattr(self._source, "asend"):
            # Its error has nobody to go to: the consumer has left, or has seen the end.
            with contextlib.suppress(Exception):
                await aclose()
