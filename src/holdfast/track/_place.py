"""A place in a line: somebody who waits for something, a coroutine in its loop or a thread.

Purpose: one line for coroutines of any loops and for threads, in which a hand-over that comes too late
is refused and goes on to the next, and nothing is lost at whatever moment somebody leaves.

States: WAITING -> SERVED (something was put into its hands) | REFUSED (an error was) | GONE (it left).
Every change is made by the host (the pool, the supply) under the host's lock, so each place leaves
WAITING once. What a place holds when it is SERVED belongs to whoever waits: it takes it, or gives it
back. Who that is:

- a thread wakes up and takes it; if its wait is broken off (a timeout, Ctrl-C) it calls ``leave``,
  and is told there whether it was served in the same moment;
- a coroutine is woken by its future; if it is cancelled meanwhile, likewise;
- a coroutine that is thrown away (``GeneratorExit``, perhaps from the collector, perhaps in a thread
  that holds the host's lock) calls ``leave_later``, which takes no lock that is not free;
- a coroutine whose loop has closed will never run: ``wake`` says so, or ``deliver`` calls ``unheard``,
  and the host passes what it holds on to the next.

Why no wake-up is lost: the state is decided before ``wake``, and a latch or a mailbox remembers it.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Any, Final, Generic, Protocol, TypeVar

from holdfast._core.clock import Clock
from holdfast._core.latch import closed_lock
from holdfast._core.loops import loop_state

__all__ = (
    "GONE",
    "REFUSED",
    "SERVED",
    "WAITING",
    "Host",
    "LoopPlace",
    "Place",
    "ThreadPlace",
)

WAITING, SERVED, REFUSED, GONE = range(4)

T = TypeVar("T")


class Host(Protocol):
    """What keeps the line. Every method may be called from any thread."""

    def leave(self, place: Any, /) -> None:
        """The wait was broken off: take the place out, or take back what it was served."""
        ...

    def leave_later(self, place: Any, /) -> None:
        """The same, from a place where no lock may be waited for."""
        ...

    def expire(self, place: Any, /) -> None:
        """It has waited for its whole timeout: refuse it, unless it was served in time."""
        ...

    def unheard(self, place: Any, /) -> None:
        """Nobody will ever take what it was served: pass that on."""
        ...


class Place(ABC, Generic[T]):
    """What both kinds have in common.

    Attributes:
        state: See above; changed under the host's lock.
        thing: What it was served, while it is SERVED.
        error: Why it was refused, while it is REFUSED.
        since: When it came into the line, by the host's clock.
        loop: The loop in which it waits; None for a thread.
        wants: How much it waits for, or whatever else the host has to know.
    """

    __slots__ = ("error", "loop", "since", "state", "thing", "wants")

    def __init__(self, since: float, wants: Any = None) -> None:
        self.state = WAITING
        self.thing: T | None = None
        self.error: Exception | None = None
        self.since = since
        self.wants = wants
        self.loop: asyncio.AbstractEventLoop | None = None

    @abstractmethod
    def wake(self) -> bool:
        """Bring the news; False if nobody will ever hear them. Without the host's lock."""

    def outcome(self) -> T:
        """Return what it was served, or raise why it was refused; for the one who waited."""
        if self.error is not None:
            raise self.error
        thing, self.thing = self.thing, None  # what is dropped later must not be kept alive here
        assert thing is not None  # noqa: S101 - it was woken, and is not refused
        return thing


class ThreadPlace(Place[T]):
    """A thread that waits, parked on a lock of its own."""

    __slots__ = ("_latch",)

    def __init__(self, since: float, wants: Any = None) -> None:
        super().__init__(since, wants)
        self._latch: Final = closed_lock()

    def wake(self) -> bool:
        """Let the thread go on."""
        self._latch.release()
        return True

    def wait(self, host: Host, clock: Clock, timeout: float | None) -> T:
        """Block until it is served or refused, or ``timeout`` seconds have passed."""
        try:
            if not clock.acquire(self._latch, timeout):
                host.expire(self)
            return self.outcome()
        except BaseException:
            host.leave(self)
            raise


class LoopPlace(Place[T]):
    """A coroutine that waits in its loop."""

    __slots__ = ("_due", "_future", "_host", "_mailbox")

    def __init__(
        self, since: float, loop: asyncio.AbstractEventLoop, host: Host, wants: Any = None
    ) -> None:
        super().__init__(since, wants)
        self.loop = loop
        self._host: Final = host
        self._mailbox: Final = loop_state(loop)
        self._future: asyncio.Future[None] = loop.create_future()

    def wake(self) -> bool:
        """Bring the news to the loop."""
        if self._mailbox.is_here():
            if self._mailbox.closing:
                return False
            self._set()
            return True
        return self._mailbox.post(self)

    def deliver(self) -> None:
        """On the loop: the news have come."""
        if self._mailbox.closing:
            self._host.unheard(self)
        else:
            self._set()

    def expire(self) -> None:
        """On the loop: it has waited for its whole timeout."""
        self._host.expire(self)
        self._set()

    def _set(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, timeout: float | None) -> T:
        """Wait until it is served or refused, or ``timeout`` seconds have passed."""
        mailbox = self._mailbox
        due = None if timeout is None else mailbox.watch(self, timeout)
        try:
            await self._future
        except GeneratorExit:
            # Perhaps in another thread, so the loop's timer is left alone: it will find the place gone.
            self._host.leave_later(self)
            raise
        except BaseException:
            self._host.leave(self)
            self._unwatch(due)
            raise
        self._unwatch(due)
        return self.outcome()

    def _unwatch(self, due: float | None) -> None:
        if due is not None:
            self._mailbox.unwatch(self, due)
