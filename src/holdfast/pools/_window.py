"""What lies between the workers of a stream and its consumer: a window of bounded size.

Purpose: hold finished outcomes until they are taken, in input order or as they come, and bound how
many items may be between input and consumer.

Guarantees: never more than ``size`` items pulled and not yet taken; each outcome is taken once; a
consumer that waits is woken when what it waits for is there; workers that stopped for want of room
are called back when there is some.

Why no wake-up is lost, across threads: a worker puts first and looks at ``waiter`` second; the
consumer sets ``waiter`` first and looks at the results second. In the same way the worker sets
``starved`` before it looks at the room again, and the consumer takes before it looks at ``starved``.
"""

import itertools
from collections.abc import Callable
from typing import Any

from holdfast._core.outcome import Outcome

__all__ = ("Window",)


class Window:
    """The state that both sides share. ``pulled`` is written by the workers, ``head`` by the consumer."""

    __slots__ = (
        "_sequence",
        "ended",
        "error",
        "error_at",
        "failed",
        "feed",
        "final_error",
        "head",
        "ordered",
        "pulled",
        "results",
        "size",
        "starved",
        "waiter",
    )

    def __init__(self, size: int, *, ordered: bool, feed: Callable[[], None]) -> None:
        self.size = size
        self.ordered = ordered
        self.feed = feed
        self.results: dict[int, Any] = {}
        self.pulled = 0
        self.head = 0
        self.failed = 0
        self.starved = False
        self.ended = False
        self.waiter: Callable[[], None] | None = None
        # What ends the stream: an item's error at its place, or the source's behind everything.
        self.error: BaseException | None = None
        self.error_at = -1
        self.final_error: BaseException | None = None
        self._sequence = itertools.count()

    def key(self, index: int) -> int:
        """The place of an outcome in the order of delivery."""
        return index if self.ordered else next(self._sequence)

    def put(self, index: int, outcome: Any) -> None:
        """Hand an outcome over."""
        key = index if self.ordered else next(self._sequence)
        self.results[key] = outcome
        if self.waiter is not None and key == self.head:
            self.wake()

    def fail(self, index: int, error: BaseException) -> bool:
        """End the stream at this item; False if an earlier item has ended it already."""
        key = index if self.ordered else next(self._sequence)
        if self.error is not None and self.error_at <= key:
            return False
        self.error_at = key
        self.error = error
        self.wake()
        return True

    def wake(self) -> None:
        """Wake the consumer, if it waits."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            waiter()

    def end(self) -> None:
        """Nothing more will be put."""
        self.ended = True
        self.wake()

    def full(self) -> bool:
        """Whether no further item may be pulled now."""
        return self.pulled - self.head >= self.size

    def hungry(self) -> bool:
        """Whether it is worth calling workers back: a quarter is free, or nothing is left to take."""
        return not self.results or 4 * (self.pulled - self.head) <= 3 * self.size

    def over(self) -> bool:
        """Whether the consumer has taken all that it will ever get."""
        if self.error is not None and self.head >= self.error_at:
            return True
        return self.ended and self.head not in self.results

    def last_word(self) -> BaseException | None:
        """What to raise at the end, or None."""
        if self.error is not None and self.head >= self.error_at:
            return self.error
        return self.final_error

    def outcome(
        self,
        index: int,
        item: Any,
        value: Any,
        error: BaseException | None,
        attempts: int,
        seconds: float,
    ) -> Outcome[Any]:
        """Make the record of one item."""
        return Outcome(index, item, value, error, attempts, seconds)
