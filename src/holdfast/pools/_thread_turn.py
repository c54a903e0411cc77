"""One turn of a stream of blocking calls: its place in the pool's line, then its work on one thread.

What is written of a turn by others than its own thread (``left``, and the end of ``started``) is
written under the engine's lock, and so is the handing over of its outcome: an item is either handed
over or left behind, never both.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Protocol

from holdfast._core.clock import Clock, Latch
from holdfast._core.outcome import Outcome
from holdfast.errors import Rejected
from holdfast.pools._admission import Admission
from holdfast.pools._entry import WAITING, Entry
from holdfast.pools._pressure import LISTENERS, tell_of
from holdfast.pools._stream_engine import SLICE, StreamOptions
from holdfast.pools._window import Window

__all__ = ("ThreadTurn", "TurnHost")


class TurnHost(Protocol):
    """What a turn asks of its engine."""

    lock: threading.Lock
    turns: set["ThreadTurn"]
    window: Window
    clock: Clock
    options: StreamOptions
    exhausted: bool
    admission: Admission
    line: deque[tuple[int, Any]]
    fn: Callable[[Any], Any]

    def pull(self, turn: "ThreadTurn") -> bool:
        """Hand the last item's outcome over and take the next one; False if the turn is over."""
        ...

    def fill_line(self, turn: "ThreadTurn") -> bool:
        """Take more items from the input; False if the turn is over."""
        ...

    def end_turn(self, turn: "ThreadTurn") -> bool:
        """Somebody waits for the turn's permit: it is over, and the stream stands in line again."""
        ...

    def express_outcome(
        self, turn: "ThreadTurn", item: object, value: object, seconds: float
    ) -> tuple[object, bool]:
        """What to hand over for the turn's item, and whether there is anything."""
        ...

    def take_turn(self, turn: "ThreadTurn") -> Entry | None:
        """Work on this thread; returns what the thread does next."""
        ...

    def retry_wait(self, attempt: int, error: BaseException, ahead: int = 0) -> float | None:
        """Seconds until an item is called again; None if it is not."""
        ...

    def turn_refused(self, error: Rejected) -> None:
        """The turn will never come."""
        ...


class ThreadTurn:
    """The item that one thread runs, and what it came to."""

    __slots__ = (
        "abandoned",
        "abandoned_at",
        "attempts",
        "began",
        "due",
        "engine",
        "error",
        "fn",
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
    size = 0

    def __init__(self, engine: TurnHost) -> None:
        self.engine = engine
        self.fn = (
            engine.fn
        )  # the engine lets go of it at the end, when this turn may still be in it
        self.state = WAITING
        self.abandoned = False
        self.abandoned_at: float | None = None
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

    def work(self, wake: list[Latch]) -> Entry | None:
        """On a worker's thread, with its permit; the consumer is woken by the window."""
        del wake
        return self.engine.take_turn(self)

    def accepted(self) -> None:
        """Never blocked: a turn is beyond the bound of the queue."""

    def refuse(self, error: Rejected) -> None:
        """The pool has closed."""
        self.engine.turn_refused(error)

    def expire(self) -> None:
        """Not watched by itself: the engine sweeps all turns."""

    def run_items(self) -> bool:
        """Run items; True if a fresh context is wanted because an item has changed this one."""
        engine = self.engine
        if engine.window.express:
            return self._run_express()
        base = copy_context()
        fn, now, timings = engine.fn, engine.clock.now, engine.admission.timings
        self.since = self.time = now()
        while engine.pull(self):
            try:
                self.value = fn(self.item)
            except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the consumer
                self._try_again(error)
            self.time = now()
            if timings.is_due():
                timings.record(-1.0, self.time - self.began, timings.stride)
            try:
                if copy_context() != base:
                    break
            except Exception:  # noqa: BLE001 - values of context variables may refuse to be compared
                break
        else:
            return False
        with engine.lock:
            self.put()
            return self in engine.turns

    def _run_express(self) -> bool:  # noqa: C901 - the loop that every item pays for, kept in one frame
        """Run items from an input that never waits, without a lock for each of them.

        They are taken from the engine's line and put where the consumer finds them, each by one step
        that can't be torn; the lock is needed to fill the line, and when something goes wrong.
        """
        engine = self.engine
        window, admission, rivals = engine.window, engine.admission, engine.admission.rivals
        held, ordered, plain = window.held, window.ordered, not window.outcomes
        fn, now, pop, sequence = engine.fn, engine.clock.now, engine.line.popleft, window.sequence
        timings, skip, weight = admission.timings, 0, 1
        copy = copy_context
        base = copy()
        began = since = now()
        while True:
            if (admission.contended or rivals.starved) and now() - since >= SLICE:
                return engine.end_turn(self)
            try:
                index, item = pop()
            except IndexError:
                if not engine.fill_line(self):
                    return False
                continue
            self.index = index
            skip -= 1
            usual = plain
            if skip < 0 or not plain:  # of the quick ones, one in a few is timed
                began = now()
            try:
                value = fn(item)
            except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the consumer
                self.item = item
                self._try_again(error)
                value, self.value, self.item = self.value, None, None
                usual = False
            if skip < 0:
                timings.record(-1.0, now() - began, weight)
                weight = timings.stride
                skip = weight - 1
            keep = True
            if not usual:
                value, keep = engine.express_outcome(self, item, value, now() - began)
            if keep:
                key = index if ordered else sequence()
                held[key] = value
                if window.waiter is not None and key == window.next:
                    window.wake()
            self.index = -1
            value = item = None
            try:
                if copy() != base:
                    return True
            except Exception:  # noqa: BLE001 - values of context variables may refuse to be compared
                return True

    def put(self) -> None:
        """Under the lock: hand over what the turn's item has come to, unless nobody waits for it."""
        engine = self.engine
        window, index = engine.window, self.index
        if self.left:
            engine.turns.discard(self)
        elif self.error is not None:
            error, self.error = self.error, None
            window.failed += 1
            if window.outcomes:
                took = self.time - self.began
                window.put(index, Outcome(index, self.item, None, error, self.attempts, took))
            else:
                engine.exhausted = True
                window.fail(index, error)
        else:
            value = self.value
            if window.outcomes:
                took = self.time - self.began
                value = Outcome(index, self.item, value, None, self.attempts, took)
            if index == window.next and window.ordered and not window.held:  # put, without the call
                window.ready.append(value)
                window.next = index + 1
                if window.waiter is not None:
                    window.wake()
            else:
                window.put(index, value)
        self.index = -1
        self.item = self.value = self.started = None

    def _try_again(self, error: BaseException) -> None:
        """Call again after an error, where that is asked for; leaves the last word in the self."""
        if LISTENERS:
            tell_of(error)
        engine = self.engine
        while True:
            over = engine.window.error is not None or self.left
            delay = None if over else engine.retry_wait(self.attempts, error, len(engine.line))
            if delay is None:
                self.error = error
                return
            self.started = None
            engine.clock.sleep(delay)
            self.started = engine.clock.now()
            self.attempts += 1
            try:
                self.value = engine.fn(self.item)
                return  # noqa: TRY300 - the shortest way out of the loop
            except BaseException as again:  # noqa: BLE001 - judged in the next round
                error = again
