"""A clock that moves only when it is told to, and an event loop that lives by it."""

import asyncio
import selectors
import threading
from typing import TYPE_CHECKING

from holdfast._core import clock
from holdfast._core.clock import Latch

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ("FakeClock",)


class FakeClock:
    """Time for tests: nothing passes until :meth:`advance`, and then at once.

    Put it in use with ``with FakeClock() as time:`` before the pools that shall live by it are made.
    Threads that wait on it really wait, until the time is advanced past their deadline or somebody
    wakes them. An event loop from :meth:`new_event_loop` jumps to its next timer when it has nothing
    else to do, so that ``asyncio.sleep(3600)`` takes no time.

    Args:
        start: What :meth:`now` says at first, in seconds.

    Example:
        >>> with FakeClock() as time:
        ...     before = time.now()
        ...     time.advance(60)
        ...     time.now() - before
        60.0
    """

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._lock = threading.Lock()
        self._waiting: dict[int, float] = {}
        self._changed = threading.Condition(self._lock)
        self._use: AbstractContextManager[object] | None = None

    def __enter__(self) -> "FakeClock":
        self._use = clock.use(self)
        self._use.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._use is not None:
            self._use.__exit__(None, None, None)

    # ------------------------------------------------------------ as a clock

    def now(self) -> float:
        """Seconds since whenever."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Block this thread until the time has been advanced by ``seconds``."""
        latch = threading.Lock()
        latch.acquire()
        self.acquire(latch, seconds)

    def acquire(self, latch: Latch, timeout: float | None) -> bool:
        """Wait for ``latch``; False once the time has been advanced by ``timeout`` seconds."""
        if timeout is None:
            return latch.acquire()
        if timeout <= 0:
            return latch.acquire(blocking=False)
        with self._changed:
            until = self._now + timeout
            self._waiting[id(latch)] = until
            self._changed.notify_all()
        try:
            # Looks again every real millisecond: whoever releases the latch may do so at any time.
            while not latch.acquire(timeout=0.001):
                if self._now >= until:
                    return False
            return True
        finally:
            with self._lock:
                self._waiting.pop(id(latch), None)

    # ------------------------------------------------------------ for the test

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass; whoever waited for a moment in between wakes up."""
        with self._lock:
            self._now += seconds

    def wait_for_waiters(self, count: int, real_timeout: float = 10.0) -> None:
        """Block until ``count`` threads wait for time to pass, so that an advance reaches them.

        Raises:
            TimeoutError: They did not come within ``real_timeout`` real seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiters() >= count, real_timeout):
                msg = f"{self._waiters()} of {count} threads wait on the clock"
                raise TimeoutError(msg)

    def _waiters(self) -> int:
        return sum(until > self._now for until in self._waiting.values())

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return an event loop whose time is this clock's; use it as asyncio's ``loop_factory``."""
        return _FakeTimeLoop(self)


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for no timer: when no event is there, it lets the time pass instead."""

    fake: FakeClock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        # Threads get a real moment to bring what they have, before the time jumps.
        events = super().select(0.005)
        if not events:
            self.fake.advance(timeout)
        return events


class _FakeTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self, fake: FakeClock) -> None:
        selector = _JumpingSelector()
        selector.fake = fake
        super().__init__(selector)
        self._fake = fake

    def time(self) -> float:
        return self._fake.now()
