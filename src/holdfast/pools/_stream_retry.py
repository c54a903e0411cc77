"""When an item of a stream is called again: as its ``Retry`` says, within the budget of the process.

An item costs the budget nothing until one has failed: the first calls of a stream are noted when it asks
for a retry, and when it ends. So others learn of them late, never too early.
"""

import threading

from holdfast.limits import Retry
from holdfast.pools._retries import RETRIES

__all__ = ("StreamRetry",)


class StreamRetry:
    """The retries of one stream. May be used from any thread."""

    __slots__ = ("_lock", "_noted", "_retry")

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._lock = threading.Lock()
        self._noted = 0  # first calls that the budget knows of

    def wait(self, attempt: int, error: BaseException, begun: int) -> float | None:
        """Seconds until the next attempt, which is taken from the budget; None if there is none.

        An error that the budget is used up for has a note that says so.

        Args:
            attempt: How many there were, from 1.
            error: What the last one raised.
            begun: Items of the stream that have been called so far.
        """
        delay = self._retry.delay(attempt, error)
        if delay is None:
            return None
        self.note(begun)
        return delay if RETRIES.spend_on(error) else None

    def note(self, begun: int) -> None:
        """Tell the budget of the first calls; of each once."""
        with self._lock:
            more = begun - self._noted
            if more > 0:
                self._noted = begun
                RETRIES.called(more)

    def locks(self) -> tuple[threading.Lock, ...]:
        """What :meth:`note` takes, for who comes from a ``__del__``."""
        return self._lock, RETRIES.lock
