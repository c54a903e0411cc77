"""The input of a stream whose items run on threads or in processes: pulled and ended under one lock.

A list, a tuple or a range runs nobody's code, so it may be asked under the lock; an asynchronous input is
pulled on its loop, by a feed; anything else is pulled without the lock.
"""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any, Final

from holdfast._core.clock import Clock
from holdfast.pools._admission import Admission
from holdfast.pools._stream_engine import StreamEngine, StreamOptions

__all__ = ("QUICK_INPUTS", "StreamInput")

QUICK_INPUTS: Final = frozenset(
    map(type, (iter([]), iter(()), iter(range(0)), iter(range(1 << 99))))
)
"""Iterators that can be asked under the lock."""


class StreamInput(StreamEngine, ABC):
    """The part of an engine that knows what may still be pulled."""

    __slots__ = ("_left", "lock")

    def __init__(
        self,
        admission: Admission,
        clock: Clock,
        fn: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        options: StreamOptions,
    ) -> None:
        super().__init__(admission, clock, fn, items, options)
        self.lock = threading.Lock()
        self._left = False  # the consumer has gone

    @abstractmethod
    def hire(self) -> None:
        """One more turn, if there is something for it to do."""

    @abstractmethod
    def check_end(self) -> None:
        """Declare the end, if nothing more will come."""

    def no_room(self) -> bool:
        """Whether the window is full; then the consumer will call."""
        window = self.window
        if not window.full():
            return False
        window.starved = True
        if window.full():
            return True
        window.starved = False
        return False

    # ------------------------------------------------------------ its end

    def fail_input(self, error: BaseException) -> None:
        """The input has raised: behind everything that it has given."""
        with self.lock:
            self.note_input_error(error)
            self.exhausted = True

    def cut_off(self) -> None:
        """Pull nothing more; from any thread."""
        with self.lock:
            if self.note_exhaustion() or self.window.ended:
                return
            self._note_cut()
            self.exhausted = self.feed is None
        self._stop_feed()  # what is in its line still runs
        self.check_end()

    # ------------------------------------------------------------ of an asynchronous one

    def _start_feed(self) -> None:
        assert self.feed is not None  # noqa: S101 - asked by those who have one
        self._loop = asyncio.get_running_loop()
        self.feed.start(self._loop)

    def _fed(self, error: BaseException | None) -> None:
        if error is not None:
            with self.lock:
                self.note_input_error(error)
        self.hire()
        self.check_end()

    def _stop_feed(self) -> None:
        feed, loop = self.feed, self._loop
        if feed is not None and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(feed.stop)
