"""Keeping the collector away while frames of other threads are read.

Purpose: in CPython 3.11 the collector may run wherever memory is asked for, also in the middle of reading a
frame (``f_back``, ``f_locals``). Whatever it finalizes may let another thread run; if that thread ends the
frame, the interpreter goes on with one that is gone, and crashes. From 3.12 on the collector runs between
instructions only, and there is nothing to do.

Guarantees: in the block the collector does not run by itself, in any number of threads at once; after the
last of them it is as it was before the first. Without a collection nothing runs in the middle of reading
a frame, because nothing is freed there.

Source: "The garbage collector now runs only on the eval breaker mechanism", What's New In Python 3.12.
"""

import gc
import os
import sys
import threading
from types import TracebackType
from typing import Final

__all__ = ("STEADY",)

_SAFE: Final = sys.version_info[:2] >= (3, 12)


class _Steady:
    """Entered by whoever reads frames; by any thread, and again."""

    def __init__(self) -> None:
        self._inside = 0
        self._was_enabled = False
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if _SAFE:
            return
        with self._lock:
            if not self._inside:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if _SAFE:
            return
        with self._lock:
            self._inside -= 1
            if not self._inside and self._was_enabled:
                gc.enable()

    def after_fork(self) -> None:
        """Whoever was inside stayed with the parent."""
        self._lock = threading.Lock()
        if self._inside and self._was_enabled:
            gc.enable()
        self._inside = 0


STEADY: Final = _Steady()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=STEADY.after_fork)
