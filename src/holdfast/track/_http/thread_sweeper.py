"""The sweeper of a client that blocks: it looks on the process's timer, while anything is open.

Guarantees: one look at a time; what a look closes is closed on the timer's thread, which takes
microseconds, since a socket that is closed is not waited for.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

from holdfast.pools._timer import TIMER
from holdfast.track._http.sweeper import close_unread, pause_between_looks
from holdfast.track._http.thread_gate import ThreadGate

__all__ = ("ThreadSweeper",)

log = logging.getLogger("holdfast.track")

_LONGEST: Final = 1.0
"""Seconds between two looks at most: a response that was dropped holds its place until the next one."""


class ThreadSweeper:
    """Watches over one client. Every method may be called from any thread.

    Args:
        gate: Who has tickets.
        idle_timeout: Seconds after which a response without a reader is closed.
        keepalive: Seconds after which an idle connection is closed.
        reap: Closes what was dropped, and the idle connections whose time is up; says how many
            connections are left.
    """

    def __init__(
        self, gate: ThreadGate, *, idle_timeout: float, keepalive: float, reap: Callable[[], int]
    ) -> None:
        self._gate = gate
        self._idle_timeout = idle_timeout
        self._reap = reap
        self._pause = min(_LONGEST, pause_between_looks(idle_timeout, keepalive))
        self._lock = threading.Lock()
        self._watched = False
        self._closed = False

    def start(self) -> None:
        """Look again soon, if nobody is about to."""
        with self._lock:
            if self._watched or self._closed:
                return
            self._watched = True
        try:
            TIMER.watch(self, self._pause)
        except RuntimeError:  # no thread to be had: the next request asks again
            self._watched = False

    def expire(self) -> None:
        """On the timer's thread: the time has come."""
        self._watched = False
        if self._closed:
            return
        left = 0
        try:
            close_unread(self._gate, self._idle_timeout)
            left = self._reap()
        except Exception:
            log.exception("%s: could not look after its connections", self._gate.name)
        if left or self._gate.out():
            self.start()

    def close(self) -> None:
        """Look no more."""
        self._closed = True
