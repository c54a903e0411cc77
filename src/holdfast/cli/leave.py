"""The way out: exit codes reach the shell whatever still runs.

Purpose: end the process with its exit code, letting the interpreter clean up (exit hooks of the
user's libraries flush their traces there).
Guarantees: the process is gone after ``PATIENCE_S`` seconds even if a thread that nobody can stop,
or an exit hook, never returns.
Assumptions: called in the main thread, last of all. It uses the alarm clock of the process, as that
needs no thread.
"""

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn, TextIO

__all__ = ("PATIENCE_S", "disarm", "end_after", "end_now", "leave")

PATIENCE_S = 5.0


def leave(code: int) -> NoReturn:
    """End the process with ``code``, within ``PATIENCE_S`` seconds."""
    end_after(PATIENCE_S, code)
    for standard in (sys.stdout, sys.stderr):
        if standard is None:  # it was closed when the process began
            continue
        try:
            standard.flush()
        except (OSError, ValueError):
            _silence(standard)
    sys.exit(code)


def _silence(stream: TextIO) -> None:
    """Let what is left in ``stream`` go nowhere: its reader is gone, the exit code must stand."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def end_after(seconds: float, code: int) -> None:
    """End the process with ``code`` after ``seconds``, wherever it is then."""

    def end(_signum: int, _frame: FrameType | None) -> None:
        end_now(code)

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def disarm() -> None:
    """Take back what :func:`end_after` was told."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def end_now(code: int) -> NoReturn:
    """End the process with ``code`` here and now: no clean-up, no waiting."""
    os._exit(code)
