"""The command that ``holdfast watch`` starts, and how it ends."""

import signal
import subprocess
from collections.abc import Sequence
from typing import Final

from holdfast._core import clock
from holdfast._core.process_tree.signals import send_own
from holdfast.cli.trouble import Trouble
from holdfast.cli.watch.signals import Signals

__all__ = ("GRACE_S", "Child", "start")

GRACE_S: Final = 10.0
"""Seconds from SIGTERM to SIGKILL, where the watch ends before the command does."""

_SIGNALLED: Final = 128


class _NotFound(Trouble):
    exit_code = 127  # as shells have it


class _NotStarted(Trouble):
    exit_code = 126


class Child:
    """A command that was started: it has this process's input and output, environment and folder.

    Args:
        process: It.
        signals: Those that are passed on to it.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", signals: Signals) -> None:
        self._process = process
        self._signals = signals
        self.pid = process.pid
        signals.pass_to(process.pid)

    def code(self) -> int | None:
        """The exit code as a shell tells it (128 and the number of a signal), None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        self._signals.reaped()
        return code if code >= 0 else _SIGNALLED - code

    def wait(self) -> int:
        """Wait for its end, passing signals on, and return its exit code."""
        while (code := self.code()) is None:
            clock.current().acquire(self._signals.latch, 1.0)
        return code

    def end(self, grace: float = GRACE_S) -> int:
        """Ask it to end, after ``grace`` seconds kill it, and return its exit code."""
        until = clock.now() + grace
        if self.code() is None:
            send_own(self.pid, signal.SIGTERM)
        while (code := self.code()) is None:
            left = until - clock.now()
            if left <= 0.0:
                send_own(self.pid, signal.SIGKILL)
                self._process.wait()
                continue
            clock.current().acquire(self._signals.latch, min(left, 1.0))
        return code


def start(command: Sequence[str], signals: Signals) -> Child:
    """Start a command.

    Raises:
        Trouble: It can't be started; the exit code is 127 if there is no such program, else 126.
    """
    try:
        process = subprocess.Popen(list(command))  # noqa: S603 - it is what the user asked for
    except OSError as error:
        sentence = f"{command[0]} can't be started: {error.strerror or error}"
        kind = _NotFound if isinstance(error, FileNotFoundError) else _NotStarted
        raise kind(sentence) from None
    return Child(process, signals)
