"""Waits of threads for the calls of a pool: where the search for deadlocks is told of them.

A thread that is no worker of a pool waits exactly as it would without all this. A worker whose wait takes
longer than 5 ms looks around (``_deadlock_park.py``). A callback that is added on a loop's thread is one
that a coroutine awaits: its call is noted. ``concurrent.futures.wait`` and ``as_completed`` wait on an
event of their own, where nobody can look around; in a worker thread the process's timer looks for them
(``_deadlock_collected.py``). And a coroutine that waits, blocking, for a call that its own loop has to run
is refused at once: no other thread can help.

What looks is imported when there is something to look at.
"""

from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from typing import Any

from holdfast._core.clock import Clock, Latch, current
from holdfast._core.future import CallFuture, Waits, watch_waits
from holdfast.errors import WouldDeadlock
from holdfast.pools._deadlock_later import wait_and_look, watch_collected
from holdfast.pools._deadlock_notes import FIRST_LOOK, note_call
from holdfast.pools._deadlock_stacks import on_worker_thread
from holdfast.pools._entry import WAITING
from holdfast.pools._timer import TIMER, patient

__all__ = ("PoolWaits", "park")


def park(
    clock: Clock, target: object, latch: Latch, timeout: float | None, *, place_only: bool = False
) -> bool:
    """Wait for ``latch`` up to ``timeout`` seconds; whoever brings ``target`` about releases it.

    Args:
        clock: By which it waits.
        target: A call, or a stream.
        latch: Where it waits.
        timeout: None is as long as it takes.
        place_only: Whether the latch is released when ``target`` has its place in the queue.

    Returns:
        Whether it was released in time.

    Raises:
        WouldDeadlock: It never would be, and there is no call in line that could be refused instead.
    """
    if not on_worker_thread():
        return patient(clock, latch, timeout)
    first = FIRST_LOOK if timeout is None else min(FIRST_LOOK, timeout)
    if clock.acquire(latch, first):
        return True
    left = None if timeout is None else timeout - first
    return wait_and_look(clock, target, latch, left, place_only=place_only)


class PoolWaits(Waits):
    """What the pools do when somebody waits for the future of a call."""

    def park(self, future: CallFuture[Any], latch: Latch, timeout: float | None) -> bool:
        """Wait for ``latch``; without a timeout, not for ever."""
        if timeout is not None:
            return patient(current(), latch, timeout)
        loop = _get_running_loop()
        if loop is None and not TIMER.threadless and not on_worker_thread():
            return current().acquire(latch, None)  # nobody's permit waits here
        if loop is not None and getattr(future, "_loop", None) is loop and not future.done():
            _refuse_on_own_loop(future)
        return park(current(), future, latch, None)

    def called_back(self, future: CallFuture[Any]) -> None:
        """A callback was added: on a loop's thread by a coroutine, which awaits the call."""
        if getattr(future, "state", None) == WAITING and _get_running_loop() is not None:
            call: Any = future
            core = getattr(call, "core", None) or call._core  # noqa: SLF001 - a call of ours
            note_call(call, core.admission)

    def collected(self, waiter: object) -> None:
        """``concurrent.futures`` is about to wait for several calls, of which this is the first."""
        if on_worker_thread():
            watch_collected(waiter)


def _refuse_on_own_loop(call: Any) -> None:
    """The thread that waits is the only one that could run the call."""
    admission = call._core.admission  # noqa: SLF001 - of a coroutine that was submitted
    why = "waiting for it here would stop the event loop that has to run it; await it instead"
    if admission.withdraw(call):
        call.refuse(admission.refusal(WouldDeadlock, why))
        return
    msg = f"pool {admission.name!r}: the call has started, but {why}"
    raise WouldDeadlock(msg)


watch_waits(PoolWaits())
