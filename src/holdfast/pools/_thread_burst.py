"""The calls that one pass of a loop brings to one thread pool, handed over together at its end.

Purpose: one lock and one wake-up for a burst, however many coroutines made it.

Guarantees: a call of a burst is handed over before its pass is followed by another one, and before
anybody on that loop asks the pool for its figures, closes it, submits to it, or leaves the call.
"""

from typing import Protocol

from holdfast.pools._thread_calls import LoopCall

__all__ = ("Burst",)


class BurstHost(Protocol):
    """What a burst asks of its pool."""

    def take_burst(self, calls: list[LoopCall]) -> None:
        """Give each of the calls a place, and see to it that a worker comes."""
        ...


class Burst:
    """Calls in the order in which they came."""

    __slots__ = ("calls", "core")

    def __init__(self, core: BurstHost, call: LoopCall) -> None:
        self.core = core
        self.calls = [call]

    def at_pass_end(self) -> None:
        """Hand them over."""
        self.core.take_burst(self.calls)
