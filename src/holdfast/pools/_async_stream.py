"""A stream of coroutines: workers that pull from one input, each a task that runs many items.

Purpose: the price of an item is that of the bare coroutine plus little; a task for each would cost
three times as much.

Guarantees
- a worker holds a permit of the pool for as long as it works; when somebody else waits for one, it
  gives it back within a slice and stands in line again (one place in the line for each stream);
- each item sees the context in which the stream was started: a worker whose item changed a context
  variable is replaced by a fresh one;
- items that never suspend can't freeze the loop: in one pass of the loop, a slice is shared by all
  workers;
- a deadline for each item costs no timer: one sweep looks at all running items.

States of a worker: hired (has a permit) -> working -> gone; gone for want of input, room or permit,
because it was replaced, or because it was cancelled. It is never parked: the consumer hires another.

What an item shares with the others of its worker is ``asyncio.current_task()``. A cancellation of
that task from outside ends the stream.

Assumes: everything but ``close_soon`` and ``resume`` runs on the engine's loop.
"""

import asyncio
import itertools
import sys
import threading
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextvars import Context, copy_context
from typing import Any, Final, cast, overload

from holdfast._core.clock import Clock
from holdfast._core.loops import LoopState, loop_state
from holdfast._core.outcome import Outcome
from holdfast.errors import CallTimeout, PoolClosed, Rejected
from holdfast.limits import Retry
from holdfast.pools._admission import WAITING
from holdfast.pools._async_core import AsyncCore
from holdfast.pools._bridge import Bridge
from holdfast.pools._feed import Dry, Feed
from holdfast.pools._window import Window

__all__ = ("AsyncStreamEngine",)

SLICE: Final = 0.001
"""Seconds for which workers may hold a pass of the loop, or a permit that others wait for."""


_YIELD: Final = 0.000_003
"""Seconds added for each worker, so that yielding, a third of that each, stays the smaller part."""


class _Stopped(Exception):  # noqa: N818 - a signal between two functions, never seen outside
    """The worker was cancelled, not its item."""


class _Slot:
    """What the engine knows of one worker."""

    __slots__ = ("attempts", "expired", "has_permit", "index", "since", "started", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.index = -1
        self.started: float | None = None  # of the running attempt; None between items
        self.expired = False
        self.attempts = 1
        self.since = 0.0
        self.has_permit = True


class _Turn:
    """The stream's place in the pool's line."""

    __slots__ = ("abandoned", "engine", "error", "state")
    counted = False

    def __init__(self, engine: "AsyncStreamEngine") -> None:
        self.engine = engine
        self.state = WAITING
        self.abandoned = False
        self.error: Rejected | None = None

    def granted(self) -> bool:
        engine = self.engine
        if engine.on_loop():
            engine.turn_granted()
            return True
        return engine.mailbox.post(self)

    def deliver(self) -> None:
        if self.error is not None:
            self.engine.turn_refused(self.error)
        else:
            self.engine.turn_granted()

    def accepted(self) -> None:
        """Never blocked: a turn is beyond the bound of the queue."""

    def refuse(self, error: Rejected) -> None:
        self.error = error
        self.engine.mailbox.post(self)


class _Call:
    """Runs a function of the engine on its loop."""

    __slots__ = ("_fn",)

    def __init__(self, fn: Callable[[], None]) -> None:
        self._fn = fn

    def deliver(self) -> None:
        self._fn()


class AsyncStreamEngine:
    """Runs one stream's items as coroutines."""

    __slots__ = (
        "_admission",
        "_bridge",
        "_context",
        "_ended",
        "_exhausted",
        "_feed",
        "_fn",
        "_items",
        "_latch",
        "_loop",
        "_next_index",
        "_on_end",
        "_owed",
        "_pass_open",
        "_retry",
        "_slice_end",
        "_slots",
        "_source",
        "_stopping",
        "_sweeper",
        "_take",
        "_timeout",
        "_turn",
        "_unborn",
        "_width",
        "clock",
        "core",
        "mailbox",
        "window",
    )

    def __init__(
        self,
        core: AsyncCore,
        fn: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        width: int | None,
        spare: int | None,
        ordered: bool,
        outcomes: bool,
        timeout: float | None,
        retry: Retry | None,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        self.core = core
        self.clock: Clock = core.clock
        self._admission = core.admission
        self._fn = fn
        self._items = items
        self._timeout = timeout
        self._retry = retry
        self._on_end = on_end
        across = width if width is not None else self._admission.limit
        self._width = width if width is not None else sys.maxsize
        size = across + (across if spare is None else spare)
        self.window = Window(size, ordered=ordered, outcomes=outcomes, feed=self.resume)
        self._admission.open_tally(self.window)
        self._slots: set[_Slot] = set()
        self._turn: _Turn | None = None
        self._unborn = 0  # workers that were hired and have not begun
        self._owed = False  # somebody was not hired because there were enough
        self._next_index = 0
        self._exhausted = False
        self._stopping = False
        self._feed: Feed | None = None
        self._source: Iterator[Any] | None = None
        self._take: Callable[[], Any] = self._nothing
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = Context()
        self._bridge: Bridge | None = None
        self._pass_open = False
        self._slice_end = 0.0
        self._sweeper: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] | None = None
        self._latch = threading.Lock()
        self._latch.acquire()
        self.mailbox = cast("LoopState", None)  # set by start, before anyone can post

    # ------------------------------------------------------------ begin

    def start(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Begin on the consumer's loop; for a consumer in blocking code, on the bridge's."""
        self._context = copy_context()
        if loop is not None:
            self._begin(loop)
            return True
        self._bridge = Bridge.borrow()
        try:
            self._bridge.call(lambda: self._begin(asyncio.get_running_loop()))
        except BaseException:
            self._bridge.give_back()
            raise
        return False

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.mailbox = loop_state(loop)
        self._ended = loop.create_future()
        if isinstance(self._items, AsyncIterable):
            self._feed = Feed(self._items, self.window, on_item=self._hire, on_end=self._fed)
            self._take = self._feed.take
            self._feed.start(loop)
        else:
            self._source = iter(self._items)
            self._take = self._source.__next__
            self._hire()
        if self._timeout is not None:
            self._sweep()

    def _nothing(self) -> Any:
        raise StopIteration

    def on_loop(self) -> bool:
        """Whether this is the engine's loop."""
        return _get_running_loop() is self._loop

    # ------------------------------------------------------------ hiring

    def resume(self) -> None:
        """The consumer has made room; from any thread."""
        self.window.starved = False
        if self._feed is not None:
            self._feed.resume()
        elif self.on_loop():
            self._hire()
        else:
            self.mailbox.post(_Call(self._hire))

    def _hire(self) -> None:
        """One more worker, if there is something for it to do, or a place in line for it."""
        if self._exhausted or self._stopping or self._turn is not None:
            return
        if len(self._slots) >= min(self._width, self._admission.limit):
            self._owed = True
            return
        if self._feed is None and self.window.full():
            self.window.starved = True
            if self.window.full():
                return
            self.window.starved = False
        if self._admission.try_borrow():
            self._start_worker()
            return
        self._turn = _Turn(self)
        if self._admission.line_up_turn(self._turn):
            self.core.pump()
        else:
            self.turn_refused(self._admission.refusal(PoolClosed, "it is closed; make a new pool"))

    def turn_granted(self) -> None:
        """The place in line has become a permit."""
        self._turn = None
        if self._exhausted or self._stopping:
            self.core.give_back()
            self._check_end()
        else:
            self._start_worker()

    def turn_refused(self, error: Rejected) -> None:
        """The pool has closed."""
        self._turn = None
        if self.window.final_error is None:
            self.window.final_error = error
        self._stop_pulling()
        self._check_end()

    def _start_worker(self) -> None:
        assert self._loop is not None  # noqa: S101 - set before anything is hired
        slot = _Slot()
        self._slots.add(slot)
        self._unborn += 1
        # The class, not loop.create_task: an eager factory would nest a worker in its hirer.
        slot.task = asyncio.Task(
            self._work(slot),
            loop=self._loop,
            name="holdfast:stream",
            context=self._context.copy(),
        )
        slot.task.add_done_callback(lambda _: self._worker_gone(slot))

    def _worker_gone(self, slot: _Slot) -> None:
        self._slots.discard(slot)
        assert slot.task is not None  # noqa: S101 - it is what has just ended
        if slot.task.cancelled():
            self._cancelled_from_outside()
        elif (error := slot.task.exception()) is not None:
            # KeyboardInterrupt and SystemExit end the loop as well; anything else is our own bug.
            self._input_failed(error)
        if slot.has_permit:
            self.core.give_back()
        if self._owed and (self._feed is None or self._feed.has_items()):
            # It was counted as a worker, though on its way out, by somebody who wanted to hire one.
            self._owed = False
            self._hire()
        self._check_end()

    def _cancelled_from_outside(self) -> None:
        if not self._stopping and self.window.error is None:
            self._input_failed(asyncio.CancelledError("a worker of the stream was cancelled"))

    # ------------------------------------------------------------ working

    async def _work(self, slot: _Slot) -> None:  # noqa: C901, PLR0912, PLR0915 - the loop that every item pays for, kept in one frame
        self._unborn -= 1
        window = self.window
        ready, held, size, ordered = window.ready, window.held, window.size, window.ordered
        append = ready.append
        fn, take, now = self._fn, self._take, self.clock.now
        fed, timed, plain = self._feed is not None, self._timeout is not None, not window.outcomes
        copy = copy_context
        base = copy()
        fresh, stalled_at = True, -1
        time = slot.since = now()
        while True:
            if time >= self._slice_end:  # also set by whoever wants the workers to look up
                if self._stopping:
                    return
                if self._admission.gate is not None:
                    if not fresh:  # with a rate, each item has to be admitted by itself
                        self._yield_permit()
                        return
                elif self._pass_open:
                    await asyncio.sleep(0)
                    time = now()
                    continue
                elif self._admission.contended and time - slot.since >= SLICE:
                    self._yield_permit()
                    return
                else:
                    self._open_pass(time)
            index = self._next_index
            if not fed and index - window.next + len(ready) >= size:
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
                self._stop_pulling()
                return
            except Dry:
                return
            except BaseException as error:  # noqa: BLE001 - the input's error ends the stream, whatever it is
                self._input_failed(error)
                return
            self._next_index = index + 1
            if not fed:
                window.pulled = index + 1
            if fresh:
                fresh = False
                self._hire()
                if index > window.next + len(held):
                    # Items before this one are suspended, so more workers are of use: two for each
                    # new one, and their number doubles with every pass.
                    self._hire()
            slot.index = index
            if timed:
                slot.started = time
            began = time
            try:
                value = await fn(item)
                if timed:
                    slot.started = None
                    if slot.expired:
                        self._judge(slot, None)
            except BaseException as error:  # noqa: BLE001 - judged in _recover
                try:
                    value, failure = await self._recover(slot, item, error)
                except _Stopped:
                    return
                time = now()
                if failure is not None:
                    window.failed += 1
                    if plain:
                        self._item_failed(index, failure)
                        return
                    value = Outcome(index, item, None, failure, slot.attempts, time - began)
                    failure = None
                elif not plain:
                    value = Outcome(index, item, value, None, slot.attempts, time - began)
            else:
                time = now()
                if not plain:
                    value = Outcome(index, item, value, None, 1, time - began)
            if ordered and index == window.next and not held:  # window.put, without the call
                append(value)
                window.next = index + 1
                if window.waiter is not None:
                    window.wake()
            else:
                window.put(index, value)
            try:
                if copy() != base:
                    self._replace(slot)
                    return
            except Exception:  # noqa: BLE001 - values of context variables may refuse to be compared
                self._replace(slot)
                return

    async def _recover(
        self, slot: _Slot, item: Any, failure: BaseException
    ) -> tuple[Any, BaseException | None]:
        """Judge an attempt that raised, and try again where that is asked for."""
        for attempt in itertools.count(1):
            slot.attempts = attempt
            slot.started = None
            judged = self._judge(slot, failure)
            delay = None if self._retry is None else self._retry.delay(attempt, judged)
            if delay is None or self.window.error is not None or self._stopping:
                return None, judged
            try:
                await asyncio.sleep(delay)
                slot.started = self.clock.now()
                value = await self._fn(item)
            except BaseException as error:  # noqa: BLE001 - judged in the next round
                failure = error
            else:
                slot.attempts = attempt + 1
                slot.started = None
                if slot.expired:
                    self._judge(slot, None)
                return value, None
        raise AssertionError("unreachable")  # noqa: EM101 - itertools.count never ends

    @overload
    def _judge(self, slot: _Slot, failure: BaseException) -> BaseException: ...
    @overload
    def _judge(self, slot: _Slot, failure: None) -> None: ...
    def _judge(self, slot: _Slot, failure: BaseException | None) -> BaseException | None:
        """Tell the deadline's cancellation from an item's own, and both from the worker's end."""
        task = slot.task
        assert task is not None  # noqa: S101 - it is what runs this
        expired, slot.expired = slot.expired, False
        if expired:
            task.uncancel()
        if failure is None:
            return None  # it ended in the very moment of its deadline, or would not be cancelled
        if isinstance(failure, (KeyboardInterrupt, SystemExit)):
            raise failure
        if isinstance(failure, asyncio.CancelledError) and (self._stopping or task.cancelling()):
            self._cancelled_from_outside()
            raise _Stopped
        if not expired:
            return failure
        timeout = CallTimeout(
            f"pool {self._admission.name!r}: item {slot.index} ran longer than its timeout of "
            f"{self._timeout:g} s and was cancelled",
            stopped=True,
        )
        if not isinstance(failure, asyncio.CancelledError):
            timeout.__cause__ = failure
        return timeout

    def _item_failed(self, index: int, error: BaseException) -> None:
        """An item's error ends the stream: nothing new starts, what comes behind it is cancelled."""
        self._stop_pulling()
        if not self.window.fail(index, error):
            return
        for other in self._slots:
            if (not self.window.ordered or other.index > index) and other.task is not None:
                self._cancel(other)

    def _cancel(self, slot: _Slot) -> None:
        if slot.task is not None and slot.task is not asyncio.current_task(self._loop):
            slot.index = -1
            slot.task.cancel()

    def _input_failed(self, error: BaseException) -> None:
        if self.window.final_error is None:
            self.window.final_error = error
        self._stop_pulling()

    def _fed(self, error: BaseException | None) -> None:
        if error is not None:
            self._input_failed(error)
        elif self._feed is not None and not self._feed.has_items():
            self._exhausted = True
        self._check_end()

    def _stop_pulling(self) -> None:
        self._exhausted = True

    def _yield_permit(self) -> None:
        """Somebody waits for a permit: this worker ends, and the stream stands in line behind them."""
        if self._turn is None and not self._exhausted and not self._stopping:
            self._turn = _Turn(self)
            if not self._admission.line_up_turn(self._turn):
                self.turn_refused(
                    self._admission.refusal(PoolClosed, "it is closed; make a new pool")
                )

    def _replace(self, slot: _Slot) -> None:
        """A fresh worker in a fresh context takes over the permit that this one is about to return."""
        if not self._exhausted and not self._stopping:
            slot.has_permit = False
            self._start_worker()

    # ------------------------------------------------------------ slices and deadlines

    def _open_pass(self, time: float) -> None:
        """The first item of a pass of the loop starts the slice that all workers share."""
        assert self._loop is not None  # noqa: S101 - it is running this
        self._pass_open = True
        self._slice_end = time + SLICE + _YIELD * len(self._slots)
        self._loop.call_soon(self._close_pass)
        if not self._unborn and len(self._slots) < self._admission.limit and self._suspended():
            self._hire()

    def _suspended(self) -> bool:
        """Whether items that have started are waiting for something: then more workers are of use."""
        return self._next_index > self.window.next + len(self.window.held)

    def _close_pass(self) -> None:
        self._pass_open = False
        self._slice_end = 0.0

    def _sweep(self) -> None:
        """Cancel what has run for too long; look again when the next item may be due."""
        assert self._timeout is not None  # noqa: S101 - swept only with a timeout
        assert self._loop is not None  # noqa: S101 - it is running this
        now = self.clock.now()
        nearest = self._timeout
        for slot in self._slots:
            if slot.started is None or slot.expired:
                continue
            left = slot.started + self._timeout - now
            if left > 0:
                nearest = min(nearest, left)
            elif slot.task is not None:
                slot.expired = True
                slot.task.cancel()
        if not self.window.ended:
            pause = max(nearest, self._timeout / 64, 0.001)
            self._sweeper = self._loop.call_later(pause, self._sweep)

    # ------------------------------------------------------------ end

    def _check_end(self) -> None:
        if self._slots or self.window.ended:
            return
        if self._turn is not None and (self._exhausted or self._stopping):
            if self._admission.withdraw(self._turn):
                self._turn = None
            else:
                return  # its permit is on the way, and will be given back
        if self._turn is None and (self._exhausted or self._stopping):
            self._end()

    def _end(self) -> None:
        window = self.window
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._feed is not None:
            self._feed.stop()
        elif self._source is not None:
            self._close_source(self._source)
        self._admission.close_tally(window)
        self._fn = self._take = self._nothing
        self._items = ()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        window.end()
        if self._bridge is not None:
            self._bridge.give_back()
        self._latch.release()
        if self._on_end is not None:
            self._on_end()

    def _close_source(self, source: Iterator[Any]) -> None:
        close = getattr(source, "close", None)
        if close is None or not hasattr(source, "throw"):
            return  # not a generator: whoever opened it closes it
        try:
            close()
        except BaseException as error:  # noqa: BLE001 - the input's error ends the stream, whatever it is
            if self.window.final_error is None and not self._stopping:
                self.window.final_error = error

    def close_soon(self) -> None:
        """Stop; from any thread, and when the loop has closed."""
        if self._loop is None:
            self._exhausted = True
            if not self.window.ended:
                self._end()
        elif self.on_loop():
            self._stop()
        else:
            self.mailbox.post(_Call(self._stop))

    def _stop(self) -> None:
        self._stopping = True
        self._exhausted = True
        self._slice_end = 0.0
        for slot in tuple(self._slots):
            self._cancel(slot)
        self._check_end()

    async def wait_closed(self) -> None:
        """Wait until every worker has ended."""
        if self._ended is None or self.window.ended:
            return
        if self.on_loop():
            await asyncio.shield(self._ended)
            if self._feed is not None:
                await self._feed.wait_stopped()

    def wait_closed_blocking(self) -> None:
        """Do the same in blocking code."""
        if self._bridge is not None:
            self.clock.acquire(self._latch, None)
            self._latch.release()
            self._bridge.join_if_over()
