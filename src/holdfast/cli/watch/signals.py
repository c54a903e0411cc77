"""The signals that ``holdfast watch`` gets: what ends it, and what is passed on to the command it started.

Guarantees: the handlers that were there before are put back; whoever waits for ``latch`` is woken by
each signal, and by the end of a child.
Assumptions: used in the main thread, once at a time.
"""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import Any, Final, Self

from holdfast._core.process_tree.signals import send_own

__all__ = ("Signals",)

_NAMES: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT")
_ENDING: Final = ("SIGINT", "SIGTERM", "SIGHUP")
_FROM_KEYS: Final = ("SIGINT", "SIGQUIT")


class Signals:
    """Takes signals while it is open: a context manager.

    Args:
        command: Whether a command will be started, to which they are passed on; else SIGINT, SIGTERM
            and SIGHUP end the watch, and the others are left alone.
    """

    def __init__(self, *, command: bool) -> None:
        self._command = command
        self._before: dict[int, Any] = {}
        self.latch = threading.Lock()
        self.latch.acquire()
        self.child: int | None = None
        self.stopped = False
        self._early: list[int] = []

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self  # a test, or an embedding: signals are somebody else's
        for name in _NAMES if self._command else _ENDING:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._take)
        if self._command and hasattr(signal, "SIGCHLD"):
            self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, self._wake)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def pass_to(self, child: int) -> None:
        """Pass signals on to this child from now on, those first that came before it was there."""
        self.child = child
        while self._early:
            send_own(child, self._early.pop(0))

    def reaped(self) -> None:
        """Pass nothing on any more: the number may be somebody else's."""
        self.child = None

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if not self._command:
            self.stopped = True
        elif signal.Signals(number).name in _FROM_KEYS and _of_terminal():
            pass  # the terminal has sent it to the command too
        elif self.child is not None:
            send_own(self.child, number)
        else:
            self._early.append(number)
        self._wake()

    def _wake(self, *_: object) -> None:
        with suppress(RuntimeError):  # it is open already
            self.latch.release()


def _of_terminal() -> bool:
    """Whether this process group has the terminal, and so gets what its keys send."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
