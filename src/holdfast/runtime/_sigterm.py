"""SIGTERM: the first one drains the program and ends it, the second one ends it where it stands.

States: armed -> told (the first signal) -> over (what was accepted has ended, or the grace has) ->
disarmed. The handler, in the main thread, moves it to *told*; a thread that waits for nothing else moves
it to *over*; whoever armed it disarms it, from any state.

Guarantees: a handler takes no lock, as it may run in the middle of anything: it sets a flag and releases
a raw lock on which that thread waits. A handler that was there before is called too, and put back at the
end. Ignored signals stay ignored. In another thread than the main one nothing is armed, as the interpreter
allows none.
"""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from holdfast._core.process_tree.signals import interrupt_main
from holdfast.pools._threads import start_thread

__all__ = ("EXIT", "Sigterm")

EXIT: Final = 128 + signal.SIGTERM
"""What a shell shows for a program that this signal has ended."""

_OWN_AND_ANOTHER: Final = 2
"""Signals after the drain that are no order to end at once: our own, and one that has crossed it."""


class Sigterm:
    """What becomes of the signal, for as long as it is armed.

    Args:
        drain: Called on a thread of its own after the first signal: returns when the program can end.
        leave: Called there after it: has the program end. None: the main thread is interrupted.

    Attributes:
        told: Whether the signal has come.
    """

    def __init__(self, drain: Callable[[], None], leave: Callable[[], None] | None) -> None:
        self.told = False
        self.inside = True  # the block that it ends; set by the main thread, in which handlers run
        self._drain = drain
        self._leave = leave
        self._over = self._disarmed = False
        self._after = 0  # signals since it is over
        self._before: Any = None
        self._armed = False
        self._wake = threading.Lock()
        self._wake.acquire()
        self._join: Callable[[float], None] | None = None

    def arm(self) -> bool:
        """Take the signal over.

        Returns:
            Whether it was: False outside of the main thread, and where it is ignored.

        Raises:
            RuntimeError: The system refused the thread.
        """
        if threading.current_thread() is not threading.main_thread():
            return False
        if signal.getsignal(signal.SIGTERM) in {signal.SIG_IGN, None}:
            return False
        self._join = start_thread("holdfast:sigterm", self._wait).join
        self._before = signal.signal(signal.SIGTERM, self._handle)
        self._armed = True
        return True

    def disarm(self) -> None:
        """Put the handler back that was there before, unless somebody has put another one."""
        self._disarmed = True
        if not self._armed:
            return
        self._armed = False
        self._put_back()
        if not self.told:
            self._wake.release()
        if self._join is not None:
            self._join(1.0)  # it has nothing left to wait for

    def after_fork(self) -> None:
        """In a child: the program that is to be drained is the parent."""
        if self._armed:
            self._armed = False
            self._put_back()

    def _put_back(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._over and self._after < _OWN_AND_ANOTHER:
            self._after += 1
            if self._after == 1 and self.inside:
                raise SystemExit(EXIT)
            return
        if self.told:
            os._exit(EXIT)  # not a second time in peace
        self.told = True
        self._wake.release()
        if callable(self._before):
            self._before(number, frame)

    def _wait(self) -> None:
        self._wake.acquire()
        if not self._disarmed:
            self._drain()
        self._end_block()

    def _end_block(self) -> None:
        if self._disarmed:
            return
        if self._leave is not None:
            self._leave()
            return
        self._over = True
        interrupt_main(signal.SIGTERM)
