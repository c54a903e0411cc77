"""Giving memory back to the system that the program no longer uses."""

import ctypes
import gc
import os
from collections.abc import Callable

__all__ = ("reclaim",)

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def reclaim() -> int:
    """Collect garbage and have the allocator give its free pages back (``malloc_trim``, where there is one).

    What a peak has left behind stays with the process otherwise: the allocator keeps it for the next one.
    Holds the interpreter while it collects, so it is for when memory is short, and not for every second.

    Returns:
        By how many bytes the resident memory fell; 0 where that can't be read, or nothing was given back.
    """
    before = _resident()
    gc.collect()
    trim = _malloc_trim()
    if trim is not None:
        trim(0)
    return max(0, before - _resident())


def _malloc_trim() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # not glibc's allocator
        return None
    return trim


def _resident() -> int:
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: PTH123 - no object for a number
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
