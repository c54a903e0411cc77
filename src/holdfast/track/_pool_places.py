"""The places of a resource pool, in their states, under one lock.

Every change is made with the lock held. Whatever takes time (the functions of the user, waking somebody,
asking the timer) is put on the list ``todo`` meanwhile, and done by whoever has just released the lock.
"""

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from holdfast._core.clock import Clock
from holdfast.errors import Rejected
from holdfast.track._later import Later
from holdfast.track._pool_options import PoolOptions
from holdfast.track._pool_slot import CLOSING, IDLE, Slot
from holdfast.track._pool_stats import PoolCounters

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.track._place import Place
    from holdfast.track._pool_home import Home

__all__ = ("PoolPlaces",)

T = TypeVar("T")


class PoolPlaces(Generic[T]):
    """What there is. Used as a context manager, it holds the lock.

    Attributes:
        slots: Places that are taken.
        homes: Where they are.
        idle_count: Resources that are idle, in all homes.
        lent, opening, closing: How many places are in these states.
        fill_home: Where ``min_size`` is to be kept; None while the pool has not been opened.
        closed: Whether the pool lets nobody in any more.
        line: Those who wait, first come first.
        failure, failures: Why the last ``create`` failed, and how many have in a row; None, 0.
        retry_at: Before then none is tried.
        todo: What is to be done when the lock was released.
        later: What was left by finalizers, to be done under the lock.
    """

    def __init__(self, options: PoolOptions, clock: Clock) -> None:
        self.options = options
        self.clock = clock
        self.counters = PoolCounters()
        self.made_at = clock.now()
        self.closed = False
        self.start_clean()

    def start_clean(self) -> None:
        """Begin without any place."""
        self.lock = threading.Lock()
        self.slots: dict[Slot[T], None] = {}
        self.homes: dict[Home[T], None] = {}
        self.fill_home: Home[T] | None = None
        self.idle_count: int = 0
        self.lent: int = 0
        self.opening: int = 0
        self.closing: int = 0
        self.todo: list[tuple[Callable[..., None], Any]] = []
        self.line: OrderedDict[Place[Any], None] = OrderedDict()
        self.failure: BaseException | None = None
        self.failures = 0
        self.retry_at = 0.0
        self.later: Later[Callable[[], object]] = Later()

    def __enter__(self) -> None:
        self.lock.acquire()
        if self.later:
            self.catch_up()

    def __exit__(self, *exc: object) -> None:
        todo = self.todo
        if not todo:
            self.lock.release()
            return  # from here on the list may fill again, with what others are to do
        self.todo = []
        self.lock.release()
        for do, argument in todo:
            do(argument)

    def catch_up(self) -> None:
        """Do what was left by those who could not take the lock."""
        while (work := self.later.take()) is not None:
            work()

    # ------------------------------------------------------------ under the lock

    def refused(self, error: Rejected) -> Rejected:
        """Count a refusal, and return it."""
        self.counters.count_rejected(error.reason)
        return error

    def surplus(self) -> int:
        """By how much there are more than ``max_size``, after a ``resize``; below 0: fewer."""
        return self.open_count() - self.options.max_size

    def pop_idle(self, home: "Home[T]") -> Slot[T] | None:
        """Take out what came back last in a home; what has lived for too long is closed on the way."""
        while home.idle:
            slot = home.idle.pop()
            self.idle_count -= 1
            if self.clock.now() < slot.expires_at:
                return slot
            self.close_slot(slot, "expired")
        return None

    def oldest_idle(self, besides: "Home[T] | None") -> Slot[T] | None:
        """Take out what has been idle for longest in any home but one."""
        stacks = [home.idle for home in self.homes if home.idle and home is not besides]
        if not stacks:
            return None
        self.idle_count -= 1
        return min(stacks, key=lambda stack: stack[0].idle_since).pop(0)

    def make_idle(self, slot: Slot[T]) -> None:
        """A resource is fit to be lent."""
        slot.state = IDLE
        slot.idle_since = self.clock.now()
        slot.home.idle.append(slot)
        self.idle_count += 1

    def close_slot(self, slot: Slot[T], reason: str) -> None:
        """Have a resource closed that is idle, lent or in the middle of a reset; under the lock."""
        slot.state = CLOSING
        slot.reason = reason
        self.closing += 1
        self.counters.count_closed(reason)
        self.todo.append((slot.home.destroy, slot))

    def open_count(self) -> int:
        """Places that are not on their way out; under the lock."""
        return len(self.slots) - self.closing

    def forget_home(self, home: "Home[T]") -> None:
        """A loop has closed, and nothing that belongs to it is left; under the lock."""
        self.homes.pop(home, None)
        if self.fill_home is home:
            self.fill_home = None
