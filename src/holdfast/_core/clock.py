"""The only module that reads the clock or sleeps, so that tests can put a fake one in its place.

Pools take the clock that is in use when they are made: :func:`current`. A fake clock
(``holdfast.testing.FakeClock``) is put in use with :func:`use`.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

__all__ = ("Clock", "Latch", "SystemClock", "current", "now", "sleep", "use", "wall")


class Latch(Protocol):
    """What a thread can wait on: a raw lock, or anything that acquires and releases like one."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the latch, waiting up to ``timeout`` seconds; False if that was not enough."""
        ...

    def release(self) -> None:
        """Let one waiter through."""
        ...


class Clock(Protocol):
    """Where pools read the time and wait for it to pass."""

    def now(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Block this thread for ``seconds``."""
        ...

    def acquire(self, latch: Latch, timeout: float | None) -> bool:
        """Wait for ``latch`` up to ``timeout`` seconds (None: as long as it takes)."""
        ...


class SystemClock:
    """The machine's monotonic clock."""

    now = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)

    @staticmethod
    def acquire(latch: Latch, timeout: float | None) -> bool:
        """Wait for ``latch``; a timeout beyond what the platform can express is cut to that."""
        if timeout is None:
            return latch.acquire()
        return latch.acquire(timeout=min(timeout, _LONGEST_WAIT))


# What poll() can express in milliseconds: 23 days are "as long as it takes".
_LONGEST_WAIT = 2_000_000.0

_current: Clock = SystemClock()


def current() -> Clock:
    """Return the clock in use."""
    return _current


@contextmanager
def use(clock: Clock) -> Generator[Clock]:
    """Put ``clock`` in use for everything that is made inside the ``with`` block."""
    global _current  # noqa: PLW0603 - the one place where the process keeps its clock
    before = _current
    _current = clock
    try:
        yield clock
    finally:
        _current = before


def now() -> float:
    """Seconds on the clock in use; only differences mean anything."""
    return _current.now()


def sleep(seconds: float) -> None:
    """Block this thread for ``seconds`` on the clock in use."""
    _current.sleep(seconds)


def wall() -> float:
    """Seconds since 1970, for showing to people; never for measuring durations."""
    return time.time()
