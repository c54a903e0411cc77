"""Memory that was freed goes back to the system while memory is short."""

import ctypes
import sys
from collections.abc import Callable
from typing import Final

from holdfast._core import clock

__all__ = ("Trimmer",)

_REST: Final = 30.0


class Trimmer:
    """Calls ``malloc_trim``, at most once in half a minute. The C library must be glibc."""

    def __init__(self) -> None:
        self._trim = _found()
        self._at = float("-inf")
        self.done = 0
        self.short = False

    def trim_if_short(self) -> None:
        """Give back what is free, if memory is short."""
        if not self.short or self._trim is None or clock.now() - self._at < _REST:
            return
        self._at = clock.now()
        self._trim(0)  # the interpreter's lock is free meanwhile
        self.done += 1


def _found() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return trim
