"""The calls that one pass of a loop brings to one thread pool, handed over together at its end.

Purpose: one lock and one wake-up for a burst, however many coroutines made it.

Guarantees: a call of a burst is handed over before its pass is followed by another one, and before
anybody on that loop asks the pool for its figures, closes it, submits to it, or leaves the call; also
when an interrupt (Ctrl-C) divides the hand-over, which is then done once more.
"""

from typing import Protocol

from holdfast.pools._thread_calls import LoopCall

__all__ = ("Burst",)


class BurstHost(Protocol):
    """What a burst asks of its pool."""

    def take_burst(self, calls: list[LoopCall]) -> None:
        """Give each of the calls a place, and see to it that a worker comes."""
        ...

    def take_rest(self, calls: list[LoopCall]) -> None:
        """Give each of the calls a place that has none."""
        ...


class Burst:
    """Calls in the order in which they came."""

    __slots__ = ("_begun", "calls", "core")

    def __init__(self, core: BurstHost, call: LoopCall) -> None:
        self.core = core
        self.calls = [call]
        self._begun = False

    def at_pass_end(self) -> None:
        """Hand them over."""
        if self._begun:
            self.core.take_rest(self.calls)
        else:
            self._begun = True
            self.core.take_burst(self.calls)
