"""The input of a stream of calls in processes: pulled where that can't hold up anybody else.

A list, a tuple or a range is asked under the lock, by whoever wants an item; an asynchronous input is
pulled on its loop; and whatever may block, or run somebody's code, on a thread of the stream's own.
"""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any, Final

from holdfast._core.clock import Clock
from holdfast.errors import UnderPressure
from holdfast.pools._admission import Admission
from holdfast.pools._feed import Dry
from holdfast.pools._process_puller import Puller
from holdfast.pools._process_turn import Item
from holdfast.pools._stream_engine import StreamEngine, StreamOptions

__all__ = ("QUICK_INPUTS", "ProcessInput")

QUICK_INPUTS: Final = frozenset(
    map(type, (iter([]), iter(()), iter(range(0)), iter(range(1 << 99))))
)
"""Iterators that can be asked under the lock."""


class ProcessInput(StreamEngine, ABC):
    """The first half of the engine: items on their way into its line."""

    __slots__ = ("_left", "_puller", "_quick", "line", "lock")

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
        self.line: deque[Item] = deque()
        self._puller: Puller | None = None
        self._quick = False
        self._left = False  # the consumer has gone

    @abstractmethod
    def hire(self) -> None:
        """One more turn, if there is something for it to do."""

    @abstractmethod
    def check_end(self) -> None:
        """Declare the end, if nothing more will come."""

    def _start_feed(self) -> None:
        assert self.feed is not None  # noqa: S101 - made by start
        self._loop = asyncio.get_running_loop()
        self.feed.start(self._loop)

    def _start_puller(self) -> None:
        self._puller = puller = Puller(self, self.take)
        try:
            puller.start(f"holdfast:{self.admission.name}/input")
        except RuntimeError as error:
            self._puller = None
            self.fail_input(
                self.admission.refusal(
                    UnderPressure, f"the system refused the thread that pulls the input ({error})"
                )
            )
            self.check_end()

    def resume(self) -> None:
        """The consumer has made room; from any thread."""
        self.window.starved = False
        if self.feed is not None:
            self.feed.resume()
        elif self._puller is not None:
            self._puller.resume()
        else:
            self.hire()

    def put_pulled(self, item: Any) -> bool:
        """One more item, from the puller; False if the stream is over."""
        with self.lock:
            if self._left or self.window.error is not None:
                return False
            self.line.append(Item(self.next_index, item))
            self.next_index = self.window.pulled = self.next_index + 1
        self.hire()
        return True

    @property
    def stopped(self) -> bool:
        """Whether nothing more is wanted of the input."""
        return self.exhausted or self._left or self.window.error is not None

    def input_ended(self) -> None:
        """Nothing more will come of the puller."""
        with self.lock:
            self.exhausted = True

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

    def _has_item(self) -> bool:
        """Under the lock: see to it that the line has an item, if one can be had at once."""
        if self.line:
            return True
        if self.exhausted or (self._quick and self.no_room()):
            return False
        if not self._quick and self.feed is None:
            return False
        try:
            item = self.take()
        except StopIteration:
            self.exhausted = True
            return False
        except Dry:
            return False
        self.line.append(Item(self.next_index, item))
        self.next_index += 1
        if self._quick:
            self.window.pulled = self.next_index
        return True

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
        if self._puller is not None:
            self._puller.resume()
        self.check_end()

    def _stop_feed(self) -> None:
        feed, loop = self.feed, self._loop
        if feed is not None and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(feed.stop)

    def _fed(self, error: BaseException | None) -> None:
        if error is not None:
            with self.lock:
                self.note_input_error(error)
        self.hire()
        self.check_end()
