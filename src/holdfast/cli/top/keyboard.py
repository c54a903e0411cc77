"""Single keys from the terminal, without waiting for a whole line."""

import os
import select
import termios
import tty
from typing import Any, Final, Self

__all__ = ("Keyboard",)

_NAMES: Final = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1b": "back",
    b"\r": "d",
    b"\n": "d",
    b" ": "f",
    b"k": "up",
    b"j": "down",
    b"\x04": "q",
}
_LONGEST: Final = 16


class Keyboard:
    """Reads keys while it is open; the terminal is as before afterwards. A context manager.

    Args:
        fd: The descriptor of the terminal.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: Any = None

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd)
        return self

    def __exit__(self, *_: object) -> None:
        termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def key(self, timeout: float) -> str | None:
        """Return a key, by its letter or name; None if none was pressed within ``timeout`` seconds."""
        ready, _, _ = select.select([self._fd], [], [], max(0.0, timeout))
        if not ready:
            return None
        pressed = os.read(self._fd, _LONGEST)
        if not pressed:
            return "q"  # the terminal is gone
        return _NAMES.get(pressed) or pressed[:1].decode("ascii", "ignore").lower()
