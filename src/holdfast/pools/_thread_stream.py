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

States, under ``lock``: a turn is posted (at most one) -> active -> ended. ``_pulling`` is True while a
thread is in the input. Whoever ends a turn does so in the same critical section in which it found
the reason; so nobody counts it as working when it has decided to go.

The express way, for an input that runs nobody's code (a list, a tuple, a range) and calls without a
deadline: a few items are taken ahead into ``line``, from where any thread of the stream takes the
next one, and outcomes go to the window without the lock. Each is a single step of a deque or a dict.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable
from contextvars import copy_context
from typing import Any, Final

from holdfast._core.outcome import Outcome
from holdfast.errors import PoolClosed, Rejected
from holdfast.pools._bridge import Bridge
from holdfast.pools._entry import Entry
from holdfast.pools._feed import Dry
from holdfast.pools._stream_engine import SLICE, StreamOptions
from holdfast.pools._stream_input import QUICK_INPUTS, StreamInput
from holdfast.pools._thread_core import ThreadCore
from holdfast.pools._thread_sweep import TurnSweep, late_item
from holdfast.pools._thread_turn import ThreadTurn
from holdfast.pools._threads import finalize, run_apart

__all__ = ("ThreadStreamEngine",)

log = logging.getLogger("holdfast.pools")

_AHEAD: Final = 64
"""Most items that are taken ahead at once, for any thread of the stream to run."""


class ThreadStreamEngine(StreamInput):
    """Runs one stream's items on the threads of a pool."""

    __slots__ = ("_posted", "_pulling", "_sweep", "core", "line", "turns")

    def __init__(
        self,
        core: ThreadCore,
        fn: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        options: StreamOptions,
    ) -> None:
        super().__init__(core.admission, core.clock, fn, items, options)
        self.core = core
        self.turns: set[ThreadTurn] = set()
        self._posted: ThreadTurn | None = None
        self._pulling = False
        self.line: deque[tuple[int, Any]] = deque()  # items that were taken ahead, with their index
        self._sweep: TurnSweep | None = None

    # ------------------------------------------------------------ begin

    def start(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Begin; an asynchronous input is pulled on the consumer's loop, or on the bridge's."""
        self._context = copy_context()
        feed = self._open_source(on_item=self.hire, on_end=self._fed)
        if feed is None:
            self.window.express = (
                type(self._source) in QUICK_INPUTS
                and self.options.timeout is None
                and self.admission.gate is None
            )
            self.hire()
        elif loop is None:
            self._bridge = Bridge.borrow()
            self._bridge.call(self._start_feed)
        else:
            self._start_feed()
        if self.options.timeout is not None:
            self._sweep = TurnSweep(self, self.options.timeout)
        return False

    # ------------------------------------------------------------ hiring

    def resume(self) -> None:
        """The consumer has made room; from any thread."""
        self.window.starved = False
        if self.feed is not None:
            self.feed.resume()
        else:
            self.hire()

    def hire(self) -> None:
        """One more turn, if there is something for it to do."""
        with self.lock:
            turn = self._new_turn()
        if turn is not None:
            self._post(turn)

    def _new_turn(self) -> ThreadTurn | None:
        """Under the lock: the turn to post, or None."""
        if self._posted is not None or self._pulling or (self.exhausted and not self.line):
            return None
        if len(self.turns) >= min(self.width, self.admission.ceiling):
            return None
        if self.feed is not None:
            if not self.feed.has_items():
                return None
        elif not self.line and self.no_room():
            return None
        self._posted = ThreadTurn(self)
        return self._posted

    def _post(self, turn: ThreadTurn) -> None:
        try:
            if self.core.post_turn(turn, under_way=self.window.under_way):
                return
            error: Rejected = self.admission.refusal(PoolClosed, "it is closed; make a new pool")
        except Rejected as refusal:
            error = refusal
        self.turn_refused(error)

    def turn_refused(self, error: Rejected) -> None:
        """The pool has closed, or has no thread at all."""
        with self.lock:
            self._posted = None
            if not self.turns:  # nobody is left who would run what was taken ahead
                self.line.clear()
        self.fail_input(error)
        self.check_end()

    # ------------------------------------------------------------ working

    def take_turn(self, turn: ThreadTurn) -> Entry | None:
        """Run items on this thread until there is a reason to stop; returns what the thread does next."""
        with self.lock:
            if self._posted is turn:
                self._posted = None
            self.turns.add(turn)
            self.window.under_way = True
        changed = True
        while changed:
            changed = self._context.copy().run(turn.run_items)
        if turn.left:
            self.admission.unabandon_item()
            log.warning(
                "pool %r: an abandoned item of a stream ended at last; its result is dropped",
                self.admission.name,
            )
        then = self.admission.give_back()
        self.check_end()
        return then

    def pull(self, turn: ThreadTurn) -> bool:
        """Hand the last item's outcome over and take the next one; False if the turn is over."""
        with self.lock:
            goes_on = self._goes_on(turn)
            post = None
            if goes_on:
                self._pulling = True
            else:
                self.turns.discard(turn)
                post = self._new_turn()
        if post is not None:
            self._post(post)
        return goes_on and self._pull_slowly(turn)

    def _goes_on(self, turn: ThreadTurn) -> bool:
        """Under the lock: hand over, and decide whether this turn asks the input for more."""
        if turn.index >= 0:
            turn.put()
            # Who was left behind has given the stream up; and with a rate, each item is admitted by itself.
            if turn.left or self.admission.gate is not None:
                return False
        if self.exhausted or self._pulling or (self.feed is None and self.no_room()):
            return False
        return not (self.admission.is_wanted() and turn.time - turn.since >= SLICE)

    def _pull_slowly(self, turn: ThreadTurn) -> bool:
        """Take from an input that may run anybody's code, for as long as it likes."""
        try:
            turn.item = self.take()
        except StopIteration:
            return self._pulled_nothing(turn, exhausted=True)
        except Dry:
            return self._pulled_nothing(turn, exhausted=False)
        except BaseException as error:  # noqa: BLE001 - the input's error ends the stream, whatever it is
            self.fail_input(error)
            return self._pulled_nothing(turn, exhausted=True)
        with self.lock:
            self._pulling = False
            if self._left or self.window.error is not None:
                # The stream has ended while the input made this thread wait: nothing new starts.
                self.turns.discard(turn)
                return False
            self._begin_item(turn)
            post = self._new_turn()
        if post is not None:
            self._post(post)
        return True

    def _begin_item(self, turn: ThreadTurn) -> None:
        """Under the lock: the item that was taken is the next in order."""
        turn.index = self.next_index
        turn.attempts = 1
        turn.began = turn.started = turn.time
        self.next_index += 1
        if self.feed is None:
            self.window.pulled = self.next_index

    def fill_line(self, turn: ThreadTurn) -> bool:
        """Take more items from an input that never waits; False if the turn is over."""
        with self.lock:
            if not self.line:
                self._take_ahead()
            if not self.line:
                self.turns.discard(turn)
                return False
            post = self._new_turn()
        if post is not None:
            self._post(post)
        return True

    def _take_ahead(self) -> None:
        """Under the lock: as many items as fit, and no more than a few."""
        window = self.window
        if self.exhausted:
            return
        if self.options.buffer is None and window.full():
            window.adapt(self.clock.now())
        if self.no_room():
            return
        room = window.size - (window.pulled - window.next + len(window.ready))
        index = self.next_index
        for item in itertools.islice(self._source or (), min(room, _AHEAD)):
            self.line.append((index, item))
            index += 1
        self.exhausted = index == self.next_index
        self.next_index = window.pulled = index

    def end_turn(self, turn: ThreadTurn) -> bool:
        """Somebody waits for the turn's permit: it is over, and the stream stands in line again."""
        with self.lock:
            self.turns.discard(turn)
            post = self._new_turn()
        if post is not None:
            self._post(post)
        return False

    def express_outcome(
        self, turn: ThreadTurn, item: object, value: object, seconds: float
    ) -> tuple[object, bool]:
        """What to hand over for the turn's item, and whether there is anything."""
        error, turn.error = turn.error, None
        attempts, turn.attempts = turn.attempts, 1
        if error is not None:
            with self.lock:
                self.window.failed += 1
                if not self.window.outcomes:
                    self.exhausted = True
                    self.line.clear()
                    self.window.fail(turn.index, error)
                    return None, False
        elif not self.window.outcomes:
            return value, True
        return Outcome[Any](turn.index, item, value, error, attempts, seconds), True

    def _pulled_nothing(self, turn: ThreadTurn, *, exhausted: bool) -> bool:
        with self.lock:
            self._pulling = False
            self.turns.discard(turn)
            self.exhausted = self.exhausted or exhausted
            post = self._new_turn()  # something may have come while this thread was looking
        if post is not None:
            self._post(post)
        return False

    # ------------------------------------------------------------ deadlines

    def time_out(self, turn: ThreadTurn) -> None:
        """Under the lock: the turn's item has its outcome now; its thread goes on as abandoned."""
        self._leave_behind(turn)
        error = late_item(self.admission, turn.index, self.options.timeout)
        self.window.failed += 1
        if self.window.outcomes:
            took = self.clock.now() - turn.began
            outcome = Outcome[Any](turn.index, turn.item, None, error, turn.attempts, took)
            self.window.put(turn.index, outcome)
        else:
            self.exhausted = True
            self.window.fail(turn.index, error)

    def go_on_without(self) -> None:
        """Turns were left behind: others carry on, or the stream is over."""
        self.hire()
        self.core.crew.hire()  # for whoever stood in line already: more may start now
        self.check_end()

    def _leave_behind(self, turn: ThreadTurn) -> None:
        """Under the lock: nobody waits for this turn's item any more."""
        self.turns.discard(turn)
        turn.left = True
        turn.abandoned_at = self.clock.now()
        turn.started = None
        self.admission.abandon_item()

    # ------------------------------------------------------------ end

    def check_end(self) -> None:
        with self.lock:
            if self.turns or self._pulling or self.line or self.window.ended:
                return
            if not self.note_exhaustion():
                return
            posted = self._posted
            if posted is not None:
                if not self.admission.withdraw(posted):
                    return  # a thread is about to take it, and will see that there is nothing to do
                self._posted = None
            self.window.ended = True
        self._end()

    def _end(self) -> None:
        if self._sweep is not None:
            self._sweep.stop()
        if self.feed is not None:
            self._stop_feed()
        else:
            self._close_source()
        self._finish()

    def close_soon(self) -> None:
        """Stop; from any thread, without waiting for anything."""
        if self._stop():
            self.core.crew.hire()

    def _stop(self) -> bool:
        """Let nothing new begin; whether items were left behind, so that others may start."""
        with self.lock:
            self._left = self.exhausted = True
            self.line.clear()
            left = [turn for turn in self.turns if turn.index >= 0]
            for turn in left:
                self._leave_behind(turn)
        self.check_end()
        return bool(left)

    def let_go(self) -> None:
        """Stop, from the consumer's ``__del__``."""
        self._left = self.exhausted = True
        finalize(self._close_forgotten, self.lock, Bridge.lock, *self.end_locks())

    def _close_forgotten(self) -> None:
        if self._stop():
            run_apart(self.core.crew.hire)  # it takes more locks, and may start a thread
