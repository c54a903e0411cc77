"""The order in which a pool serves those that wait: a small object that it is given.

Without one, a pool serves first come first served and knows nothing of what is in this module. An
order matters only while calls wait: a free permit goes to whoever asks.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

from holdfast._core import check
from holdfast._core.clock import Clock
from holdfast.pools._order_fair import FairLine
from holdfast.pools._order_line import OrderedLine
from holdfast.pools._order_priority import PriorityLine

__all__ = ("Fair", "Order", "Priority")


class Order(ABC):
    """Who of those that wait is next. One object serves any number of pools.

    Attributes:
        option: What a call says of itself with ``pool.options(...)``: ``"key"`` or ``"priority"``.
    """

    __slots__ = ()
    option: ClassVar[str]

    @abstractmethod
    def line(self, clock: Clock) -> OrderedLine:
        """Return an empty line for one pool, which reads ``clock``."""

    @abstractmethod
    def rank(self, said: Any) -> Any:
        """Check what a call has ``said`` of itself; returns what the line goes by."""


@dataclass(frozen=True, slots=True)
class Fair(Order):
    """Round robin over keys, first come first served within a key: nobody crowds the others out.

    A call says whom it belongs to with ``pool.options(key="session-17")``; calls that say nothing
    share the key None. Between two turns of a key that waits, every other key has at most one, so a
    call that is alone in its key waits for one call of each other key and not for their queues. A
    key is anything hashable and is known only while something of it waits, so there may be any
    number of them in the life of a pool.

    At the bound: those who wait before a full queue (``overflow="wait"``) get their places in turn
    too; ``"drop_oldest"`` drops the oldest call of the key that has most; ``"reject"`` refuses
    whoever comes, of whatever key.

    Cost:
        O(1) for each call that waits, none for one that need not.

    Source:
        J. Nagle, RFC 970 (1985), for queues served in turn; P. McKenney, "Stochastic Fairness
        Queueing" (1990), for the longest of them making room.

    Example:
        >>> import asyncio
        >>> from holdfast.pools import AsyncPool
        >>> async def main():
        ...     async def serve(name):
        ...         served.append(name)
        ...     served = []
        ...     async with AsyncPool(1, order=Fair()) as pool:
        ...         noisy, quiet = pool.options(key="noisy"), pool.options(key="quiet")
        ...         await asyncio.gather(
        ...             pool.run(asyncio.sleep, 0),  # has the only permit, so that the others wait
        ...             noisy.run(serve, "noisy"),
        ...             noisy.run(serve, "noisy again"),
        ...             quiet.run(serve, "quiet"),
        ...         )
        ...     return served
        >>> asyncio.run(main())
        ['noisy', 'quiet', 'noisy again']
    """

    option: ClassVar[str] = "key"

    def line(self, clock: Clock) -> OrderedLine:
        """Return an empty line for one pool; turns need no ``clock``."""
        return FairLine()

    def rank(self, said: Hashable) -> Hashable:
        """Return the key that a call has ``said`` to belong to, if it can be one.

        Raises:
            TypeError: It can't be hashed.
        """
        try:
            hash(said)
        except TypeError as error:
            msg = f"key must be hashable, such as a string or a number, not {said!r}"
            raise TypeError(msg) from error
        return said


@dataclass(frozen=True, slots=True)
class Priority(Order):
    """The most urgent first, while waiting makes everybody more urgent: the low never starve.

    A call says how urgent it is with ``pool.options(priority=5)``: any number, **lower is more
    urgent**, as for ``queue.PriorityQueue`` and ``nice``; calls that say nothing have 0. Each
    ``ageing`` seconds of waiting count as much as one level. So a call of priority 2 lets a call of
    priority 0 pass only if that one comes less than ``2 * ageing`` seconds after it; later ones
    wait for it. Equals are served first come first served.

    At the bound: those who wait before a full queue (``overflow="wait"``) get their places in the
    same order; ``"drop_oldest"`` drops the call that came first, whatever its priority;
    ``"reject"`` refuses whoever comes.

    Args:
        ageing: Seconds of waiting that outweigh one level, more than 0. The larger, the stricter the
            priorities, and the longer a call of low priority may wait.

    Cost:
        O(log n) for each of n calls that wait, none for one that need not.

    Source:
        J. R. Jackson, "Some Problems in Queueing with Dynamic Priorities" (1960).

    Example:
        >>> from holdfast.pools import ThreadPool
        >>> with ThreadPool(4, order=Priority(ageing=10.0)) as pool:
        ...     pool.options(priority=-1).submit(pow, 2, 10).result()
        1024
    """

    ageing: float = 30.0
    option: ClassVar[str] = "priority"

    def __post_init__(self) -> None:
        if check.seconds("ageing", self.ageing) is None:
            msg = "ageing must be more than 0 seconds, not None: without it, the low would starve"
            raise TypeError(msg)

    def line(self, clock: Clock) -> OrderedLine:
        """Return an empty line for one pool, in which calls age by ``clock``."""
        return PriorityLine(self.ageing, clock.now)

    def rank(self, said: Any) -> float:
        """Return the priority that a call has ``said`` to have, if it can be one.

        Raises:
            TypeError: It is no number.
            ValueError: It is not finite, or too large to be weighed against time.
        """
        msg = f"priority must be a finite number (lower is more urgent, 0 is usual), not {said!r}"
        if isinstance(said, bool) or not isinstance(said, int | float):
            raise TypeError(msg)
        if not abs(said) <= _FURTHEST / self.ageing:  # what is not a number is not less either
            raise ValueError(msg)
        return float(said)


_FURTHEST = 1e15
"""Seconds by which a priority may move a call: beyond, sums with the time would lose whole seconds."""
