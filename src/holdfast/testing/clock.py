"""A clock that moves only when it is told to, and an event loop that lives by it."""

import asyncio
import contextlib
import heapq
import itertools
import selectors
import threading

from holdfast._core import clock
from holdfast._core.clock import Latch

__all__ = ("FakeClock",)


class FakeClock:
    """Time for tests: nothing passes until :meth:`advance`, and then at once.

    Put it in use with ``with FakeClock() as time:`` before the pools that shall live by it are made.
    Threads that wait on it really wait, until the time is advanced past their deadline or somebody
    wakes them. An event loop from :meth:`new_event_loop` jumps to its next timer when it has nothing
    else to do, so that ``asyncio.sleep(3600)`` takes no time.

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
        self._waits: list[tuple[float, int, _Wait]] = []
        self._order = itertools.count()
        self._changed = threading.Condition(self._lock)
        self._use: contextlib.AbstractContextManager[object] | None = None

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
        wait = _Wait(latch)
        with self._changed:
            if timeout <= 0:
                return latch.acquire(blocking=False)
            heapq.heappush(self._waits, (self._now + timeout, next(self._order), wait))
            self._changed.notify_all()
        latch.acquire()
        with self._lock:
            wait.latch = None
            return not wait.expired

    # ------------------------------------------------------------ for the test

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, and wake whoever waited for a moment in between."""
        with self._lock:
            self._now += seconds
            while self._waits and self._waits[0][0] <= self._now:
                _, _, wait = heapq.heappop(self._waits)
                if wait.latch is not None:
                    wait.expired = True
                    with contextlib.suppress(RuntimeError):  # woken by somebody in this very moment
                        wait.latch.release()

    def wait_for_waiters(self, count: int, real_timeout: float = 10.0) -> None:
        """Block until ``count`` threads wait for time to pass, so that an advance reaches them.

        Raises:
            TimeoutError: They did not come within ``real_timeout`` real seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting() >= count, real_timeout):
                msg = f"{self._waiting()} of {count} threads wait on the clock"
                raise TimeoutError(msg)

    def _waiting(self) -> int:
        return sum(wait.latch is not None and not wait.expired for _, _, wait in self._waits)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return an event loop whose time is this clock's; use it as asyncio's ``loop_factory``."""
        return _FakeTimeLoop(self)


class _Wait:
    __slots__ = ("expired", "latch")

    def __init__(self, latch: Latch) -> None:
        self.latch: Latch | None = latch  # None once the wait is over
        self.expired = False


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
