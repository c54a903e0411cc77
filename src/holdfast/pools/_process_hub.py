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
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from holdfast._core import clock
from holdfast.pools._process_poll import Poller
from holdfast.pools._threads import start_thread

if TYPE_CHECKING:
    from holdfast._core.clock import Latch

__all__ = ("HUB", "Client", "Hub")

log = logging.getLogger("holdfast.pools")

_ROUNDS: Final = 8
"""Times that the hub goes on with what has come before it wakes those who wait: while workers answer, a
thread that is woken for each answer would only take the interpreter."""


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
        self._poller: Any = None  # a Poller, of whichever kind
        self._poll: Callable[[float | None], list[int]] | None = None
        self._handlers: dict[int, Callable[[], None]] = {}
        self._wake_fds = (-1, -1)
        self._thread: Any = None  # where it runs
        self._ident = 0
        self._awake = False
        self.wakes: list[Latch] = []  # to be released when there is nothing else to do

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
        poller = Poller()
        try:
            self._wake_fds = os.pipe()
        except OSError:
            poller.close()
            raise
        for fd in self._wake_fds:
            os.set_blocking(fd, False)
        self._poller, self._poll, self._handlers = poller, poller.poll, {}
        self.listen(self._wake_fds[0], self._drain)
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
        return self._ident == threading.get_ident()

    # ------------------------------------------------------------ what it listens to

    def listen(self, fd: int, handler: Callable[[], None]) -> None:
        """Call ``handler`` when there is something to read."""
        poller = self._poller
        assert poller is not None  # noqa: S101 - whoever listens has entered
        self._handlers[fd] = handler
        poller.register(fd)

    def unlisten(self, fd: int) -> None:
        """Hear no more of ``fd``."""
        if self._handlers.pop(fd, None) is not None and self._poller is not None:
            with contextlib.suppress(KeyError, ValueError, OSError):
                self._poller.unregister(fd)

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
        poll = self._poll
        assert poll is not None  # noqa: S101 - opened before the thread
        handlers, now, posted = self._handlers, clock.SystemClock.now, self._posted
        self._ident = threading.get_ident()
        wakes, rounds = self.wakes, 0
        ready: list[int] = []
        while True:
            wait = self.wakes_at - now()
            if wakes:
                rounds += 1
                ready = poll(0.0) if rounds < _ROUNDS else []
                if not ready:
                    rounds = 0
                    _release(wakes)
            if not wakes:
                ready = poll(None if wait == math.inf else max(0.0, wait))
            for fd in ready:
                handler = handlers.get(fd)
                if handler is not None:
                    _do(handler)
            while posted:
                _do(posted.popleft())
            if now() >= self.wakes_at:
                self._ask()
            if not self._clients:
                _release(wakes)  # this thread may be about to end, and nobody else would
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
        self._ident = 0
        self.wakes_at = math.inf
        if self._poller is not None:
            self._poller.close()
            self._poller = self._poll = None
        for fd in self._wake_fds:
            os.close(fd)
        self._wake_fds = (-1, -1)

    def after_fork(self) -> None:
        """In a child: the thread and all that it listens to are the parent's."""
        if self._poller is not None:
            with contextlib.suppress(OSError):
                self._poller.close()
            for fd in self._wake_fds:
                with contextlib.suppress(OSError):
                    os.close(fd)
        self._reset()


def _release(wakes: "list[Latch]") -> None:
    while wakes:
        wakes.pop().release()


def _do(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:
        log.exception("a process pool's event could not be handled")


HUB: Final = Hub()
"""The one hub of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=HUB.after_fork)
