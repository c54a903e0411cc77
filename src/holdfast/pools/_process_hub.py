"""One thread for all process pools: it hears their workers and zygotes, and keeps their deadlines.

Purpose: bring replies and deaths to their pools at once, however many workers there are, with one thread,
which is there while a pool has processes.

Guarantees: what is posted is done on the hub's thread, in order; a client is asked (``tick``) at the
moment it has named, late by about a millisecond at most; what a handler raises is logged and ends nothing.

Why no deadline is missed: a client notes its deadline first and reads ``wakes_at`` second; the hub sets
``wakes_at`` first and asks clients for their deadlines second.
"""

import contextlib
import logging
import math
import os
import selectors
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from holdfast._core import clock
from holdfast.pools._threads import start_thread

__all__ = ("HUB", "Client", "Hub")

log = logging.getLogger("holdfast.pools")

_READ: Final = selectors.EVENT_READ


class Client(Protocol):
    """A pool."""

    def tick(self, now: float) -> float:
        """Act on the deadlines that have passed; returns the next one, or infinity."""
        ...


class Hub:
    """The thread and what it listens to. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.lock = threading.Lock()
        self.wakes_at = math.inf
        self._clients: set[Client] = set()
        self._posted: deque[Callable[[], None]] = deque()
        self._selector: selectors.BaseSelector | None = None
        self._wake_fds = (-1, -1)
        self._thread: threading.Thread | None = None
        self._awake = False

    # ------------------------------------------------------------ clients

    def enter(self, client: Client) -> None:
        """Serve ``client`` from now on.

        Raises:
            RuntimeError: The system refused the thread.
            OSError: It has no descriptor left.
        """
        with self.lock:
            if self._thread is None:
                self._open()
            self._clients.add(client)

    def _open(self) -> None:
        selector = selectors.DefaultSelector()
        try:
            self._wake_fds = os.pipe()
        except OSError:
            selector.close()
            raise
        for fd in self._wake_fds:
            os.set_blocking(fd, False)
        selector.register(self._wake_fds[0], _READ, self._drain)
        self._selector = selector
        self._awake = False
        try:
            self._thread = start_thread("holdfast:processes", self._run)
        except RuntimeError:
            self._close()
            raise

    def leave(self, client: Client) -> None:
        """Serve ``client`` no longer; with the last one the thread ends."""
        with self.lock:
            self._clients.discard(client)
            thread = self._thread if not self._clients else None
            self._wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def is_here(self) -> bool:
        """Whether this is the hub's thread."""
        return threading.current_thread() is self._thread

    # ------------------------------------------------------------ what it listens to

    def listen(self, fd: int, handler: Callable[[], None]) -> None:
        """Call ``handler`` when there is something to read."""
        selector = self._selector
        assert selector is not None  # noqa: S101 - whoever listens has entered
        selector.register(fd, _READ, handler)

    def unlisten(self, fd: int) -> None:
        """Hear no more of ``fd``."""
        with contextlib.suppress(KeyError, ValueError, AttributeError):
            self._selector.unregister(fd)  # type: ignore[union-attr] # None: all is over

    def post(self, work: Callable[[], None]) -> None:
        """Have ``work`` done on the hub's thread."""
        self._posted.append(work)
        if not self._awake:
            self._wake()

    def need(self, moment: float) -> None:
        """Ask the clients at ``moment``, at the latest."""
        with self.lock:
            if moment >= self.wakes_at:
                return
            self.wakes_at = moment
        self._wake()

    def _wake(self) -> None:
        self._awake = True
        with contextlib.suppress(OSError):  # full: it will wake up; closed: it has ended
            os.write(self._wake_fds[1], b"\0")

    def _drain(self) -> None:
        self._awake = False
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_fds[0], 4096)

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        selector = self._selector
        assert selector is not None  # noqa: S101 - opened before the thread
        select, now, posted = selector.select, clock.SystemClock.now, self._posted
        while True:
            wait = self.wakes_at - now()
            for key, _ in select(None if wait == math.inf else max(0.0, wait)):
                _do(key.data)
            while posted:
                _do(posted.popleft())
            if now() >= self.wakes_at:
                self._ask()
            if not self._clients:
                with self.lock:
                    if not self._clients and not posted:
                        self._close()
                        return

    def _ask(self) -> None:
        with self.lock:
            self.wakes_at = math.inf
            clients = tuple(self._clients)
        for client in clients:
            try:
                due = client.tick(clock.SystemClock.now())
            except Exception:
                log.exception("a deadline of a process pool could not be kept")
                continue
            if due < self.wakes_at:
                with self.lock:
                    self.wakes_at = min(self.wakes_at, due)

    def _close(self) -> None:
        self._thread = None
        self.wakes_at = math.inf
        if self._selector is not None:
            self._selector.close()
            self._selector = None
        for fd in self._wake_fds:
            os.close(fd)
        self._wake_fds = (-1, -1)

    def after_fork(self) -> None:
        """In a child: the thread and all that it listens to are the parent's."""
        if self._selector is not None:
            with contextlib.suppress(OSError):
                self._selector.close()
            for fd in self._wake_fds:
                with contextlib.suppress(OSError):
                    os.close(fd)
        self._reset()


def _do(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:
        log.exception("a process pool's event could not be handled")


HUB: Final = Hub()
"""The one hub of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=HUB.after_fork)
