"""Waits for the future of a submitted call, in all the ways in which it can be waited for.

``result()`` in a worker thread is a wait that looks around. A callback that is added on a loop's thread is
one that a coroutine awaits: its call is noted. ``concurrent.futures.wait`` and ``as_completed`` wait on an
event of their own, where nobody can look around; if they do so in a worker thread, the process's timer
looks for them. And a coroutine that waits, blocking, for a call that its own loop has to run is refused
at once: no other thread can help.
"""

import contextlib
import logging
import sys
import weakref
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from typing import Any

from holdfast._core.clock import Latch, current
from holdfast._core.future import CallFuture, Waits, watch_waits
from holdfast.errors import Rejected, WouldDeadlock
from holdfast.pools._deadlock import break_ring
from holdfast.pools._deadlock_above import Looker, is_entry
from holdfast.pools._deadlock_known import KNOWN, Holder, Root, pool_of
from holdfast.pools._deadlock_lines import find_behind
from holdfast.pools._deadlock_looks import FIRST_LOOK, LONGEST_PAUSE, note_call
from holdfast.pools._deadlock_park import holders_above, park
from holdfast.pools._deadlock_search import may_be_stuck
from holdfast.pools._deadlock_stacks import (
    blocked_in,
    on_worker_thread,
    running_call,
    stacks_by_call,
)
from holdfast.pools._deadlock_steady import STEADY
from holdfast.pools._entry import WAITING, Entry
from holdfast.pools._timer import TIMER

__all__ = ("PoolWaits", "park")

log = logging.getLogger("holdfast.pools")


class PoolWaits(Waits):
    """What the pools do when somebody waits for the future of a call."""

    def park(self, future: CallFuture[Any], latch: Latch, timeout: float | None) -> bool:
        """Wait for ``latch``; without a timeout, not for ever."""
        if timeout is not None:
            return current().acquire(latch, timeout)
        loop = _get_running_loop()
        if loop is None and not on_worker_thread():
            return current().acquire(latch, None)  # nobody's permit waits here
        if loop is not None and getattr(future, "_loop", None) is loop and not future.done():
            _refuse_on_own_loop(future)
        return park(current(), future, latch, None)

    def called_back(self, future: CallFuture[Any]) -> None:
        """A callback was added: on a loop's thread by a coroutine, which awaits the call."""
        if getattr(future, "state", None) == WAITING and _get_running_loop() is not None:
            note_call(future, pool_of(future))

    def collected(self, waiter: object) -> None:
        """``concurrent.futures`` is about to wait for several calls, of which this is the first."""
        if on_worker_thread():
            call = running_call(sys._getframe())  # noqa: SLF001 - the stack that waits
            if call is not None:
                _Collected(waiter, call)


def _refuse_on_own_loop(call: Any) -> None:
    """The thread that waits is the only one that could run the call."""
    admission = pool_of(call)
    why = "waiting for it here would stop the event loop that has to run it; await it instead"
    if admission.withdraw(call):
        error: Rejected = admission.refusal(WouldDeadlock, why)
        call.refuse(error)
        return
    msg = f"pool {admission.name!r}: the call has started, but {why}"
    raise WouldDeadlock(msg)


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


watch_waits(PoolWaits())
