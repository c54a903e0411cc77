"""A run whose work is a call that was submitted to a pool, and the futures of those who asked for it.

Every caller gets a future of its own, also the one whose call begins the run: so each can be cancelled
without touching the others, and the work is taken back when the last one has left. States of such a
future: waiting (a place in its run) -> settled by the end of the run, cancelled, or timed out; whichever
comes first, and decides so under the flight's lock.
"""

import asyncio
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections.abc import Callable, Generator, Hashable
from typing import Any

from holdfast._core.future import CallFuture
from holdfast.flow._flight_core import FlightCore
from holdfast.flow._flight_ring import INSIDE, Mark, untie
from holdfast.flow._flight_run import OPEN, Run
from holdfast.flow._flight_stall import unwatch, watch
from holdfast.flow._flight_work import note_unheard
from holdfast.pools._timer import TIMER

__all__ = ("submit_run",)


def submit_run(
    core: FlightCore,
    timeout: float | None,
    key: Hashable,
    submit: Callable[[], CallFuture[Any]],
) -> CallFuture[Any]:
    """Submit the work of a run for ``key``, or join the run in flight; never waits for the outcome.

    Args:
        core: The flight.
        timeout: Seconds after which this caller's future has an error; None is no bound.
        key: What the call is for.
        submit: Puts the work into a pool; called only if there is no run in flight.

    Raises:
        Exception: What ``submit`` raised. Those who have joined meanwhile get one like it.
    """
    with core.lock:
        run, leads = core.admit(key, None)
        future = _FlightFuture(core, run, timeout)
        run.groups[future] = None
        run.places += 1
        if leads:
            core.came += 1
            run.leader = future
    if leads:
        watch(core, run)
        _start(core, run, submit)
    future.watch()
    return future


def _start(core: FlightCore, run: Run, submit: Callable[[], CallFuture[Any]]) -> None:
    term = run.term
    outer = INSIDE.set(run.mark)
    try:
        call = submit()
    except BaseException as error:
        core.end(run, term, None, error)
        raise
    finally:
        INSIDE.reset(outer)
    work = _CallWork(core, run, call)
    with core.lock:
        wanted = run.state == OPEN and run.term == term
        if wanted:
            run.work = work
        else:
            core.ending.add(work)
    call.add_done_callback(work.over)
    if not wanted:
        call.cancel()


class _CallWork:
    """A call in a pool, which can be taken back while it waits there, or cancelled if it is a coroutine."""

    __slots__ = ("core", "future", "run", "term")

    def __init__(self, core: FlightCore, run: Run, call: CallFuture[Any]) -> None:
        self.core = core
        self.run = run
        self.term = run.term
        self.future: CallFuture[Any] | None = call

    def stop(self) -> None:
        """Ask it to end; a thread can't be stopped, and goes on."""
        if (call := self.future) is not None:
            call.cancel()

    def waiting(self) -> list[Any]:
        """The futures of those who wait for it, for the search for deadlocks; takes no lock."""
        return [one for group in tuple(self.run.groups) for one in group.futures()]

    def over(self, call: Any) -> None:
        """The call is settled; on the thread that has settled it."""
        core, run, self.future = self.core, self.run, None
        if call.cancelled():
            core.abort(run, self.term, asyncio.CancelledError(), "its work was cancelled")
        elif (error := call.exception()) is None:
            core.end(run, self.term, call.result(), None)
        elif not core.end(run, self.term, None, error) and isinstance(error, Exception):
            note_unheard(core, run, error)
        with core.lock:
            core.ending.discard(self)


class _FlightFuture(CallFuture[Any]):
    """The place of one caller in a run, as a future. One of the ``Waiters`` of its run."""

    def __init__(self, core: FlightCore, run: Run, timeout: float | None) -> None:
        super().__init__()
        self._core = core
        self._run = run
        self._timeout = timeout
        self._due: float | None = None

    # ------------------------------------------------------------ as one who waits

    def announce(self) -> None:
        """The run is over."""
        self._unwatch()
        try:
            value = self._run.outcome(leader=self._run.leader is self)
        except asyncio.CancelledError:
            self.settle_cancelled()
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the caller
            self.settle(None, error)
            del self  # break the cycle with the traceback
        else:
            self.settle(value, None)

    def futures(self) -> "tuple[_FlightFuture]":
        """What is waited on: this one."""
        return (self,)

    def awaited(self) -> list[Any]:
        """What could bring it about, for the search for deadlocks."""
        return self._run.awaited()

    # ------------------------------------------------------------ its own end

    def watch(self) -> None:
        """From now on, its time runs."""
        if self._timeout is None:
            return
        due = TIMER.watch(self, self._timeout)
        with self._core.lock:
            if self._run.state == OPEN:
                self._due = due
                return
        TIMER.unwatch(self, due)

    def _unwatch(self) -> None:
        if self._due is not None:
            TIMER.unwatch(self, self._due)
            self._due = None

    def expire(self) -> None:
        """On the timer's thread."""
        if self._leave(timed_out=True):
            self.settle(None, self._run.timed_out(self._timeout))

    def _withdraw(self) -> bool:
        """Cancelled by its holder: nobody else is touched."""
        return self._leave(timed_out=False)

    def _leave(self, *, timed_out: bool) -> bool:
        core, run = self._core, self._run
        with core.lock:
            if run.state != OPEN or self not in run.groups:
                return False
            if run.leader is self:
                run.leader = None
            core.stand_up(run, self)
            if timed_out:
                core.counters.timeouts += 1
            else:
                core.counters.left += 1
            work = core.take_if_left(run)
        self._unwatch()
        if work is not None:
            unwatch(run)
            work.stop()
        return True

    # ------------------------------------------------------------ being waited for

    def _wait(self, timeout: float | None) -> None:
        inside = self._tie()
        try:
            self._check_loop()
            super()._wait(timeout)
        finally:
            if inside is not None:
                untie(inside, self._run.mark)

    def __await__(self) -> Generator[Any, None, Any]:
        inside = self._tie()
        try:
            return (yield from super().__await__())
        finally:
            if inside is not None:
                untie(inside, self._run.mark)

    def _tie(self) -> Mark | None:
        """Note that code inside a run waits here; returns the mark of that run."""
        inside = INSIDE.get()
        if inside is None or not inside.live:
            return None
        with self._core.lock:
            if self._run.state != OPEN:
                return None
            self._core.tie(inside, self._run)
        return inside

    def _check_loop(self) -> None:
        """A loop that has to run the work must not stand still and wait for it."""
        loop = _get_running_loop()
        if loop is None or self.done():
            return
        for call in self.awaited():
            if getattr(call, "_loop", None) is loop:
                with self._core.lock:
                    raise self._core.would_freeze(self._run)
