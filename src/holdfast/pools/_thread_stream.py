"""A stream of blocking calls: worker threads that pull from one input.

Purpose: run many short calls without a hand-over for each, and long ones as wide as permits allow.

Guarantees
- one thread pulls at a time, and a thread waits for nothing with a permit in its hand but for the
  input and the call: for want of input, of room, or because another one pulls, its turn ends;
- when somebody else waits for a permit, a turn ends within a slice, and the stream stands in line
  again (one place in the line for each stream);
- each item sees the context in which the stream was started;
- a call past its deadline, or one that the consumer has left, is counted as abandoned, keeps its
  permit, and its result is dropped; the pool's replacements carry the stream on.

States, under ``_lock``: a turn is posted (at most one) -> active -> ended. ``_pulling`` is True while a
thread is in the input. Whoever ends a turn does so in the same critical section in which it found
the reason; so nobody counts it as working when it has decided to go.
"""

import asyncio
import logging
import sys
import threading
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextvars import Context, copy_context
from typing import Any, Final

from holdfast._core.clock import Clock
from holdfast._core.outcome import Outcome
from holdfast.errors import CallTimeout, PoolClosed, Rejected
from holdfast.limits import Retry
from holdfast.pools._admission import WAITING, Entry
from holdfast.pools._bridge import Bridge
from holdfast.pools._feed import Dry, Feed
from holdfast.pools._thread_core import ThreadCore
from holdfast.pools._timer import TIMER
from holdfast.pools._window import Window

__all__ = ("ThreadStreamEngine",)

SLICE: Final = 0.001
"""Seconds for which a turn may hold a permit that others wait for."""

log = logging.getLogger("holdfast.pools")


_QUICK: Final = frozenset(map(type, (iter([]), iter(()), iter(range(0)), iter(range(1 << 99)))))
"""Iterators that can be asked under the lock."""


class _Turn:
    """The stream's place in the pool's line, and then its work on one thread."""

    __slots__ = (
        "abandoned",
        "attempts",
        "began",
        "due",
        "engine",
        "error",
        "index",
        "item",
        "left",
        "since",
        "started",
        "state",
        "time",
        "value",
    )
    counted = False

    def __init__(self, engine: "ThreadStreamEngine") -> None:
        self.engine = engine
        self.state = WAITING
        self.abandoned = False
        self.due: float | None = None
        self.index = -1  # of the running item; -1 between items
        self.item: Any = None
        self.value: Any = None
        self.error: BaseException | None = None
        self.attempts = 1
        self.since = 0.0
        self.time = 0.0
        self.began = 0.0
        self.started: float | None = None  # of the running attempt; None between items
        self.left = False  # nobody waits for the running item any more

    def work(self) -> Entry | None:
        return self.engine.take_turn(self)

    def accepted(self) -> None:
        """Never blocked: a turn is beyond the bound of the queue."""

    def refuse(self, error: Rejected) -> None:
        self.engine.turn_refused(error)

    def expire(self) -> None:
        """Not watched by itself: the engine sweeps all turns."""


class ThreadStreamEngine:
    """Runs one stream's items on the threads of a pool."""

    __slots__ = (
        "_admission",
        "_bridge",
        "_context",
        "_exhausted",
        "_feed",
        "_fn",
        "_items",
        "_lock",
        "_loop",
        "_next_index",
        "_on_end",
        "_posted",
        "_pulling",
        "_quick",
        "_retry",
        "_source",
        "_started",
        "_sweep_due",
        "_take",
        "_timeout",
        "_turns",
        "_width",
        "clock",
        "core",
        "window",
    )

    def __init__(
        self,
        core: ThreadCore,
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
        self._lock = threading.Lock()
        self._turns: set[_Turn] = set()
        self._posted: _Turn | None = None
        self._pulling = False
        self._quick = False
        self._exhausted = False
        self._next_index = 0
        self._context = Context()
        self._source: Iterator[Any] | None = None
        self._feed: Feed | None = None
        self._take: Callable[[], Any] = self._nothing
        self._bridge: Bridge | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweep_due: float | None = None
        self._started = False

    # ------------------------------------------------------------ begin

    def start(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Begin; an asynchronous input is pulled on the consumer's loop, or on the bridge's."""
        self._started = True
        self._context = copy_context()
        if isinstance(self._items, AsyncIterable):
            self._feed = Feed(self._items, self.window, on_item=self._hire, on_end=self._fed)
            self._take = self._feed.take
            if loop is None:
                self._bridge = Bridge.borrow()
                self._bridge.call(self._start_feed)
            else:
                self._start_feed()
        else:
            self._source = iter(self._items)
            self._take = self._source.__next__
            self._quick = type(self._source) in _QUICK
            self._hire()
        if self._timeout is not None:
            self._watch(self._timeout)
        return False

    def _watch(self, pause: float) -> None:
        """Have the timer sweep the running items after ``pause`` seconds."""
        self._sweep_due = TIMER.watch(self, pause)
        if self.window.ended:  # it may have ended before there was anything to unwatch
            TIMER.unwatch(self, self._sweep_due)

    def _start_feed(self) -> None:
        assert self._feed is not None  # noqa: S101 - made by start
        self._loop = asyncio.get_running_loop()
        self._feed.start(self._loop)

    def _nothing(self) -> Any:
        raise StopIteration

    # ------------------------------------------------------------ hiring

    def resume(self) -> None:
        """The consumer has made room; from any thread."""
        self.window.starved = False
        if self._feed is not None:
            self._feed.resume()
        else:
            self._hire()

    def _hire(self) -> None:
        """One more turn, if there is something for it to do."""
        with self._lock:
            turn = self._new_turn()
        if turn is not None:
            self._post(turn)

    def _new_turn(self) -> _Turn | None:
        """Under the lock: the turn to post, or None."""
        if self._exhausted or self._posted is not None or self._pulling:
            return None
        if len(self._turns) >= min(self._width, self._admission.ceiling):
            return None
        if self._feed is not None:
            if not self._feed.has_items():
                return None
        elif self._no_room():
            return None
        self._posted = _Turn(self)
        return self._posted

    def _no_room(self) -> bool:
        """Whether the window is full; then the consumer will call."""
        window = self.window
        if not window.full():
            return False
        window.starved = True
        if window.full():
            return True
        window.starved = False
        return False

    def _post(self, turn: _Turn) -> None:
        try:
            if self.core.post_turn(turn):
                return
            error: Rejected = self._admission.refusal(PoolClosed, "it is closed; make a new pool")
        except Rejected as refusal:
            error = refusal
        self.turn_refused(error)

    def turn_refused(self, error: Rejected) -> None:
        """The pool has closed, or has no thread at all."""
        with self._lock:
            self._posted = None
        self._fail_input(error)
        self._check_end()

    # ------------------------------------------------------------ working

    def take_turn(self, turn: _Turn) -> Entry | None:
        """Run items on this thread until there is a reason to stop; returns what the thread does next."""
        with self._lock:
            if self._posted is turn:
                self._posted = None
            self._turns.add(turn)
        changed = True
        while changed:
            changed = self._context.copy().run(self._run_items, turn)
        if turn.left:
            self._admission.unabandon_item()
            log.warning(
                "pool %r: an abandoned item of a stream ended at last; its result is dropped",
                self._admission.name,
            )
        then = self._admission.give_back()
        self._check_end()
        return then

    def _run_items(self, turn: _Turn) -> bool:
        """Run items; True if a fresh context is wanted because an item has changed this one."""
        base = copy_context()
        fn, now = self._fn, self.clock.now
        turn.since = turn.time = now()
        while self._pull(turn):
            try:
                turn.value = fn(turn.item)
            except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the consumer
                self._try_again(turn, error)
            turn.time = now()
            try:
                if copy_context() != base:
                    break
            except Exception:  # noqa: BLE001 - values of context variables may refuse to be compared
                break
        else:
            return False
        with self._lock:
            self._put(turn)
            return turn in self._turns

    def _put(self, turn: _Turn) -> None:
        """Under the lock: hand over what the turn's item has come to, unless nobody waits for it."""
        window, index = self.window, turn.index
        if turn.left:
            self._turns.discard(turn)
        elif turn.error is not None:
            error, turn.error = turn.error, None
            window.failed += 1
            if window.outcomes:
                took = turn.time - turn.began
                window.put(index, Outcome(index, turn.item, None, error, turn.attempts, took))
            else:
                self._exhausted = True
                window.fail(index, error)
        else:
            value = turn.value
            if window.outcomes:
                took = turn.time - turn.began
                value = Outcome(index, turn.item, value, None, turn.attempts, took)
            if index == window.next and window.ordered and not window.held:  # put, without the call
                window.ready.append(value)
                window.next = index + 1
                if window.waiter is not None:
                    window.wake()
            else:
                window.put(index, value)
        turn.index = -1
        turn.item = turn.value = turn.started = None

    def _pull(self, turn: _Turn) -> bool:
        """Hand the last item's outcome over and take the next one; False if the turn is over."""
        go = slow = False
        post = None
        with self._lock:
            once = False
            if turn.index >= 0:
                self._put(turn)
                once = self._admission.gate is not None  # each item has to be admitted by itself
            if self._exhausted or self._pulling or (self._feed is None and self._no_room()):
                self._turns.discard(turn)
                return False
            if once or (self._admission.contended and turn.time - turn.since >= SLICE):
                self._turns.discard(turn)
                post = self._new_turn()
            elif self._quick:
                if not self._pull_quickly(turn):
                    return False
                go = True
                if self._posted is None and len(self._turns) < self._width:
                    post = self._new_turn()
            else:
                self._pulling = True
                slow = True
        if post is not None:
            self._post(post)
        if go or not slow:
            return go
        try:
            turn.item = self._take()
        except StopIteration:
            return self._pulled_nothing(turn, exhausted=True)
        except Dry:
            return self._pulled_nothing(turn, exhausted=False)
        except BaseException as error:  # noqa: BLE001 - the input's error ends the stream, whatever it is
            self._fail_input(error)
            return self._pulled_nothing(turn, exhausted=True)
        with self._lock:
            self._pulling = False
            if self._exhausted:  # the consumer has left while the input made this thread wait
                self._turns.discard(turn)
                return False
            turn.index = self._next_index
            turn.attempts = 1
            turn.began = turn.started = turn.time
            self._next_index += 1
            if self._feed is None:
                self.window.pulled = self._next_index
            post = self._new_turn()
        if post is not None:
            self._post(post)
        return True

    def _pull_quickly(self, turn: _Turn) -> bool:
        """Under the lock: take from an input that runs nobody's code and never waits."""
        try:
            turn.item = self._take()
        except StopIteration:
            self._turns.discard(turn)
            self._exhausted = True
            return False
        turn.index = index = self._next_index
        turn.attempts = 1
        turn.began = turn.started = turn.time
        self._next_index = self.window.pulled = index + 1
        return True

    def _pulled_nothing(self, turn: _Turn, *, exhausted: bool) -> bool:
        with self._lock:
            self._pulling = False
            self._turns.discard(turn)
            self._exhausted = self._exhausted or exhausted
            post = self._new_turn()  # something may have come while this thread was looking
        if post is not None:
            self._post(post)
        return False

    def _try_again(self, turn: _Turn, error: BaseException) -> None:
        """Call again after an error, where that is asked for; leaves the last word in the turn."""
        while True:
            delay = None if self._retry is None else self._retry.delay(turn.attempts, error)
            if delay is None or self.window.error is not None or turn.left:
                turn.error = error
                return
            turn.started = None
            self.clock.sleep(delay)
            turn.started = self.clock.now()
            turn.attempts += 1
            try:
                turn.value = self._fn(turn.item)
                return
            except BaseException as again:  # noqa: BLE001 - judged in the next round
                error = again

    def _fail_input(self, error: BaseException) -> None:
        with self._lock:
            if self.window.final_error is None:
                self.window.final_error = error
            self._exhausted = True

    def _fed(self, error: BaseException | None) -> None:
        if error is not None:
            self._fail_input(error)
        elif self._feed is not None and not self._feed.has_items():
            with self._lock:
                self._exhausted = True
        self._check_end()

    # ------------------------------------------------------------ deadlines

    def expire(self) -> None:
        """On the timer's thread: give up what has run for too long, and look again later."""
        assert self._timeout is not None  # noqa: S101 - watched only with a timeout
        now = self.clock.now()
        nearest = self._timeout
        with self._lock:
            late = False
            for turn in tuple(self._turns):
                if turn.started is None:
                    continue
                left = turn.started + self._timeout - now
                if left > 0:
                    nearest = min(nearest, left)
                else:
                    late = True
                    self._time_out(turn)
        if late:
            self._hire()
            self._check_end()
        if not self.window.ended:
            self._watch(max(nearest, self._timeout / 64, 0.001))

    def _time_out(self, turn: _Turn) -> None:
        """Under the lock: the turn's item has its outcome now; its thread goes on as abandoned."""
        self._leave_behind(turn)
        error = CallTimeout(
            f"pool {self._admission.name!r}: item {turn.index} ran longer than its timeout of "
            f"{self._timeout:g} s; a thread can't be stopped, so it still runs and keeps its permit "
            f"({self._admission.abandoned} abandoned)",
            stopped=False,
        )
        self.window.failed += 1
        if self.window.outcomes:
            took = self.clock.now() - turn.began
            outcome = Outcome(turn.index, turn.item, None, error, turn.attempts, took)
            self.window.put(turn.index, outcome)
        else:
            self._exhausted = True
            self.window.fail(turn.index, error)

    def _leave_behind(self, turn: _Turn) -> None:
        """Under the lock: nobody waits for this turn's item any more."""
        self._turns.discard(turn)
        turn.left = True
        turn.started = None
        self._admission.abandon_item()

    # ------------------------------------------------------------ end

    def _check_end(self) -> None:
        with self._lock:
            if not self._exhausted or self._turns or self._pulling or self.window.ended:
                return
            posted = self._posted
            if posted is not None:
                if not self._admission.withdraw(posted):
                    return  # a thread is about to take it, and will see that there is nothing to do
                self._posted = None
            self.window.ended = True
        self._end()

    def _end(self) -> None:
        if self._sweep_due is not None:
            TIMER.unwatch(self, self._sweep_due)
        if self._feed is not None:
            self._stop_feed()
        elif self._source is not None:
            self._close_source(self._source)
        self._admission.close_tally(self.window)
        self.window.end()
        if self._bridge is not None:
            self._bridge.give_back()
        if self._on_end is not None:
            self._on_end()

    def _stop_feed(self) -> None:
        feed, loop = self._feed, self._loop
        if feed is not None and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(feed.stop)

    def _close_source(self, source: Iterator[Any]) -> None:
        close = getattr(source, "close", None)
        if close is None or not hasattr(source, "throw"):
            return  # not a generator: whoever opened it closes it
        try:
            close()
        except BaseException as error:  # noqa: BLE001 - the input's error ends the stream, whatever it is
            if self.window.final_error is None:
                self.window.final_error = error

    def close_soon(self) -> None:
        """Stop; from any thread, without waiting for anything."""
        with self._lock:
            self._exhausted = True
            for turn in tuple(self._turns):
                if turn.index >= 0:
                    self._leave_behind(turn)
        self._check_end()

    async def wait_closed(self) -> None:
        """Wait for the pulling task, if there is one; blocking calls are not waited for."""
        if self._feed is not None and self._loop is asyncio.get_running_loop():
            self._feed.stop()
            await self._feed.wait_stopped()

    def wait_closed_blocking(self) -> None:
        """Do the same in blocking code."""
        if self._bridge is not None:
            self._bridge.join_if_over()
