"""A worker thread that waits for several calls with ``concurrent.futures``: the process's timer looks for it."""

import contextlib
import logging
import sys
import weakref
from typing import Any

from holdfast.pools._deadlock import break_ring
from holdfast.pools._deadlock_above import Looker, is_entry
from holdfast.pools._deadlock_known import KNOWN, Holder, pool_of
from holdfast.pools._deadlock_lines import find_behind
from holdfast.pools._deadlock_notes import FIRST_LOOK, LONGEST_PAUSE, Root
from holdfast.pools._deadlock_park import holders_above
from holdfast.pools._deadlock_search import may_be_stuck
from holdfast.pools._deadlock_stacks import blocked_in, running_call, stacks_by_call
from holdfast.pools._deadlock_steady import STEADY
from holdfast.pools._entry import WAITING, Entry
from holdfast.pools._timer import TIMER

__all__ = ("watch_collected",)

log = logging.getLogger("holdfast.pools")


def watch_collected(waiter: object) -> None:
    """Look for the thread that calls this, for as long as ``concurrent.futures`` keeps its waiter."""
    call = running_call(sys._getframe())  # noqa: SLF001 - the stack that waits
    if call is not None:
        _Collected(waiter, call)


class _Collected:
    """A thread's wait for several calls, for as long as ``concurrent.futures`` keeps its waiter."""

    __slots__ = ("_id", "_pause", "_waiter", "behind", "call", "holders", "roots")

    def __init__(self, waiter: object, call: Entry) -> None:
        self._waiter = weakref.ref(waiter)
        self._id = id(waiter)
        self._pause = FIRST_LOOK
        self.call = call
        self.holders: tuple[Holder, ...] = ()
        self.roots: list[Root] = []
        self.behind: list[Root] = []
        with contextlib.suppress(RuntimeError):  # no thread to be had for looking: it waits as ever
            TIMER.watch(self, self._pause)
            with KNOWN.lock:
                KNOWN.expect(self._id, self)

    def expire(self) -> None:
        """On the timer's thread: look whether it waits for ever, while it waits."""
        if self._waiter() is None:
            with KNOWN.lock:
                KNOWN.unexpect(self._id, self)
            return
        try:
            while self._look():
                pass
        except Exception:  # a wait that can't be looked at is nobody's fault; it just goes on
            log.exception("the search for deadlocks has failed; the calls that it looked at go on")
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        TIMER.watch(self, self._pause)

    def _look(self) -> bool:
        """Look once; whether a call was refused, so that there may be another one to refuse."""
        with KNOWN.lock, STEADY:
            pending = self._pending()
            looker = Looker()
            mine = KNOWN.hold(pool_of(self.call), self.call, None)
            self.holders = holders_above(self.call, looker)
            waiting = [one for one in pending if is_entry(one) and one.state == WAITING]
            self.roots = [KNOWN.root(one) for one in waiting]
            find_behind(self, self.holders, looker)
        if not pending or not all(may_be_stuck(pool_of(one)) for one in waiting):
            return False
        return break_ring(mine).refused

    def _pending(self) -> list[Any]:
        """What the thread waits for at this moment."""
        return blocked_in(stacks_by_call().get(id(self.call))) or []
