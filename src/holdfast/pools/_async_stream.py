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
import contextlib
import sys
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections.abc import AsyncIterable, Callable, Iterable
from contextvars import copy_context
from operator import length_hint
from typing import Any, Final, cast

from holdfast._core.latch import closed_lock
from holdfast._core.loops import LoopState, loop_state
from holdfast.errors import PoolClosed, Rejected
from holdfast.pools._async_core import AsyncCore
from holdfast.pools._async_turn import AsyncTurn, LoopWord
from holdfast.pools._async_worker import AsyncWorker, WorkerHost
from holdfast.pools._bridge import Bridge
from holdfast.pools._stream_engine import SLICE, StreamEngine, StreamOptions
from holdfast.pools._stream_input import QUICK_INPUTS

__all__ = ("AsyncStreamEngine",)

_YIELD: Final = 0.000_003
"""Seconds added for each worker, so that yielding, a third of that each, stays the smaller part."""


class AsyncStreamEngine(StreamEngine):
    """Runs one stream's items as coroutines."""

    __slots__ = (
        "_counted",
        "_ended",
        "_latch",
        "_owed",
        "_sweeper",
        "_turn",
        "_workers",
        "core",
        "mailbox",
        "pass_open",
        "room_until",
        "slice_end",
        "stopping",
        "unborn",
    )

    def __init__(
        self,
        core: AsyncCore,
        fn: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        options: StreamOptions,
    ) -> None:
        super().__init__(core.admission, core.clock, fn, items, options)
        self.core = core
        self._workers: set[AsyncWorker] = set()
        self._turn: AsyncTurn | None = None
        self.room_until = 0  # items before this one may be pulled, whatever the consumer does
        self.unborn = 0  # workers that were hired and have not begun
        self._owed = False  # somebody was not hired because there were enough
        self.stopping = False
        self.pass_open = False
        self.slice_end = 0.0
        self._sweeper: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] | None = None
        self._latch = closed_lock()
        self._counted = False  # whether the input can tell how many items are left
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
        self.mailbox = loop_state(loop)
        self._loop = loop  # from here on it may be cut off
        self._ended = loop.create_future()
        feed = self._open_source(on_item=self.hire, on_end=self._fed)
        if feed is not None:
            self.room_until = sys.maxsize  # the feed looks to that
            feed.start(loop)
        else:
            self._counted = type(self._source) in QUICK_INPUTS
            self.hire()
        if self.options.timeout is not None:
            self._sweep()

    def on_loop(self) -> bool:
        """Whether this is the engine's loop."""
        return _get_running_loop() is self._loop

    def find_room(self) -> int:
        """The consumer has taken some, perhaps: the first item now for which there is no room."""
        window = self.window
        self.room_until = window.next - len(window.ready) + window.size
        return self.room_until

    # ------------------------------------------------------------ hiring

    def resume(self) -> None:
        """The consumer has made room; from any thread."""
        self.window.starved = False
        if self.feed is not None:
            self.feed.resume()
        elif self.on_loop():
            self.hire()
        else:
            self.mailbox.post(LoopWord(self.hire))

    def hire(self, taking: int = 0) -> None:
        """One more worker, if there is something for it to do, or a place in line for it.

        ``taking`` is how many items are about to be taken by whoever asks.
        """
        if self.exhausted or self.stopping or self._turn is not None:
            return
        if self._counted and self._workers and length_hint(self._source) <= self.unborn + taking:
            return  # they are for those who have not begun; and whoever works will look again
        if len(self._workers) >= min(self.width, self.admission.limit):
            self._owed = True
            return
        if self.feed is None and self.window.full():
            self.window.starved = True
            if self.window.full():
                return
            self.window.starved = False
        if self.admission.try_borrow():
            self._start_worker()
            return
        self._turn = AsyncTurn(self)
        if self.admission.line_up_turn(self._turn, under_way=self.window.under_way):
            self.core.pump()
        else:
            self.turn_refused(self.admission.refusal(PoolClosed, "it is closed; make a new pool"))

    def turn_granted(self) -> None:
        """The place in line has become a permit."""
        self._turn = None
        if self.exhausted or self.stopping:
            self.core.give_back()
            self._check_end()
        else:
            self._start_worker()

    def turn_refused(self, error: Rejected) -> None:
        """The pool has closed."""
        self._turn = None
        self.input_failed(error)
        self._check_end()

    def _start_worker(self) -> None:
        assert self._loop is not None  # noqa: S101 - set before anything is hired
        self.window.under_way = True
        worker = AsyncWorker(cast("WorkerHost", self))  # pyright binds the callables it holds
        self._workers.add(worker)
        self.unborn += 1
        # The class, not loop.create_task: an eager factory would nest a worker in its hirer.
        worker.task = asyncio.Task(
            worker.work(),
            loop=self._loop,
            name="holdfast:stream",
            context=self._context.copy(),
        )
        worker.task.add_done_callback(lambda _: self._worker_gone(worker))

    def _worker_gone(self, worker: AsyncWorker) -> None:
        self._workers.discard(worker)
        assert worker.task is not None  # noqa: S101 - it is what has just ended
        if worker.task.cancelled():
            self.cancelled_from_outside()
        elif (error := worker.task.exception()) is not None:
            # KeyboardInterrupt and SystemExit end the loop as well; anything else is our own bug.
            self.input_failed(error)
        if worker.has_permit:
            self.core.give_back()
        if self._owed and (self.feed is None or self.feed.has_items()):
            # It was counted as a worker, though on its way out, by somebody who wanted to hire one.
            self._owed = False
            self.hire()
        self._check_end()

    def cancelled_from_outside(self) -> None:
        if not self.stopping and self.window.error is None:
            self.input_failed(asyncio.CancelledError("a worker of the stream was cancelled"))

    def item_failed(self, index: int, error: BaseException) -> None:
        """An item's error ends the stream: nothing new starts, what comes behind it is cancelled."""
        self.stop_pulling()
        if not self.window.fail(index, error):
            return
        for other in self._workers:
            if (not self.window.ordered or other.index > index) and other.task is not None:
                self._cancel(other)

    def _cancel(self, worker: AsyncWorker) -> None:
        if worker.task is not None and worker.task is not asyncio.current_task(self._loop):
            worker.index = -1
            worker.task.cancel()

    def input_failed(self, error: BaseException) -> None:
        self.note_input_error(error)
        self.stop_pulling()

    def _fed(self, error: BaseException | None) -> None:
        if error is not None:
            self.note_input_error(error)
        self._check_end()

    def stop_pulling(self) -> None:
        self.exhausted = True

    def cut_off(self) -> None:
        """Pull nothing more; from any thread."""
        if self._loop is None:
            return  # it has not begun, and will be refused
        if self.on_loop():
            self._pull_no_more()
        else:
            self.mailbox.post(LoopWord(self._pull_no_more))

    def _pull_no_more(self) -> None:
        if self.note_exhaustion() or self.stopping or self.window.ended:
            return
        self._note_cut()
        if self.feed is not None:
            self.feed.stop()  # what is in its line still runs
        else:
            self.stop_pulling()
            self.slice_end = 0.0  # so that the workers look up
        self._check_end()

    def yield_permit(self) -> None:
        """Somebody waits for a permit: this worker ends, and the stream stands in line behind them."""
        if self._turn is None and not self.exhausted and not self.stopping:
            self._turn = AsyncTurn(self)
            if not self.admission.line_up_turn(self._turn, under_way=True):
                self.turn_refused(
                    self.admission.refusal(PoolClosed, "it is closed; make a new pool")
                )

    def replace(self, worker: AsyncWorker) -> None:
        """A fresh worker in a fresh context takes over the permit that this one is about to return."""
        if not self.exhausted and not self.stopping:
            worker.has_permit = False
            self._start_worker()

    # ------------------------------------------------------------ slices and deadlines

    def open_pass(self, time: float) -> None:
        """The first item of a pass of the loop starts the slice that all workers share."""
        assert self._loop is not None  # noqa: S101 - it is running this
        self.pass_open = True
        self.slice_end = time + SLICE + _YIELD * len(self._workers)
        self._loop.call_soon(self._close_pass)
        if not self.unborn and len(self._workers) < self.admission.limit and self._suspended():
            self.hire(1)

    def _suspended(self) -> bool:
        """Whether items that have started are waiting for something: then more workers are of use."""
        return self.next_index > self.window.next + len(self.window.held)

    def _close_pass(self) -> None:
        self.pass_open = False
        self.slice_end = 0.0

    def _sweep(self) -> None:
        """Cancel what has run for too long; look again when the next item may be due."""
        assert self.options.timeout is not None  # noqa: S101 - swept only with a timeout
        assert self._loop is not None  # noqa: S101 - it is running this
        now = self.clock.now()
        nearest = self.options.timeout
        for worker in self._workers:
            if worker.started is None or worker.expired:
                continue
            left = worker.started + self.options.timeout - now
            if left > 0:
                nearest = min(nearest, left)
            elif worker.task is not None:
                worker.expired = True
                worker.task.cancel()
        if not self.window.ended:
            pause = max(nearest, self.options.timeout / 64, 0.001)
            self._sweeper = self._loop.call_later(pause, self._sweep)

    # ------------------------------------------------------------ end

    def _check_end(self) -> None:
        if self._workers or self.window.ended:
            return
        self.note_exhaustion()
        if self._turn is not None and (self.exhausted or self.stopping):
            if self.admission.withdraw(self._turn):
                self._turn = None
            else:
                return  # its permit is on the way, and will be given back
        if self._turn is None and (self.exhausted or self.stopping):
            self._end()

    def _end(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self.feed is not None:
            self.feed.stop()
        else:
            self._close_source()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        self._finish()
        self._latch.release()

    def close_soon(self) -> None:
        """Stop; from any thread, and when the loop has closed."""
        if self._loop is None:
            self.exhausted = True
            if not self.window.ended:
                self._end()
        elif self.on_loop():
            self._stop()
        else:
            self.mailbox.post(LoopWord(self._stop))

    def let_go(self) -> None:
        """Stop, from the consumer's ``__del__``: without taking any lock, in the loop's next pass."""
        if self._loop is None:
            self.exhausted = True  # it never began
        else:
            with contextlib.suppress(RuntimeError):  # the loop has closed, and cancelled everything
                self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self.stopping = True
        self.exhausted = True
        self.slice_end = 0.0
        for worker in tuple(self._workers):
            self._cancel(worker)
        self._check_end()

    async def wait_closed(self) -> None:
        """Wait until every worker has ended."""
        if self._ended is None or self.window.ended:
            return
        if self.on_loop():
            await asyncio.shield(self._ended)
            if self.feed is not None:
                await self.feed.wait_stopped()

    def wait_closed_blocking(self) -> None:
        """Do the same in blocking code."""
        if self._bridge is not None:
            self.clock.acquire(self._latch, None)
            self._latch.release()
            self._bridge.join_if_over()
