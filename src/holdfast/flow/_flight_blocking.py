"""Callers that block: one runs the work in its own thread, the others are parked each in its own.

A parked thread is woken by its latch, for one of two reasons: the run is over, or it has been elected
to take the work over. One that gives up (its timeout, an interrupt) finds out under the flight's lock
whether one of these has happened at the same moment; an election that it can't follow it passes on.
"""

from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections.abc import Callable, Hashable
from typing import Any

from holdfast._core.latch import PipeLatch, borrow_latch, closed_lock, give_back_latch
from holdfast.flow._flight_core import FlightCore
from holdfast.flow._flight_group import ThreadWaiter
from holdfast.flow._flight_handover import pass_on
from holdfast.flow._flight_ring import INSIDE, untie
from holdfast.flow._flight_run import OPEN, Run
from holdfast.flow._flight_stall import unwatch, watch
from holdfast.pools._deadlock_waits import park

__all__ = ("join_blocking", "run_blocking")


def run_blocking(
    core: FlightCore,
    timeout: float | None,
    key: Hashable,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Run ``fn`` for ``key`` in this thread, or wait for the run in flight and return its result."""
    waiter: ThreadWaiter | None = None
    inside = INSIDE.get()
    with core.lock:
        run, leads = core.admit(key, inside, blocks_loop=_get_running_loop() is not None)
        if not leads:
            waiter = _sit(run, may_lead=core.promote)
            run.places += 1
    try:
        if waiter is None:
            watch(core, run)
        elif not (_park(core, waiter, timeout) and _accept(core, run)):
            return run.outcome(leader=False)
        return _lead(core, run, fn, args, kwargs)
    finally:
        if inside is not None:
            untie(inside, run.mark)
        del core, run, waiter, fn, args, kwargs  # the traceback of an error keeps this frame


def join_blocking(core: FlightCore, run: Run, timeout: float | None) -> Any:
    """Wait in this thread, in a place that was taken before, and return the run's result."""
    inside = INSIDE.get()
    waiter: ThreadWaiter | None = None
    with core.lock:
        if run.state == OPEN:
            if _get_running_loop() is not None:
                raise core.would_freeze(run)
            if inside is not None and inside.live:
                core.tie(inside, run)
            waiter = _sit(run, may_lead=False)
    try:
        if waiter is not None:
            _park(core, waiter, timeout)
        return run.outcome(leader=False)
    finally:
        if inside is not None and waiter is not None:
            untie(inside, run.mark)
        del core, run, waiter


def _sit(run: Run, *, may_lead: bool) -> ThreadWaiter:
    """Under the lock: enter a thread among those who wait."""
    waiter = ThreadWaiter(run, borrow_latch() or closed_lock(), may_lead=may_lead)
    run.groups[waiter] = None
    return waiter


def _park(core: FlightCore, waiter: ThreadWaiter, timeout: float | None) -> bool:
    """Wait until the run is over; True if this thread is to take it over instead."""
    latch = waiter.latch
    woken = False
    try:
        target = waiter.run.awaited()
        woken = (
            park(core.clock, target[0], latch, timeout)  # a worker thread may keep it from running
            if target
            else core.clock.acquire(latch, timeout)
        )
    except BaseException:  # an interrupt, or a ring of waits
        _leave(core, waiter, timed_out=False)
        raise
    finally:
        if isinstance(latch, PipeLatch):
            give_back_latch(latch, broken_off=not woken)
    if not woken and _leave(core, waiter, timed_out=True):
        raise waiter.run.timed_out(timeout)
    return waiter.elected


def _accept(core: FlightCore, run: Run) -> bool:
    """Take an elected run over; False if it has ended since, by being closed."""
    with core.lock:
        if run.state != OPEN:
            return False
        core.counters.promotions += 1
        return True


def _leave(core: FlightCore, waiter: ThreadWaiter, *, timed_out: bool) -> bool:
    """Give up waiting; False if the run is over, and its outcome is there."""
    run = waiter.run
    with core.lock:
        if run.state != OPEN:
            return False
        if not waiter.elected:
            core.stand_up(run, waiter)
        if timed_out:
            core.counters.timeouts += 1
        else:
            core.counters.left += 1
        work = core.take_if_left(run)
    if waiter.elected:
        pass_on(core, run)
    if work is not None:
        unwatch(run)
        work.stop()
    return True


def _lead(
    core: FlightCore,
    run: Run,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Run the work in this thread."""
    term = run.term
    outer = INSIDE.set(run.mark)
    try:
        value = fn(*args, **kwargs)
    except BaseException as error:
        core.end(run, term, None, error)
        raise
    else:
        core.end(run, term, value, None)
        return value
    finally:
        INSIDE.reset(outer)
        del core, run, fn, args, kwargs  # the traceback of an error keeps this frame
