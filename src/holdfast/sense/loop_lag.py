"""By how much an event loop is late: a timer on the loop itself, and no thread.

Purpose: show that something blocks the loop, also while it still does.
Guarantees: one timer at a time; :meth:`LoopLag.take` never blocks and may be called from any
thread, so that a monitor sees a loop that is stuck. Nothing is left on the loop after
:meth:`LoopLag.stop`.
States: idle, then ticking from ``start`` (on the loop) to ``stop`` (on the loop), then idle again.
Assumptions: the lag of a timer is that of everything else on the loop: tasks, sockets, callbacks.
What passes wholly between two ticks can be missed by up to the interval.
"""

import asyncio
import threading

from holdfast._core import check, clock
from holdfast.sense.reading import Reading

__all__ = ("LoopLag",)

_USUAL_INTERVAL_S = 0.25


class LoopLag:
    """Measures the lag of one event loop for as long as it is started.

    Args:
        interval: Seconds between two looks, more than 0. A look costs about as much as a
            ``call_later``.

    Raises:
        TypeError: ``interval`` is no number.
        ValueError: ``interval`` is not above 0.

    Example:
        >>> async def main():
        ...     lag = LoopLag(0.01)
        ...     lag.start()
        ...     await asyncio.sleep(0.02)
        ...     lag.stop()
        ...     return lag.take().unit
        >>> asyncio.run(main())
        's'
    """

    def __init__(self, interval: float = _USUAL_INTERVAL_S) -> None:
        self._interval = check.seconds("interval", interval) or _USUAL_INTERVAL_S
        self._clock = clock.current()
        self._lock = threading.Lock()
        self._worst: float | None = None
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look, on the running loop; of no effect if it looks already.

        Raises:
            RuntimeError: There is no running loop.
        """
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._await_next(loop)

    def stop(self) -> None:
        """End it; what was measured can still be taken. To be called on the loop; may be repeated."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        with self._lock:
            self._note(self._lag(self._due))
            self._due = None

    def take(self) -> Reading:
        """Return the longest lag since the last ``take``, and begin anew.

        May be called from any thread. A loop that is stuck counts with its lag so far, each time, and
        once more with the whole of it when it goes on.

        Returns:
            Seconds; None with a note before the first look, or while it is not started.
        """
        with self._lock:
            worst, self._worst = self._worst, None
            now_s = self._lag(self._due)
        lag_s = max((each for each in (worst, now_s) if each is not None), default=None)
        note = "" if lag_s is not None else "no look has been due since the last reading"
        return Reading("event loop lag", lag_s, "s", scope="event loop", note=note)

    def _lag(self, due: float | None) -> float | None:
        if due is None:
            return None
        late = self._clock.now() - due
        return late if late > 0 else None

    def _await_next(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._due = self._clock.now() + self._interval
        self._timer = loop.call_later(self._interval, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            # A loop may round a timer down by its resolution: that is no lag.
            self._note(self._lag(self._due) or 0.0)
        self._await_next(loop)

    def _note(self, lag_s: float | None) -> None:
        if lag_s is not None:
            self._worst = lag_s if self._worst is None else max(self._worst, lag_s)
