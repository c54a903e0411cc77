"""Single keys from the terminal, without waiting for a whole line."""

import os
import select
import termios
import tty
from typing import Any, Final, Self

__all__ = ("Keyboard", "keys_of")

# Longer codes before those with which they begin.
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
_LONGEST: Final = 256


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

    def keys(self, timeout: float) -> list[str]:
        """Return the keys that were pressed, by letter or name; waits up to ``timeout`` seconds for one."""
        ready, _, _ = select.select([self._fd], [], [], max(0.0, timeout))
        if not ready:
            return []
        return keys_of(os.read(self._fd, _LONGEST)) or ["q"]  # nothing: the terminal is gone


def keys_of(pressed: bytes) -> list[str]:
    """Return the keys that a terminal has sent: letters, or names of those that have several bytes."""
    found: list[str] = []
    while pressed:
        known = next((code for code in _NAMES if pressed.startswith(code)), pressed[:1])
        found.append(_NAMES.get(known) or known.decode("ascii", "replace").lower())
        pressed = pressed[len(known) :]
    return found
