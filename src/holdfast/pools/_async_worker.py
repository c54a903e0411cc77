"""One worker of a stream of coroutines: a task that runs many items, and what is known of it.

The context in which it was started is each item's: when an item has changed a context variable, the
worker asks to be replaced by a fresh one, which costs a task; to find out costs one comparison.

The cancellations that reach it are told apart by who sent them: the sweep (``expired``), the engine
(``stopping``), anybody else (the task's own count), or the item itself, by raising.
"""

import asyncio
import itertools
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Protocol, overload

from holdfast._core.clock import Clock
from holdfast._core.outcome import Outcome
from holdfast.errors import CallTimeout
from holdfast.pools._admission import Admission
from holdfast.pools._feed import Dry, Feed
from holdfast.pools._pressure import LISTENERS, tell_of
from holdfast.pools._stream_engine import SLICE, StreamOptions
from holdfast.pools._window import Window

__all__ = ("AsyncWorker", "WorkerHost")


class WorkerHost(Protocol):
    """What a worker asks of its engine."""

    window: Window
    admission: Admission
    clock: Clock
    options: StreamOptions
    feed: Feed | None
    next_index: int
    room_until: int
    unborn: int
    stopping: bool
    exhausted: bool
    pass_open: bool
    slice_end: float

    @property
    def fn(self) -> Callable[[Any], Any]:
        """What is called for each item."""
        ...

    @property
    def take(self) -> Callable[[], Any]:
        """Where the next item comes from."""
        ...

    def find_room(self) -> int:
        """The consumer has taken some, perhaps: the first item now for which there is no room."""
        ...

    def hire(self) -> None:
        """One more worker, if that is of use."""
        ...

    def replace(self, worker: "AsyncWorker") -> None:
        """A fresh worker takes over this one's permit."""
        ...

    def yield_permit(self) -> None:
        """This worker is about to end, because somebody waits for its permit."""
        ...

    def note_time(self, seconds: float) -> None:
        """An item, one of those that have ended since the last note, ran so long."""
        ...

    def retry_wait(self, attempt: int, error: BaseException) -> float | None:
        """Seconds until an item is called again; None if it is not."""
        ...

    def open_pass(self, time: float) -> None:
        """The first item of a pass of the loop is about to start."""
        ...

    def stop_pulling(self) -> None:
        """The input is exhausted."""
        ...

    def input_failed(self, error: BaseException) -> None:
        """The input has raised."""
        ...

    def item_failed(self, index: int, error: BaseException) -> None:
        """An item has raised, and that ends the stream."""
        ...

    def cancelled_from_outside(self) -> None:
        """Somebody has cancelled a worker's task."""
        ...


class _Stopped(Exception):
    """The worker was cancelled, not its item."""


class AsyncWorker:
    """Hired with a permit; runs items until there is a reason to end."""

    __slots__ = (
        "attempts",
        "engine",
        "expired",
        "has_permit",
        "index",
        "since",
        "started",
        "task",
    )

    def __init__(self, engine: WorkerHost) -> None:
        self.engine = engine
        self.task: asyncio.Task[None] | None = None
        self.index = -1
        self.started: float | None = None  # of the running attempt; None between items
        self.expired = False
        self.attempts = 1
        self.since = 0.0
        self.has_permit = True

    async def work(self) -> None:  # noqa: C901, PLR0911, PLR0912, PLR0915 - the loop that every item pays for, kept in one frame
        engine = self.engine
        engine.unborn -= 1
        window = engine.window
        held, ordered, append = window.held, window.ordered, window.ready.append
        fn, take, now = engine.fn, engine.take, engine.clock.now
        fed, timed, plain = (
            engine.feed is not None,
            engine.options.timeout is not None,
            not window.outcomes,
        )
        copy = copy_context
        base = copy()
        fresh, stalled_at, noted = True, -1, -1
        time = began = self.since = now()
        while True:
            if time >= engine.slice_end:  # also set by whoever wants the workers to look up
                if self.index != noted:
                    noted = self.index
                    engine.note_time(time - began)
                if engine.stopping or (engine.exhausted and not fed):
                    return
                if engine.admission.gate is not None:
                    if not fresh:  # with a rate, each item has to be admitted by itself
                        engine.yield_permit()
                        return
                elif engine.pass_open:
                    await asyncio.sleep(0)
                    time = now()
                    continue
                elif engine.admission.contended and time - self.since >= SLICE:
                    engine.yield_permit()
                    return
                else:
                    engine.open_pass(time)
            index = engine.next_index
            if index >= engine.room_until and index >= engine.find_room():
                if index != stalled_at:  # a consumer that keeps up makes room within one pass
                    stalled_at = index
                    await asyncio.sleep(0)
                    time = now()
                    continue
                window.starved = True
                if window.full():
                    return
                window.starved = False
            try:
                item = take()
            except StopIteration:
                engine.stop_pulling()
                return
            except Dry:
                return
            except BaseException as error:  # noqa: BLE001 - the input's error ends the stream, whatever it is
                engine.input_failed(error)
                return
            engine.next_index = following = index + 1
            if not fed:
                window.pulled = following
            if fresh:
                fresh = False
                engine.hire()
                if index > window.next + len(held):
                    # Items before this one are suspended, so more workers are of use: two for each
                    # new one, and their number doubles with every pass.
                    engine.hire()
            self.index = index
            if timed:
                self.started = time
            began = time
            try:
                value: Any = await fn(item)
                if timed:
                    self.started = None
                    if self.expired:
                        self._judge(None)
            except BaseException as error:  # noqa: BLE001 - judged in _recover
                try:
                    value, failure = await self._recover(item, error)
                except _Stopped:
                    return
                time = now()
                if failure is not None:
                    window.failed += 1
                    if LISTENERS:
                        tell_of(failure)
                    if plain:
                        engine.item_failed(index, failure)
                        return
                    value = Outcome[Any](index, item, None, failure, self.attempts, time - began)
                    failure = None
                elif not plain:
                    value = Outcome(index, item, value, None, self.attempts, time - began)
            else:
                time = now()
                if not plain:
                    value = Outcome(index, item, value, None, 1, time - began)
            if ordered and index == window.next and not held:  # window.put, without the call
                append(value)
                window.next = following
                if window.waiter is not None:
                    window.wake()
            else:
                window.put(index, value)
            try:
                if copy() != base:
                    engine.replace(self)
                    return
            except Exception:  # noqa: BLE001 - values of context variables may refuse to be compared
                engine.replace(self)
                return

    async def _recover(self, item: Any, failure: BaseException) -> tuple[Any, BaseException | None]:
        """Judge an attempt that raised, and try again where that is asked for."""
        engine = self.engine
        for attempt in itertools.count(1):
            self.attempts = attempt
            self.started = None
            judged = self._judge(failure)
            if engine.window.error is not None or engine.stopping:
                return None, judged
            delay = engine.retry_wait(attempt, judged)
            if delay is None:
                return None, judged
            try:
                await asyncio.sleep(delay)
                self.started = engine.clock.now()
                value = await engine.fn(item)
            except BaseException as error:  # noqa: BLE001 - judged in the next round
                failure = error
            else:
                self.attempts = attempt + 1
                self.started = None
                if self.expired:
                    self._judge(None)
                return value, None
        raise AssertionError("unreachable")  # noqa: EM101 - itertools.count never ends

    @overload
    def _judge(self, failure: BaseException) -> BaseException: ...
    @overload
    def _judge(self, failure: None) -> None: ...
    def _judge(self, failure: BaseException | None) -> BaseException | None:
        """Tell the deadline's cancellation from an item's own, and both from the worker's end."""
        engine, task = self.engine, self.task
        assert task is not None  # noqa: S101 - it is what runs this
        expired, self.expired = self.expired, False
        if expired:
            task.uncancel()
        if failure is None:
            return None  # it ended in the very moment of its deadline, or would not be cancelled
        if isinstance(failure, (KeyboardInterrupt, SystemExit)):
            raise failure
        if isinstance(failure, asyncio.CancelledError) and (engine.stopping or task.cancelling()):
            engine.cancelled_from_outside()
            raise _Stopped
        if not expired:
            return failure
        timeout = CallTimeout(
            f"pool {engine.admission.name!r}: item {self.index} ran longer than its timeout of "
            f"{engine.options.timeout:g} s and was cancelled",
            stopped=True,
        )
        if not isinstance(failure, asyncio.CancelledError):
            timeout.__cause__ = failure
        return timeout
