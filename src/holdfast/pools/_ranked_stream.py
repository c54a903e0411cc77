"""Streams that say who they are in their pool's line, or that end with a deadline they inherited.

All other streams are plain, and neither costs them anything.

At its deadline a stream ends as one does whose item has failed: what is ready is still delivered,
then the error raises; coroutines are cancelled, blocking calls are abandoned, nothing new starts. A
deadline is watched while the stream runs. ``expire`` comes on the timer's thread; what it changes of
the window it changes where the engine does: on the loop, or under the lock.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any

from holdfast.errors import CallTimeout, HoldfastError, UnderPressure
from holdfast.pools._async_core import AsyncCore
from holdfast.pools._async_stream import AsyncStreamEngine
from holdfast.pools._deadline_left import check_time, waited_longer
from holdfast.pools._stream_engine import StreamOptions
from holdfast.pools._thread_core import ThreadCore
from holdfast.pools._thread_stream import ThreadStreamEngine
from holdfast.pools._timer import TIMER

__all__ = ("async_stream", "thread_stream")


def async_stream(
    core: AsyncCore,
    fn: Callable[[Any], Any],
    items: Iterable[Any] | AsyncIterable[Any],
    options: StreamOptions,
    more: tuple[Any, float | None],
) -> AsyncStreamEngine:
    """What runs a stream of coroutines; ``more`` is its rank, and when it has to be over."""
    rank, until = more
    if rank is None and until is None:
        return AsyncStreamEngine(core, fn, items, options)
    engine = RankedAsyncStream(core, fn, items, options)
    engine.rank, engine.until, engine.due = rank, until, None
    return engine


def thread_stream(
    core: ThreadCore,
    fn: Callable[[Any], Any],
    items: Iterable[Any] | AsyncIterable[Any],
    options: StreamOptions,
    more: tuple[Any, float | None],
) -> ThreadStreamEngine:
    """What runs a stream of blocking calls; ``more`` is its rank, and when it has to be over."""
    rank, until = more
    if rank is None and until is None:
        return ThreadStreamEngine(core, fn, items, options)
    engine = RankedThreadStream(core, fn, items, options)
    engine.rank, engine.until, engine.due = rank, until, None
    return engine


class RankedAsyncStream(AsyncStreamEngine):
    """A stream of coroutines with a rank, a deadline, or both; made by :func:`async_stream`."""

    __slots__ = ("due", "rank", "until")
    rank: Any  # what its turns say of it in line
    until: float | None  # when it has to be over, on the pool's clock; None is never
    due: float | None

    def start(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Begin, if there is time left; raises a ``Rejected`` if there is none."""
        if self.until is None:
            return super().start(loop)
        _check(self)
        same_loop = super().start(loop)
        _watch(self)
        return same_loop

    def expire(self) -> None:
        """On the timer's thread: the deadline has come."""
        self.mailbox.post(self)

    def deliver(self) -> None:
        """On the loop: the deadline has come."""
        if not self.window.ended:
            self.admission.count_timeout()
            self.window.fail(self.window.next, _error(self, stopped=True))
            self._stop()

    def _finish(self) -> None:
        _unwatch(self)
        super()._finish()


class RankedThreadStream(ThreadStreamEngine):
    """A stream of blocking calls with a rank, a deadline, or both; made by :func:`thread_stream`."""

    __slots__ = ("due", "rank", "until")
    rank: Any  # as above
    until: float | None
    due: float | None

    def start(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Begin, if there is time left; raises a ``Rejected`` if there is none."""
        if self.until is None:
            return super().start(loop)
        _check(self)
        same_loop = super().start(loop)
        _watch(self)
        return same_loop

    def expire(self) -> None:
        """On the timer's thread: the deadline has come."""
        if self.window.ended:
            return
        error = _error(self, stopped=False)
        with self.lock:
            self.window.fail(self.window.next, error)
        self.close_soon()

    def _finish(self) -> None:
        _unwatch(self)
        super()._finish()


Engine = RankedAsyncStream | RankedThreadStream


def _left(engine: Engine) -> tuple[float, float]:
    """Seconds that are left, and the time now."""
    assert engine.until is not None  # noqa: S101 - asked only where there is a deadline
    now = engine.clock.now()
    return engine.until - now, now


def _check(engine: Engine) -> None:
    try:
        check_time(engine.admission, *_left(engine))
    except BaseException:
        engine.close_soon()
        raise


def _watch(engine: Engine) -> None:
    left, _ = _left(engine)
    try:
        engine.due = TIMER.watch(engine, max(0.0, left))
    except RuntimeError as error:
        engine.close_soon()
        raise engine.admission.refusal(
            UnderPressure,
            f"the system refused the thread that watches deadlines ({error}); raise the limit on "
            "threads (ulimit -u, pids.max), or run fewer",
        ) from error
    if engine.window.ended:  # it may have ended before there was anything to unwatch
        _unwatch(engine)


def _unwatch(engine: Engine) -> None:
    if engine.due is not None:
        TIMER.unwatch(engine, engine.due)


def _error(engine: Engine, *, stopped: bool) -> HoldfastError:
    if not engine.next_index:
        return waited_longer(engine.admission)
    return CallTimeout(
        f"pool {engine.admission.name!r}: the deadline that the stream inherited came after "
        f"{engine.next_index} of its items had been taken; "
        + (
            "those that still ran were cancelled"
            if stopped
            else "a thread can't be stopped, so those that still run keep their permits"
        ),
        stopped=stopped,
    )
