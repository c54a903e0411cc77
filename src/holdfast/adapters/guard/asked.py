"""A report when a signal asks for it, whatever the main thread does.

Purpose: SIGUSR1 makes a report at once, also while the main thread is in C code; and what else signals
bring by a :class:`~holdfast.adapters.guard.stack_pipe.StackPipe` is answered on the same thread. The
stack of the interrupted thread is that of the moment of the signal, even where the report comes later
because something holds the interpreter's lock.
"""

import select
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Final

from holdfast.adapters.guard.stack_pipe import StackPipe
from holdfast.pools._threads import start_thread

__all__ = ("Asked",)

_NUMBER: Final = getattr(signal, "SIGUSR1", 0)


class Asked:
    """A thread that waits for signals, and does something each second meanwhile.

    Args:
        answer: Called with the stacks when SIGUSR1 came.
        tick: Called each ``every_s`` seconds.
        every_s: Seconds between two calls of ``tick``.
    """

    def __init__(
        self, answer: Callable[[str], None], tick: Callable[[], None], every_s: float
    ) -> None:
        self._answer = answer
        self._tick = tick
        self._every_ms = int(every_s * 1000)
        self._pipe: StackPipe | None = None
        self._thread: threading.Thread | None = None
        self._over = False

    def start(
        self, others: Sequence[StackPipe] = (), answer: Callable[[StackPipe], None] | None = None
    ) -> None:
        """Begin to wait.

        Args:
            others: Pipes of other signals, which belong to somebody else.
            answer: Called with the one whose signal has come.

        Raises:
            OSError: There was no descriptor for the pipe.
            RuntimeError: There was no thread.
        """
        self._over = False
        pipe = self._pipe = StackPipe(_NUMBER)
        self._thread = start_thread("holdfast:guard", lambda: self._wait(pipe, others, answer))
        pipe.arm()

    def close(self) -> None:
        """Wait no more."""
        self._over = True
        pipe, self._pipe = self._pipe, None
        if pipe is None:
            return
        pipe.disarm()
        pipe.wake()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)
        pipe.close()

    def forget(self) -> None:
        """In a child after a fork: the thread stayed behind, and the pipe is the parent's."""
        pipe, self._pipe, self._thread, self._over = self._pipe, None, None, True
        if pipe is not None:
            pipe.close()

    def _wait(
        self,
        own: StackPipe,
        others: Sequence[StackPipe],
        answer: Callable[[StackPipe], None] | None,
    ) -> None:
        poll = select.poll()
        for pipe in (own, *others):
            poll.register(pipe, select.POLLIN)
        while not self._over:
            come = {fd for fd, _ in poll.poll(self._every_ms)}
            for pipe in others:
                if pipe.fileno() in come and answer is not None:
                    answer(pipe)
            if own.fileno() in come:
                text = own.read()
                if text.strip():
                    self._answer(text)
            if not self._over:
                self._tick()
