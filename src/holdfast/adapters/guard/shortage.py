"""When no descriptor is left: a report, one collection, one more try.

A few descriptors are kept in reserve, so that the report can be written. The collector closes what was
dropped in a cycle, which the program itself would have to wait for.
"""

import errno
import gc
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

from holdfast._core import clock

__all__ = ("Shortage", "is_shortage")

_SHORT: Final = frozenset({errno.EMFILE, errno.ENFILE})
_OUR_THREADS: Final = frozenset({"holdfast:monitor", "holdfast:guard"})
_PATIENCE: Final = 5.0
_SPARE: Final = 4
"""A report takes one or two, and other threads may take some meanwhile."""
_REST: Final = 0.5
"""Seconds between two collections that brought nothing."""


def _is_ours() -> bool:
    """Whether this is a thread that reads and reports: the report may be waiting for what it holds."""
    thread = cast("Any", threading._active.get(threading.get_ident()))  # type: ignore[attr-defined] # noqa: SLF001
    return thread is not None and thread.name in _OUR_THREADS


def is_shortage(error: BaseException) -> bool:
    """Whether an error says that no descriptor is left."""
    return isinstance(error, OSError) and error.errno in _SHORT


class Shortage:
    """Keeps a descriptor in reserve, and decides whether to try again.

    Args:
        tell: Called at the first shortage with its error, before anything is collected, while a spare
            descriptor is free; again only when a collection has not helped.
        act: Whether to collect and try again; else it is only told.
        connected: Called with the path of each database that is opened.
    """

    def __init__(
        self,
        tell: Callable[[BaseException], None],
        *,
        act: bool,
        connected: Callable[[str], None],
    ) -> None:
        self._tell = tell
        self._act = act
        self.lines_of_databases = connected
        self._lock = threading.RLock()
        self._busy = False
        self._useless_at = float("-inf")
        self._spare: list[int] = []
        self._real_open, self._real_close = os.open, os.close
        self.met = self.relieved = 0
        self.reserve()

    def reserve(self) -> None:
        """Keep a few descriptors, as far as they can be had."""
        with suppress(OSError):
            while len(self._spare) < _SPARE:
                self._spare.append(self._real_open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def let_go(self) -> None:
        """Give up the descriptors in reserve."""
        while self._spare:
            with suppress(OSError):
                self._real_close(self._spare.pop())

    def is_exhausted(self) -> bool:
        """Whether no descriptor can be had; for errors that do not say so."""
        try:
            self._real_close(self._real_open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            return is_shortage(error)
        return False

    def relieve(self, error: BaseException) -> bool:
        """Tell, and make room if that can be done; returns whether to try once more."""
        if _is_ours() or not self._lock.acquire(timeout=_PATIENCE):
            return False
        try:
            if self._busy:  # the report itself found none
                return False
            self._busy = True
            try:
                return self._relieve(error)
            finally:
                self._busy = False
        finally:
            self._lock.release()

    def _relieve(self, error: BaseException) -> bool:
        self.met += 1
        now = clock.now()
        if now - self._useless_at < _REST:
            return False
        self.let_go()
        if self.met == 1:
            self._tell(error)
        if not self._act:
            self.reserve()
            return False
        gc.collect()
        self.reserve()
        helped = len(self._spare) == _SPARE and not self.is_exhausted()
        if helped:
            self.relieved += 1
        else:
            self._useless_at = now
        return helped
