"""What the three engines of a stream have in common: the input, the window, the end."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from holdfast._core import check
from holdfast._core.clock import Clock
from holdfast.limits import Retry
from holdfast.pools._admission import Admission
from holdfast.pools._feed import Feed
from holdfast.pools._stream_retry import StreamRetry
from holdfast.pools._timer import TIMER
from holdfast.pools._window import Window

if TYPE_CHECKING:
    from holdfast.pools._bridge import Bridge

__all__ = ("SLICE", "StreamEngine", "StreamOptions")

SLICE: Final = 0.001
"""Seconds for which a worker may hold a pass of the loop, or a permit that others wait for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """How one stream is to run; checked when it is made.

    Attributes:
        limit: Most permits at once; None is all that the pool has.
        buffer: Items beyond the limit between input and consumer; None is as many as the limit, and
            more for quick items on threads (:meth:`Window.adapt`).
        ordered: Deliver in input order.
        outcomes: Deliver records, errors among them.
        timeout: Longest run of one attempt in seconds.
        retry: When to call again.
        on_end: Called once when nothing of the stream is left to do.
    """

    limit: int | None
    buffer: int | None
    ordered: bool
    outcomes: bool
    timeout: float | None
    retry: Retry | None
    on_end: Callable[[], None] | None

    def __post_init__(self) -> None:
        if self.limit is not None:
            check.count("limit", self.limit, least=1)
        if self.buffer is not None:
            check.count("buffer", self.buffer)


class StreamEngine:
    """The fields and the few steps that engines share."""

    __slots__ = (
        "_bridge",
        "_context",
        "_items",
        "_loop",
        "_source",
        "_timed",
        "admission",
        "clock",
        "exhausted",
        "feed",
        "fn",
        "next_index",
        "options",
        "retry",
        "take",
        "width",
        "window",
    )

    def __init__(
        self,
        admission: Admission,
        clock: Clock,
        fn: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        options: StreamOptions,
    ) -> None:
        self.admission = admission
        self.clock = clock
        self.fn = fn
        self.options = options
        self.retry = None if options.retry is None else StreamRetry(options.retry)
        self._items = items
        across = options.limit if options.limit is not None else admission.limit
        self.width = options.limit if options.limit is not None else sys.maxsize
        size = across + (across if options.buffer is None else options.buffer)
        self.window = Window(
            size,
            ordered=options.ordered,
            outcomes=options.outcomes,
            feed=self.resume,
            cut_off=self.cut_off,
        )
        admission.open_tally(self.window)
        self.exhausted = False  # nothing more is pulled
        self.next_index = 0
        self._timed = 0  # items whose times have been noted
        self.feed: Feed | None = None  # for an asynchronous input
        self._source: Iterator[Any] | None = None
        self.take: Callable[[], Any] = _nothing
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = Context()
        self._bridge: Bridge | None = None

    def note_exhaustion(self) -> bool:
        """Whether nothing more is pulled; a feed that ended does not say so to anybody who was not asking.

        To be called with what guards ``exhausted``, by whoever stops asking for items.
        """
        if self.feed is not None and self.feed.is_spent():
            self.exhausted = True
        return self.exhausted

    def note_input_error(self, error: BaseException) -> None:
        """The input has raised: it comes behind everything that was pulled."""
        if self.window.final_error is None:
            self.window.final_error = error

    def note_time(self, seconds: float) -> None:
        """An item ran so long: it stands for those that have ended since the last note."""
        done = self.window.done()
        if done > self._timed:
            self.admission.timings.record(-1.0, seconds, done - self._timed)
            self._timed = done

    def retry_wait(self, attempt: int, error: BaseException, ahead: int = 0) -> float | None:
        """Seconds until an item is called again, after ``attempt`` raised ``error``; None if it is not.

        ``ahead`` is how many of the items that were pulled have not been called.
        """
        if self.retry is None:
            return None
        return self.retry.wait(attempt, error, self.next_index - ahead)

    def end_locks(self) -> tuple[threading.Lock, ...]:
        """What the end of a stream takes, beside the lock of its engine."""
        more = () if self.retry is None else self.retry.locks()
        return self.admission.lock, TIMER.lock, *more

    def resume(self) -> None:
        """The consumer has made room; from any thread."""
        raise AssertionError("abstract")  # noqa: EM101 - both engines have their own

    def cut_off(self) -> None:
        """Pull nothing more; from any thread. ``PoolClosed`` comes behind what has been pulled.

        A stream that has all of its input is left alone.
        """
        raise AssertionError("abstract")  # noqa: EM101 - likewise

    def _note_cut(self) -> None:
        """The pool closes: it comes behind everything that was pulled."""
        admission = self.admission
        self.note_input_error(
            admission.refusal(
                admission.why_closed,
                f"it closes, so nothing more is pulled from the input of a stream; {self.next_index} items "
                "had been, and their results came before this",
            )
        )

    def _open_source(
        self, *, on_item: Callable[[], None], on_end: Callable[[BaseException | None], None]
    ) -> Feed | None:
        """Get ready to pull; returns the feed of an asynchronous input, to be started on its loop."""
        if isinstance(self._items, AsyncIterable):
            self.feed = Feed(self._items, self.window, on_item=on_item, on_end=on_end)
            self.take = self.feed.take
        else:
            self._source = iter(self._items)
            self.take = self._source.__next__
        return self.feed

    def _close_source(self) -> None:
        """Close a generator that was the input; whoever opened anything else closes it."""
        close = getattr(self._source, "close", None)
        if close is None or not hasattr(self._source, "throw"):
            return
        try:
            close()
        except BaseException as error:  # noqa: BLE001 - the input's error ends the stream, whatever it is
            self.note_input_error(error)

    def _finish(self) -> None:
        """Nothing of the stream is left to do: let go of everything, and tell the consumer."""
        self.admission.close_tally(self.window)
        if self.retry is not None:
            self.retry.note(self.window.done())
        self.fn = self.take = _nothing
        self._items = ()
        self.window.end()
        if self._bridge is not None:
            self._bridge.give_back()
        if self.options.on_end is not None:
            self.options.on_end()

    async def wait_closed(self) -> None:
        """Wait for the pulling task, if there is one; what runs elsewhere is not waited for."""
        if self.feed is not None and self._loop is asyncio.get_running_loop():
            self.feed.stop()
            await self.feed.wait_stopped()

    def wait_closed_blocking(self) -> None:
        """Do the same in blocking code."""
        if self._bridge is not None:
            self._bridge.join_if_over()


def _nothing(*_: object) -> Any:
    raise StopIteration
