"""What the monitor logs: one record for each change, and never a flood.

Ten records at once, then one every thirty seconds at most; what was held back is counted, and the next
record says how many. A logger that raises is not the monitor's death.
"""

import contextlib
import logging
import threading
from typing import Final

__all__ = ("LOGGER", "Voice")

LOGGER: Final = logging.getLogger("holdfast.monitor")

_BURST: Final = 10.0
_EVERY: Final = 30.0


class Voice:
    """Says things in the log, a bounded number of times."""

    def __init__(self) -> None:
        self._tokens = _BURST
        self._at: float | None = None
        self.held_back = 0
        self._untold = 0
        self._lock = threading.Lock()  # not held while a handler writes

    def say(self, at: float, level: int, text: str, *, error: BaseException | None = None) -> None:
        """Log ``text``, or count it."""
        untold = self._permitted(at)
        if untold is None:
            return
        more = f" ({untold} more were not logged)" if untold else ""
        with contextlib.suppress(Exception):
            LOGGER.log(level, "%s%s", text, more, exc_info=error)

    def _permitted(self, at: float) -> int | None:
        """How many were held back before this one; None if this one is, too."""
        with self._lock:
            passed = 0.0 if self._at is None else at - self._at
            self._tokens = min(_BURST, self._tokens + max(0.0, passed) / _EVERY)
            self._at = at
            if self._tokens < 1.0:
                self.held_back += 1
                self._untold += 1
                return None
            self._tokens -= 1.0
            untold, self._untold = self._untold, 0
            return untold
