"""The event loop for blocking code: one thread with one loop, for as long as somebody borrows it.

States: none -> running (borrowed by at least one) -> retired (the last one gave it back; it cancels
what is left on it and ends) . A retired bridge is never borrowed again: the next borrower gets a new
one. All changes of that happen under one lock.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from holdfast._core.loops import loop_state
from holdfast.pools._threads import start_thread

__all__ = ("Bridge",)

_current: "Bridge | None" = None


class Bridge:
    """A running loop in a thread of its own. Made by :meth:`borrow` only."""

    lock = threading.Lock()
    """Held for every change of who borrows the process's bridge."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        loop_state(
            self.loop
        )  # made while nobody else can see the loop; callers in threads post to it
        self._borrowers = 0
        try:
            self._thread = start_thread("holdfast:loop", self._run)
        except BaseException:
            self.loop.close()
            raise

    @staticmethod
    def borrow() -> "Bridge":
        """Return the process's bridge; each borrower gives it back once.

        Raises:
            RuntimeError: The system refused the thread.
        """
        global _current  # noqa: PLW0603 - the one bridge of the process
        with Bridge.lock:
            if _current is None:
                _current = Bridge()
            _current._borrowers += 1
            return _current

    def give_back(self) -> None:
        """Return one borrowing; from any thread, the bridge's own included."""
        global _current  # noqa: PLW0603 - see borrow
        with Bridge.lock:
            self._borrowers -= 1
            if self._borrowers or _current is not self:
                return
            _current = None
        self.loop.call_soon_threadsafe(self.loop.stop)

    def join_if_over(self) -> None:
        """Wait for the thread to end, if nobody borrows it any more."""
        with Bridge.lock:
            over = _current is not self
        if over and threading.current_thread() is not self._thread:
            self._thread.join()

    def call(self, fn: Callable[[], object]) -> None:
        """Run ``fn`` on the loop's thread and wait for it; what it raises is raised here."""

        async def called() -> None:
            fn()

        self.run(called())

    def run(self, work: Coroutine[Any, Any, object]) -> None:
        """Run ``work`` on the loop and wait for it; what it raises is raised here."""
        asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def _run(self) -> None:
        loop = self.loop
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def _after_fork() -> None:
    """The thread stayed with the parent, and perhaps a thread that held the lock."""
    global _current  # noqa: PLW0603 - see Bridge.borrow
    Bridge.lock = threading.Lock()
    _current = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
