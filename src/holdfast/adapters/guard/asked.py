"""A report when a signal asks for it, whatever the main thread does.

Purpose: SIGUSR1 makes a report at once, also while the main thread is in C code.
How: ``faulthandler`` writes all stacks into a pipe from the signal handler itself, which needs neither the
main thread nor the interpreter's lock, and a thread waits at its other end. The stacks are those of the
moment of the signal, even where the report comes later because something holds the lock.

Why not ``sigwait``: the mask that it needs is inherited by every program that is started. Why not a Python
handler: it runs when the main thread comes back to Python code. A program that sets a handler of its own
for the signal replaces this one, and ``signal.getsignal`` tells it that there was none.
"""

import faulthandler
import fcntl
import os
import select
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from holdfast.pools._threads import start_thread

__all__ = ("Asked",)

_HIGH: Final = 200
_SETTLE_MS: Final = 30
_CHUNK: Final = 65_536


class Asked:
    """A thread that waits for the signal, and does something each second meanwhile.

    Args:
        answer: Called with the stacks when the signal came.
        tick: Called each ``every_s`` seconds.
        every_s: Seconds between two calls of ``tick``.
    """

    def __init__(
        self, answer: Callable[[str], None], tick: Callable[[], None], every_s: float
    ) -> None:
        self._answer = answer
        self._tick = tick
        self._every_ms = int(every_s * 1000)
        self._ends: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None
        self._over = False

    def start(self) -> None:
        """Begin to wait.

        Raises:
            OSError: There was no descriptor for the pipe.
            RuntimeError: There was no thread.
        """
        self._over = False
        read, write = _high(*os.pipe())
        self._ends = (read, write)
        os.set_blocking(write, False)
        os.set_blocking(read, False)
        self._thread = start_thread("holdfast:guard", self._wait)
        faulthandler.register(signal.SIGUSR1, file=write, all_threads=True, chain=False)

    def close(self) -> None:
        """Wait no more."""
        self._over = True
        ends, self._ends = self._ends, None
        if ends is None:
            return
        faulthandler.unregister(signal.SIGUSR1)
        with suppress(OSError):
            os.write(ends[1], b"\n")
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)
        for end in ends:
            with suppress(OSError):
                os.close(end)

    def forget(self) -> None:
        """In a child after a fork: the thread stayed behind, and the pipe is the parent's."""
        ends, self._ends, self._thread, self._over = self._ends, None, None, True
        if ends is not None:
            faulthandler.unregister(signal.SIGUSR1)
            for end in ends:
                with suppress(OSError):
                    os.close(end)

    def _wait(self) -> None:
        ends = self._ends
        if ends is None:
            return
        poll = select.poll()
        poll.register(ends[0], select.POLLIN)
        while not self._over:
            if poll.poll(self._every_ms):
                text = _read(ends[0], poll)
                if text.strip():
                    self._answer(text)
            if not self._over:
                self._tick()


def _read(end: int, poll: "select.poll") -> str:
    """Read until nothing more has come for a moment: the handler writes in many pieces."""
    pieces: list[bytes] = []
    while poll.poll(_SETTLE_MS):
        try:
            piece = os.read(end, _CHUNK)
        except OSError:
            break
        if not piece:
            break
        pieces.append(piece)
    return b"".join(pieces).decode(errors="replace")


def _high(*fds: int) -> tuple[int, int]:
    """Give descriptors numbers out of the way of programs that look at the lowest ones."""
    moved: list[int] = []
    for fd in fds:
        try:
            moved.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH))
        except OSError:  # beyond the limit
            moved.append(fd)
            continue
        os.close(fd)
    return moved[0], moved[1]
