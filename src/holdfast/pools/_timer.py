"""Deadlines for work that no event loop watches over: one thread for the process, only while needed.

States of the timer: idle (no thread) -> running (a thread waits for the earliest deadline) -> idle,
when nothing has been watched for a second. ``watch`` starts the thread or wakes it if its entry is
now the earliest; all under one lock, so the thread can't end with an entry left behind.
"""

import os
import threading
from typing import Protocol

from holdfast._core import clock
from holdfast._core.wheel import Wheel
from holdfast.pools._threads import start_thread

__all__ = ("TIMER", "Timed", "Timer")

_LINGER = 1.0


class Timed(Protocol):
    """Something with a deadline."""

    def expire(self) -> None:
        """The deadline has come; called on the timer's thread, must be quick and must not raise."""
        ...


class Timer:
    """Calls ``expire`` of what it watches, late by at most 1/32 of the delay plus 1 ms, never early."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._wheel: Wheel[Timed] = Wheel()
        self._thread: threading.Thread | None = None
        self._waker = threading.Lock()
        self._waker.acquire()
        self._wakes_at = 0.0
        self._woken = False
        self._ending = False

    def watch(self, entry: Timed, delay: float) -> float:
        """Expire ``entry`` in ``delay`` seconds; returns the key that :meth:`unwatch` takes.

        Raises:
            RuntimeError: The system refused the thread; nothing is watched.
        """
        with self.lock:
            when = self._wheel.add(entry, clock.now(), delay)
            if self._thread is None:
                self._ending = False
                try:
                    self._thread = start_thread("holdfast:timer", self._run)
                except RuntimeError:
                    self._wheel.discard(entry, when)
                    raise
            elif when < self._wakes_at:
                self._wake()
        return when

    def unwatch(self, entry: Timed, when: float) -> None:
        """Forget ``entry``; does nothing if it has expired."""
        with self.lock:
            self._wheel.discard(entry, when)

    def settle(self) -> None:
        """End the thread now if it watches nothing; for tests and for the end of the process."""
        with self.lock:
            thread = self._thread
            if thread is None or self._wheel:
                return
            self._ending = True
            self._wake()
        thread.join()

    def after_fork(self) -> None:
        """Start clean in a child: the thread stayed with the parent, and so did what it watched."""
        self.lock = threading.Lock()
        self._reset()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._waker.release()

    def _run(self) -> None:
        idle_since: float | None = None
        while True:
            with self.lock:
                now = clock.now()
                due = self._wheel.pop_due(now)
                next_due = self._wheel.next_due()
                if due or next_due is not None:
                    idle_since = None
                elif idle_since is None:
                    idle_since = now
                if idle_since is not None and (self._ending or now - idle_since >= _LINGER):
                    self._thread = None
                    return
                self._wakes_at = now + _LINGER if next_due is None else next_due
            for entry in due:
                entry.expire()
            if not due and clock.current().acquire(self._waker, max(0.0, self._wakes_at - now)):
                with self.lock:
                    self._woken = False


TIMER = Timer()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=TIMER.after_fork)
