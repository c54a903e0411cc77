"""Deadlines for work that no event loop watches over: one thread for the process, only while needed.

States of the timer: idle (no thread) -> running (a thread waits for the earliest deadline) -> idle,
when nothing has been watched for a second. ``watch`` starts the thread or wakes it if its entry is
now the earliest; all under one lock, so the thread can't end with an entry left behind.

Where the system refuses the thread, ``watch`` says so and watches nothing, so that a call with a
deadline can be refused. What would be forgotten for ever by that, a look at a line that stands still, is
kept by ``remind`` all the same (*threadless*); then whoever has to wait anyway stands in for the thread:
the loop on which it was asked for, threads that wait for a call, idle workers.
"""

import contextlib
import os
import threading
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections.abc import Callable
from typing import Protocol

from holdfast._core import clock
from holdfast._core.clock import Clock, Latch
from holdfast._core.loops import loop_state
from holdfast._core.wheel import Wheel
from holdfast.pools._threads import start_thread

__all__ = ("TIMER", "Later", "Timed", "Timer", "patient")

_LINGER = 1.0
_LONGEST_LOOK = 0.1
"""Seconds between two looks of whoever stands in for the thread."""


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
        self.threadless = False  # something is kept in the wheel, and the system refuses the thread

    def watch(self, entry: Timed, delay: float) -> float:
        """Expire ``entry`` in ``delay`` seconds; returns the key that :meth:`unwatch` takes.

        Raises:
            RuntimeError: The system refused the thread; nothing is watched.
        """
        with self.lock:
            when = self._wheel.add(entry, clock.now(), delay)
            try:
                self._see_to_it(when)
            except RuntimeError:
                self._wheel.discard(entry, when)
                raise
        return when

    def remind(self, entry: Timed, delay: float) -> None:
        """Expire ``entry`` in ``delay`` seconds, also where the system refuses the thread."""
        with self.lock:
            when = self._wheel.add(entry, clock.now(), delay)
            try:
                self._see_to_it(when)
            except RuntimeError:
                self.threadless = True
        if self.threadless and (loop := _get_running_loop()) is not None:
            loop_state(loop).watch(_StandIn(self), delay)

    def stand_in(self, waits: Clock, latch: Latch, timeout: float | None) -> bool:
        """Wait for ``latch``, and do the thread's work meanwhile, for as long as there is no thread.

        Returns:
            Whether the latch was released within ``timeout`` seconds.
        """
        until = None if timeout is None else clock.now() + timeout
        while self.threadless:
            left = _LONGEST_LOOK if until is None else until - clock.now()
            if waits.acquire(latch, max(0.0, min(left, self._look()))):
                return True
            if until is not None and clock.now() >= until:
                return False
        return waits.acquire(latch, None if until is None else max(0.0, until - clock.now()))

    def _look(self) -> float:
        """Expire what is due, ask for the thread again, and say in how many seconds to look again."""
        with self.lock:
            now = clock.now()
            due = self._wheel.pop_due(now)
            following = self._wheel.next_due()
            if following is None:
                self.threadless = False
            else:
                with contextlib.suppress(RuntimeError):
                    self._see_to_it(following)
        for entry in due:
            entry.expire()
        return _LONGEST_LOOK if following is None else min(following - now, _LONGEST_LOOK)

    def _see_to_it(self, when: float) -> None:
        """Under the lock: have somebody look at the wheel at ``when``."""
        if self._thread is None:
            self._ending = False
            self._thread = start_thread("holdfast:timer", self._run)
            self.threadless = False
        elif when < self._wakes_at:
            self._wake()

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


class _StandIn:
    """On a loop: looks in the thread's place."""

    __slots__ = ("_timer",)

    def __init__(self, timer: Timer) -> None:
        self._timer = timer

    def expire(self) -> None:
        timer = self._timer
        pause = timer._look() if timer.threadless else None  # noqa: SLF001 - this very module's
        loop = _get_running_loop()
        if pause is not None and loop is not None:
            loop_state(loop).watch(self, pause)  # once in vain, perhaps, if there is a thread now


class Later:
    """Does something on the timer's thread, once."""

    __slots__ = ("_do",)

    def __init__(self, do: Callable[[], None]) -> None:
        self._do = do

    def expire(self) -> None:
        """It is time."""
        self._do()


TIMER = Timer()


def patient(waits: Clock, latch: Latch, timeout: float | None) -> bool:
    """Wait for ``latch`` up to ``timeout`` seconds; whoever waits may stand in for the timer."""
    if TIMER.threadless:
        return TIMER.stand_in(waits, latch, timeout)
    return waits.acquire(latch, timeout)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=TIMER.after_fork)
