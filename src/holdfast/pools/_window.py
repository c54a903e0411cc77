"""What lies between the workers of a stream and its consumer: a window of bounded size.

Purpose: hold finished outcomes until they are taken, in input order or as they come, and bound how
many items may be between input and consumer.

Guarantees: never more than ``size`` items pulled and not yet taken; each outcome is taken once; a
consumer that waits is woken when what it waits for is there; workers that stopped for want of room
are called back when there is some.

An outcome goes to ``ready``, from where the consumer takes it, or waits in ``held`` for those before
it. ``next`` counts what has ever become ready; so ``pulled - next + len(ready)`` items are inside.

Who writes what: the engine everything but ``waiter`` and its taking from ``ready``, on one thread or
under one lock; the consumer these two. Why no wake-up is lost between them: a worker puts first and
looks at ``waiter`` second; the consumer sets ``waiter`` first and looks at ``ready`` second. In the
same way a worker sets ``starved`` before it looks at the room again, and the consumer takes before
it looks at ``starved``.
"""

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any, Final

__all__ = ("QUICK", "WIDEST", "Window")

QUICK: Final = 20e-6
"""Seconds for an item from input to consumer under which a hand-over between threads costs more."""

WIDEST: Final = 1024
"""Most items in an elastic window."""


class Window:
    """The state that both sides share; to a pool, the tally of the stream's items."""

    __slots__ = (
        "_cut_off",
        "_full_at",
        "_narrow",
        "_passed",
        "ended",
        "error",
        "error_at",
        "express",
        "failed",
        "fed",
        "feed",
        "final_error",
        "held",
        "next",
        "ordered",
        "outcomes",
        "pulled",
        "ready",
        "sequence",
        "size",
        "starved",
        "under_way",
        "waiter",
    )

    def __init__(
        self,
        size: int,
        *,
        ordered: bool,
        outcomes: bool,
        feed: Callable[[], None],
        cut_off: Callable[[], None],
    ) -> None:
        self.size = self._narrow = size
        self._full_at = 0.0  # when it was last found full, and what had passed through it by then
        self._passed = 0
        self.ordered = ordered
        self.outcomes = outcomes
        self.feed = feed
        self._cut_off = cut_off
        self.ready: deque[Any] = deque()
        self.held: dict[int, Any] = {}
        self.next = 0
        self.pulled = 0
        self.failed = 0
        self.under_way = False  # it has had a permit
        self.fed = False  # an asynchronous input is being pulled, perhaps this very moment
        self.starved = False
        self.ended = False
        self.waiter: Callable[[], None] | None = None
        # What ends the stream: an item's error at its place, or the input's behind everything.
        self.error: BaseException | None = None
        self.error_at = -1
        self.final_error: BaseException | None = None
        # Whether outcomes are put without a lock, all in ``held``, from where the consumer lets go of
        # them by itself; then ``next`` is the consumer's to write, and ``sequence`` orders them.
        self.express = False
        self.sequence = itertools.count().__next__

    # ------------------------------------------------------------ the workers' side

    def put(self, index: int, outcome: Any) -> None:
        """Hand an outcome over."""
        if self.ordered:
            if index != self.next:
                self.held[index] = outcome
                return
        elif self.error is not None:
            return  # it comes behind the error
        self.ready.append(outcome)
        self.next += 1
        if self.held:
            self.release()
        if self.waiter is not None:
            self.wake()

    def release(self) -> None:
        """Let go of the outcomes that were held for the one that has just become ready."""
        held, ready = self.held, self.ready
        while self.next in held:
            ready.append(held.pop(self.next))
            self.next += 1

    def fail(self, index: int, error: BaseException) -> bool:
        """End the stream at this item; False if an earlier one has ended it already."""
        key = index if self.ordered else self.sequence() if self.express else self.next
        if self.error is not None and self.error_at <= key:
            return False
        self.error_at = key
        self.error = error
        self.wake()
        return True

    def end(self) -> None:
        """Nothing more will be put."""
        self.ended = True
        self.wake()

    def full(self) -> bool:
        """Whether no further item may be pulled now."""
        return self.pulled - self.next + len(self.ready) >= self.size

    def adapt(self, now: float) -> None:
        """Full again: widen the window if items rush through it, or take it back when they don't.

        For streams that may choose their own buffer; under the lock of those who pull.
        """
        passed, took = self.next - self._passed, now - self._full_at
        if self._full_at == 0.0:
            self._passed, self._full_at = self.next, now
        elif passed:
            self._passed, self._full_at = self.next, now
            if took > passed * QUICK:
                self.size = self._narrow
            elif took > 0.0:
                self.size = max(self.size, min(4 * self.size, WIDEST))

    def wake(self) -> None:
        """Wake the consumer, if it waits."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            waiter()

    # ------------------------------------------------------------ the consumer's side

    def hungry(self) -> bool:
        """Whether it is worth calling workers back: a quarter is free, or nothing is left to take."""
        ready = len(self.ready)
        return not ready or 4 * (self.pulled - self.next + ready) <= 3 * self.size

    def over(self) -> bool:
        """Whether the consumer has taken all that it will ever get."""
        # The end is read before the line: what is put last is put before the end is declared.
        over = self.ended or (self.error is not None and self.next >= self.error_at)
        return over and not self.ready and self.next not in self.held

    def last_word(self) -> BaseException | None:
        """What to raise at the end, or None."""
        if self.error is not None and self.next >= self.error_at:
            return self.error
        return self.final_error

    # ------------------------------------------------------------ the pool's side

    def cut_off(self) -> None:
        """Have the stream pull nothing more; from any thread."""
        self._cut_off()

    def pending(self) -> bool:
        """Whether it has work to do that nobody's taking can end: items without an outcome."""
        return self.under_way and (self.fed or self.pulled > self.done())

    def done(self) -> int:
        """Items that have an outcome."""
        return self.next + len(self.held)

    @property
    def completed(self) -> int:
        """Items whose function has returned."""
        done = self.done()
        return done - self.failed if self.outcomes else done
