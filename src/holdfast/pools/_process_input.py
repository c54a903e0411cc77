"""The input of a stream of calls in processes: pulled where that can't hold up anybody else.

A list, a tuple or a range is asked under the lock, by whoever wants an item; an asynchronous input is
pulled on its loop; and whatever may block, or run somebody's code, on a thread of the stream's own.
"""

from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any

from holdfast._core.clock import Clock
from holdfast.errors import UnderPressure
from holdfast.pools._admission import Admission
from holdfast.pools._feed import Dry
from holdfast.pools._process_puller import Puller
from holdfast.pools._process_turn import Item
from holdfast.pools._stream_engine import StreamOptions
from holdfast.pools._stream_input import StreamInput

__all__ = ("ProcessInput",)


class ProcessInput(StreamInput):
    """The first half of the engine: items on their way into its line."""

    __slots__ = ("_puller", "_quick", "line")

    def __init__(
        self,
        admission: Admission,
        clock: Clock,
        fn: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        options: StreamOptions,
    ) -> None:
        super().__init__(admission, clock, fn, items, options)
        self.line: deque[Item] = deque()
        self._puller: Puller | None = None
        self._quick = False

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

    def cut_off(self) -> None:
        """Pull nothing more; from any thread."""
        super().cut_off()
        if self._puller is not None:
            self._puller.resume()
