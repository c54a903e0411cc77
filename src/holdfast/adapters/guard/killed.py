"""A report when a signal is about to end the program, which then ends by that very signal.

Purpose: SIGTERM and SIGHUP end a program without a handler at once, and nothing of it runs any more; under
guard there is a report first. The exit status stays that of the signal.

States of each of the two signals:

- *left alone*: the program has a handler, or ignores it; or there was no way to arm it;
- *armed*: it acts by default, as far as the program knows; it will write all stacks into a pipe, once;
- *struck*: it has done so. It acts by default again: a second one ends the program at once, so that code
  which holds the interpreter's lock for good holds up one signal, and not all;
- *dying*: a thread has taken it on, makes the report, and sends the signal anew. Final.

``signal.signal`` moves between the first two: a handler of the program replaces ours in the kernel, and
where it is taken away again, ours is put back. Only the kernel moves from armed to struck. From struck to
dying moves whoever gets ``_first``: the guard's thread; the main thread, which would else end by itself
with another status, or go on after it has sent the signal to itself; all others that come wait for the end.
The death comes at most ``PATIENCE_S`` after that, report or not.

Left alone is process 1, for which the kernel ignores signals that act by default.
"""

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NoReturn

from holdfast._core import clock
from holdfast._core.process_tree.signals import send_own
from holdfast.adapters._patches import Patches
from holdfast.adapters.guard.openers import Opener
from holdfast.adapters.guard.shortage import Shortage
from holdfast.adapters.guard.stack_pipe import StackPipe, by_default
from holdfast.pools._threads import start_thread

__all__ = ("PATIENCE_S", "Killed")

PATIENCE_S: Final = 3.0
"""The longest that a report holds up the end."""

_NAMES: Final = ("SIGTERM", "SIGHUP")
_INIT: Final = 1
_QUICK_S: Final = 1e-5
"""How long the program keeps the interpreter while it is dying, instead of 5 ms each time."""


class Killed:
    """What is done when a signal ends the program.

    Args:
        report: Called with the name of the signal and all stacks.
    """

    def __init__(self, report: Callable[[str, str], None]) -> None:
        self._report = report
        self._clock = clock.current()
        self._first = threading.Lock()
        self._dying = False
        self.pipes: dict[int, StackPipe] = {}

    def install(self, patches: Patches, shortage: Shortage) -> None:
        """Notice what the program does with these signals."""
        change = signal.signal

        def changed(signalnum: Any, handler: Any) -> Any:
            before = change(signalnum, handler)
            self._arm(signalnum)
            return before

        changed.__name__ = changed.__qualname__ = "signal"
        changed.__module__, changed.__doc__ = change.__module__, change.__doc__
        patches.set(signal, "signal", changed)
        for owner, name in ((signal, "raise_signal"), (os, "kill"), (os, "killpg")):
            sender = Opener(getattr(owner, name), lambda _: self.settle(), shortage, owner.__name__)
            patches.set(owner, name, sender)

    def start(self) -> None:
        """Arm what the program leaves as it is.

        Raises:
            OSError: There was no descriptor for a pipe.
            NotImplementedError: This system has no handlers that are called once.
        """
        if os.getpid() == _INIT:
            return
        for name in _NAMES:
            number = getattr(signal, name, None)
            if number is not None:
                self.pipes[number] = StackPipe(number, once=True)
                self._arm(number)

    def close(self) -> None:
        """The program ends otherwise: leave the signals alone.

        The pipes stay: another thread may be looking at them, and their numbers must not be others'.
        """
        pipes, self.pipes = self.pipes, {}
        for pipe in pipes.values():
            pipe.disarm()

    def forget(self) -> None:
        """In a child after a fork: the pipes are the parent's, and so is what has struck."""
        self._first, self._dying = threading.Lock(), False
        pipes, self.pipes = self.pipes, {}
        for pipe in pipes.values():
            pipe.close()

    def settle(self) -> None:
        """Die, if one of the signals has come; for whoever would else go on."""
        for pipe in list(self.pipes.values()):
            if self._dying or pipe.has_come():
                self.die(pipe)

    def die(self, pipe: StackPipe) -> NoReturn:
        """Report, and end as the signal would have ended the program."""
        if not self._first.acquire(blocking=False):
            while True:
                self._clock.sleep(PATIENCE_S)
        self._dying = True
        sys.setswitchinterval(_QUICK_S)
        with suppress(RuntimeError):  # no thread to be had: then the report has no end but its own
            start_thread("holdfast:end", lambda: self._end_late(pipe.number))
        try:
            self._report(signal.Signals(pipe.number).name, pipe.read())
        finally:
            _end(pipe.number)
        raise SystemExit(128 + pipe.number)  # not reached

    def _arm(self, number: int) -> None:
        pipe = self.pipes.get(number)
        if pipe is not None and by_default(number) and not self._dying:
            pipe.arm()

    def _end_late(self, number: int) -> None:
        self._clock.sleep(PATIENCE_S)
        _end(number)


def _end(number: int) -> None:
    """End by a signal, whatever handler it has by now and whoever blocks it."""
    faulthandler.unregister(number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    send_own(os.getpid(), number)
