"""The one thread on which all monitors of the process take their samples.

Purpose: regular ticks, however many monitors there are, and no thread while there is none.

Guarantees: ticks of one monitor never overlap; a late tick is made once, not made up for; ``remove``
returns with no tick of that monitor running, or after its timeout, or at once if it is called from a
tick. A child after a fork has no ticker, and may start its own.

States: no thread -> running (while there is something to tick) -> no thread. The thread ends itself under
the lock in which it sees that nothing is left, so that ``add`` either finds it alive or starts another.
"""

import atexit
import os
import threading
from typing import Final, Protocol

from holdfast._core import clock
from holdfast.pools._threads import start_thread

__all__ = ("TICKER", "Ticked", "Ticker")

_AT_EXIT: Final = 1.0


class Ticked(Protocol):
    """Something to be called now and then."""

    def tick(self) -> float:
        """Do what there is to do, never raise, and return in how many seconds to come again."""
        ...


class Ticker:
    """Calls what it was given, each in its own time."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[Ticked, float] = {}
        self._running: Ticked | None = None
        self._ident: int | None = None
        self._done = threading.Condition(self._lock)
        self._waker = threading.Lock()
        self._waker.acquire()
        self._woken = False

    def add(self, ticked: Ticked, delay: float) -> None:
        """Tick it from now on, the first time in ``delay`` seconds.

        Raises:
            RuntimeError: The system refused the thread; nothing was added.
        """
        now = clock.current()
        with self._lock:
            self._due[ticked] = now.now() + delay
            if self._ident is not None:
                self._wake()
                return
            try:
                self._ident = -1  # until the thread says who it is
                start_thread("holdfast:monitor", lambda: self._run(now))
            except RuntimeError:
                self._ident = None
                del self._due[ticked]
                raise

    def remove(self, ticked: Ticked, timeout: float | None = None) -> bool:
        """Tick it no more; False if a tick of it is still running after ``timeout`` real seconds."""
        with self._lock:
            self._due.pop(ticked, None)
            self._wake()
            if self._ident == threading.get_ident():
                return True
            return self._done.wait_for(
                lambda: self._running is not ticked and (bool(self._due) or self._ident is None),
                timeout,
            )

    def __contains__(self, ticked: Ticked) -> bool:
        return ticked in self._due

    def stop(self) -> None:
        """Tick nothing any more: the interpreter ends."""
        with self._lock:
            self._due.clear()
            self._wake()
            self._done.wait_for(lambda: self._ident is None, _AT_EXIT)

    def after_fork(self) -> None:
        """Start clean in a child: the thread stayed with the parent."""
        self._reset()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._waker.release()

    def _run(self, time: clock.Clock) -> None:
        self._ident = threading.get_ident()
        while (wait := self._turn(time)) is not None:
            if wait > 0.0 and time.acquire(self._waker, wait):
                with self._lock:
                    self._woken = False

    def _turn(self, time: clock.Clock) -> float | None:
        """Tick what is due, and return how long to wait; None if there is nothing left."""
        with self._lock:
            self._running = None
            if not self._due:
                self._ident = None
                self._done.notify_all()
                return None
            self._done.notify_all()
            ticked = min(self._due, key=self._due.__getitem__)
            wait = self._due[ticked] - time.now()
            if wait > 0.0:
                return wait
            self._running = ticked
        again = time.now() + ticked.tick()
        with self._lock:
            if ticked in self._due:
                self._due[ticked] = again
        return 0.0


TICKER: Final = Ticker()

atexit.register(TICKER.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=TICKER.after_fork)
