"""The stack of the thread that a signal interrupts, as it is then, and those of all others soon after.

How: ``faulthandler`` writes the first into a pipe from the signal handler itself, which needs neither the
main thread nor the interpreter's lock; a thread reads its other end, and adds the stacks of the others.
These are read with the interpreter's lock: a handler that reads the frames of threads which go on
meanwhile crashes now and then (one signal in a hundred, measured). ``signal.getsignal`` tells the program
that there is no handler, and one that it sets itself replaces this one.

Why not ``sigwait``: the mask that it needs is inherited by every program that is started. Why not a Python
handler: it runs when the main thread comes back to Python code.
"""

import ctypes
import faulthandler
import fcntl
import os
import select
import signal
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

__all__ = ("StackPipe", "by_default")

_HIGH: Final = 200
_SETTLE_MS: Final = 30
_CHUNK: Final = 65_536


class StackPipe:
    """The pipe of one signal.

    Args:
        number: The signal.
        once: Whether the signal acts by default again once it has come: a second one is not held up,
            whatever became of the first.

    Raises:
        OSError: There was no descriptor for it.
        NotImplementedError: This system has no handlers that are called once.
    """

    def __init__(self, number: int, *, once: bool = False) -> None:
        self.number = number
        self._once = once
        if once:
            _sysv_signal()
        self._read, self._write = _high(*os.pipe())
        os.set_blocking(self._write, False)
        os.set_blocking(self._read, False)

    def arm(self) -> None:
        """Have the signal write into the pipe from now on."""
        faulthandler.unregister(
            self.number
        )  # what is armed already would not be put in place again
        faulthandler.register(self.number, file=self._write, all_threads=False, chain=False)
        if self._once:
            change = _sysv_signal()
            change(self.number, change(self.number, None))

    def disarm(self) -> None:
        """Have the signal act by default again; a handler that the program has set meanwhile stays."""
        if by_default(self.number):
            faulthandler.unregister(self.number)

    def fileno(self) -> int:
        """Return the end that is read: for ``poll``."""
        return self._read

    def has_come(self) -> bool:
        """Whether the signal has come since :meth:`read`."""
        return _readable(self._read, 0)

    def read(self) -> str:
        """Read the stacks, until nothing more has come for a moment: the handler writes in many pieces."""
        pieces: list[bytes] = []
        while _readable(self._read, _SETTLE_MS):
            try:
                piece = os.read(self._read, _CHUNK)
            except OSError:
                break
            if not piece:
                break
            pieces.append(piece)
        text = b"".join(pieces).decode(errors="replace")
        return text + _others() if text.strip() else text

    def wake(self) -> None:
        """Wake whoever polls."""
        with suppress(OSError):
            os.write(self._write, b"\n")

    def close(self) -> None:
        """Disarm it, and close the pipe."""
        self.disarm()
        for end in (self._read, self._write):
            with suppress(OSError):
                os.close(end)


def by_default(number: int) -> bool:
    """Whether the program has set no handler, as far as it knows."""
    return signal.getsignal(number) is signal.SIG_DFL


def _others() -> str:
    """The stacks of all threads but this one, now."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    me, text = threading.get_ident(), ""
    for ident, innermost in sys._current_frames().items():  # noqa: SLF001 - the only way to another's stack
        frame: FrameType | None = innermost
        if ident == me:
            continue
        text += f"\nThread {names.get(ident, '?')} a moment later (most recent call first):\n"
        while frame is not None:
            code = frame.f_code
            text += f'  File "{code.co_filename}", line {frame.f_lineno} in {code.co_name}\n'
            frame = frame.f_back
    return text


def _sysv_signal() -> "ctypes._NamedFuncPointer":
    """The C library's way to set a handler that is called once."""
    try:
        change = ctypes.CDLL(None).sysv_signal
    except (OSError, AttributeError, TypeError):
        sentence = "this C library sets no handlers that are called once"
        raise NotImplementedError(sentence) from None  # musl, say: its users go on without
    change.restype, change.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p)
    return change


def _readable(end: int, ms: int) -> bool:
    poll = select.poll()
    poll.register(end, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(ms))


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
