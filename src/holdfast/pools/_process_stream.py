"""A stream of calls in worker processes: the items of one input, each in its turn on some worker.

Purpose: run items as wide as permits allow, with no thread that waits for any of them.

Guarantees
- an item that a reply has come for goes to the window once; a worker that dies costs the item that it
  ran, and no other;
- items are pulled where that can't hold up anybody else: a list, tuple or range under the lock, an
  asynchronous input on its loop, and whatever may block or run somebody's code on a thread of the
  stream's own;
- when somebody else waits for a permit, a turn ends after a slice, and the stream stands in line again;
- a consumer that leaves ends the processes in which its items run.

States, under ``lock``: an item is pulled -> in ``line`` -> on a worker (a *turn*) -> in the window; from a
worker it may go back to the line, to be tried again. A turn is posted (at most one) -> has a permit ->
has a worker and an item -> the next item ... -> over.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from holdfast._core.outcome import Outcome
from holdfast.errors import PoolClosed, Rejected, WorkerLost
from holdfast.pools._bridge import Bridge
from holdfast.pools._process_hub import HUB
from holdfast.pools._process_input import ProcessInput
from holdfast.pools._process_turn import DEEPEST, Item, ProcessTurn
from holdfast.pools._process_worker import WorkerProcess
from holdfast.pools._stream_engine import SLICE, StreamOptions
from holdfast.pools._stream_input import QUICK_INPUTS
from holdfast.pools._threads import finalize
from holdfast.pools._timer import TIMER, Later
from holdfast.pools._window import WIDEST

if TYPE_CHECKING:
    from holdfast.pools._pace import Pace

__all__ = ("ProcessStreamEngine",)

QUICK_ITEM: Final = 100e-6
"""Seconds from the sending of an item to its reply under which further ones are sent ahead."""

MOST_LOSSES: Final = 3
"""Times that an item which may be run again outlives its worker."""


class ProcessStreamEngine(ProcessInput):
    """Runs one stream's items in the worker processes of a pool."""

    __slots__ = (
        "_delayed",
        "_posted",
        "core",
        "depth",
        "due",
        "idempotent",
        "pace",
        "rank",
        "turns",
        "until",
    )

    def __init__(
        self,
        core: Any,  # a ProcessCore, which imports this
        fn: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        options: StreamOptions,
        *,
        rank: Any,
        until: float | None,
        idempotent: bool,
        pace: "Pace | None",
    ) -> None:
        super().__init__(core.admission, core.clock, fn, items, options)
        self.core = core
        self.rank = rank
        self.until = until
        self.due: float | None = None
        self.idempotent = idempotent
        self.pace = pace
        self.depth = 1  # items that may be with one worker at once
        self.turns: set[ProcessTurn] = set()
        self._posted: ProcessTurn | None = None
        self._delayed = 0

    # ------------------------------------------------------------ begin

    def start(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Begin; an asynchronous input is pulled on the consumer's loop, or on the bridge's."""
        if self.until is not None:
            self._watch_deadline(self.until)
        feed = self._open_source(on_item=self.hire, on_end=self._fed)
        if feed is None:
            self._quick = type(self._source) in QUICK_INPUTS
            if self._quick:
                self.hire()
            else:
                self._start_puller()
        elif loop is None:
            self._bridge = Bridge.borrow()
            self._bridge.call(self._start_feed)
        else:
            self._start_feed()
        return False

    # ------------------------------------------------------------ turns

    def hire(self) -> None:
        """One more turn, if there is something for it to do."""
        with self.lock:
            turn = self._new_turn()
        if turn is not None:
            self._post(turn)
        elif self.exhausted:  # perhaps it has just been found out that nothing more comes
            self.check_end()

    def _new_turn(self) -> ProcessTurn | None:
        """Under the lock: the turn to post, or None."""
        if self._posted is not None or self._left:
            return None
        if len(self.turns) >= min(self.width, self.admission.ceiling) or not self._has_item():
            return None
        self._posted = ProcessTurn(self)
        return self._posted

    def _post(self, turn: ProcessTurn) -> None:
        if self.admission.line_up_turn(turn, under_way=self.window.under_way):
            self.core.pump()
        else:
            self.turn_refused(self.admission.refusal(PoolClosed, "it is closed; make a new pool"))

    def turn_refused(self, error: Rejected) -> None:
        """The turn will never have a worker."""
        with self.lock:
            self._posted = None
            self.line.clear()
        self.fail_input(error)
        self.check_end()

    def begin_turn(self, turn: ProcessTurn) -> None:
        """The turn has a permit and a worker."""
        with self.lock:
            if self._posted is turn:
                self._posted = None
            self.turns.add(turn)
            self.window.under_way = True

    def next_item(self, turn: ProcessTurn) -> Item | None:
        """The item that the turn sends next, or None; then it is over when all that it sent is back."""
        with self.lock:
            if self._left or self._gives_way(turn) or not self._has_item():
                return None
            item = self.line.popleft()
            turn.served = True
            post = self._new_turn() if self._posted is None and len(turn.sent) == 0 else None
        if post is not None:
            HUB.post(lambda: self._post(post))
        return item

    def end_turn(self, turn: ProcessTurn) -> None:
        """Nothing of the turn is with its worker any more, and nothing more is sent."""
        with self.lock:
            self.turns.discard(turn)
        self.hire()
        self.check_end()

    def adapt(self, items: int, took: float) -> None:
        """So many items came back within so long: are they quick enough to be sent ahead?"""
        if took < items * QUICK_ITEM:
            self.depth = min(2 * self.depth, DEEPEST)
            if self.options.buffer is None and self._quick:
                across = min(self.width, self.admission.ceiling)
                self.window.size = max(self.window.size, min(2 * across * DEEPEST, WIDEST))
        elif took > items * 4 * QUICK_ITEM:
            self.depth = 1

    def _gives_way(self, turn: ProcessTurn) -> bool:
        if turn.retired or (turn.served and self.admission.gate is not None):
            return True  # with a rate, each item is admitted by itself
        return self.admission.contended and self.clock.now() - turn.since >= SLICE

    # ------------------------------------------------------------ outcomes

    def put_outcome(self, item: Item, value: Any, error: BaseException | None, took: float) -> None:
        """Hand an item's outcome over, or try it again."""
        window = self.window
        if error is not None and self._try_again(item, error):
            return
        with self.lock:
            if self._left or window.error is not None:
                return
            if error is not None:
                window.failed += 1
                if window.outcomes:
                    window.put(
                        item.index,
                        Outcome(item.index, item.value, None, error, item.attempts, took),
                    )
                else:
                    self.exhausted = True
                    self.line.clear()
                    window.fail(item.index, error)
                return
            if window.outcomes:
                value = Outcome(item.index, item.value, value, None, item.attempts, took)
            window.put(item.index, value)

    def _try_again(self, item: Item, error: BaseException) -> bool:
        """Whether the item goes back to the line, now or later."""
        if (
            isinstance(error, WorkerLost)
            and self.idempotent
            and item.lost < MOST_LOSSES
            and not error.out_of_memory
        ):
            item.lost += 1
            delay: float | None = 0.0
        else:
            over = self._left or self.window.error is not None
            delay = None if over else self.retry_wait(item.attempts, error, len(self.line))
        with self.lock:
            if delay is None or self._left or self.window.error is not None:
                return False
            item.attempts += 1
            if delay > 0.0:
                self._delayed += 1
        if delay > 0.0:
            TIMER.watch(Later(lambda: self._retry(item)), delay)
        else:
            self.put_back(item)
        return True

    def put_back(self, *items: Item, hire: bool = True) -> None:
        """They have not started: they are the first in line again."""
        with self.lock:
            if not self._left and self.window.error is None:
                self.line.extendleft(reversed(items))
        if hire:
            self.hire()
            self.check_end()

    def _retry(self, item: Item) -> None:
        with self.lock:
            self._delayed -= 1
        self.put_back(item)

    def slow_down(self, turn: ProcessTurn, worker: WorkerProcess) -> None:
        """The item that the worker runs is slow: those behind it go to others."""
        self.depth = 1
        with self.lock:
            back = turn.take_back(worker)
        if back:
            self.put_back(*back)

    # ------------------------------------------------------------ end

    def _watch_deadline(self, until: float) -> None:
        from holdfast.pools._deadline_left import check_time  # noqa: PLC0415 - rare

        now = self.clock.now()
        try:
            check_time(self.admission, until - now, now)
        except BaseException:
            self.close_soon()
            raise
        self.due = TIMER.watch(self, max(0.0, until - now))

    def expire(self) -> None:
        """On the timer's thread: the inherited deadline has come."""
        from holdfast.errors import CallTimeout  # noqa: PLC0415 - rare
        from holdfast.pools._deadline_left import waited_longer  # noqa: PLC0415 - rare

        if self.window.ended:
            return
        error: BaseException = (
            CallTimeout(
                f"pool {self.admission.name!r}: the deadline that the stream inherited came after "
                f"{self.next_index} of its items had been taken; the processes of those that still "
                "ran were ended",
                stopped=True,
            )
            if self.next_index
            else waited_longer(self.admission)
        )
        with self.lock:
            self.window.fail(self.window.next, error)
        self.close_soon()

    def check_end(self) -> None:
        """Declare the end, if nothing more will come."""
        with self.lock:
            if self.window.ended or self.turns or self.line or self._delayed:
                return
            if not self.note_exhaustion() or (self._puller is not None and not self._puller.over):
                return
            posted = self._posted
            if posted is not None:
                if not self.admission.withdraw(posted):
                    return  # it is about to begin, and will see that there is nothing to do
                self._posted = None
            self.window.ended = True
        if self.due is not None:
            TIMER.unwatch(self, self.due)
        if self.feed is None:
            self._close_source()
        else:
            self._stop_feed()
        self._finish()

    def close_soon(self) -> None:
        """Stop; from any thread, without waiting for anything."""
        with self.lock:
            self._left = self.exhausted = True
            self.line.clear()
            turns, self.turns = tuple(self.turns), set()
        for turn in turns:
            self.core.abort_turn(turn)
        if self._puller is not None:
            self._puller.resume()
        self.check_end()

    def let_go(self) -> None:
        """Stop, from the consumer's ``__del__``."""
        self._left = self.exhausted = True
        finalize(self.close_soon, self.lock, Bridge.lock, *self.end_locks())
