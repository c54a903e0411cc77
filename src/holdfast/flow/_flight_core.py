"""A flight: who leads, who joins, who leaves, who takes over, and who is told what.

Purpose: of the callers that name one key at one time, one runs the work and all get its outcome, in
whatever threads and loops they are.

Guarantees: at most one run of a key is OPEN, and that has at most one leader. Every caller that was
let in is told exactly one thing: the run's outcome, or that its own time is up; one that leaves is
told nothing. Leaving costs the same in a crowd of any size, and touches nobody else. The work of a
run is stopped when the last of its callers leaves, and only then; in that moment the key is free.

How no wake-up is lost: a caller enters its group under the lock that the run's state is under. So it
is in before the run is over, and is woken with the others, or it begins a run of its own.

Whose lock: the flight's lock is never held while anybody is told something (a letter, a latch, a
task, a timer); inside it only the lock of the ring is taken, and that of the latches' stock.
"""

import os
import threading
import weakref
from asyncio import AbstractEventLoop, Future, get_running_loop
from collections.abc import Hashable, Iterable
from contextvars import copy_context
from typing import Any

from holdfast._core.loops import LoopState, loop_state
from holdfast.flow._flight_group import LoopGroup
from holdfast.flow._flight_handover import pass_on
from holdfast.flow._flight_ring import INSIDE, Mark, renew_lock, ring_lock
from holdfast.flow._flight_run import ABORTED, ERROR, OPEN, VALUE, Call, Run, Waiters, Work
from holdfast.flow._flight_stall import unwatch, watch
from holdfast.flow._flight_table import FlightTable
from holdfast.flow._flight_work import start_task
from holdfast.pools._threads import finalize
from holdfast.pools._timer import TIMER

__all__ = ("FlightCore",)

_flights: "weakref.WeakSet[FlightCore]" = weakref.WeakSet()


class FlightCore(FlightTable):
    """The moves of a flight. Every method may be called from any thread unless it says otherwise."""

    __slots__ = ("__weakref__",)

    def __init__(self, name: str | None, **options: Any) -> None:
        super().__init__(name, **options)
        _flights.add(self)

    # ------------------------------------------------------------ coming

    def enter(
        self, future: "Future[bool]", timeout: float | None, key: Hashable, call: Call
    ) -> LoopGroup:
        """Begin a run on this loop, or join the one in flight.

        Args:
            future: Of this loop; is set when the caller is to go on, with True if there is a value.
            timeout: Longest wait in seconds, the same object for callers with the same options.
            key: What the call is for.
            call: What is to be done.
        """
        loop = get_running_loop()  # which says so if there is none
        mailbox = loop_state(loop)  # made before the run is: it may fail, for want of a descriptor
        inside = INSIDE.get()
        with self.lock:
            run, leads = self.admit(key, inside)
            group = self._sit(run, loop, mailbox, timeout, future, inside)
            if leads:
                self.came += 1
                run.leader = future
                run.led_in = group
            elif self.promote:
                group.calls[future] = (call, copy_context())
        if leads:
            watch(self, run)
            start_task(self, run, loop, call)
        return group

    def take_place(self, key: Hashable) -> tuple[Run, bool]:
        """Begin a run that the caller drives by itself, or take a place in the one in flight."""
        with self.lock:
            run, leads = self.admit(key, None)
            if not leads:
                run.places += 1
        if leads:
            watch(self, run)
        return run, leads

    def sit_down(self, run: Run, timeout: float | None) -> "tuple[LoopGroup, Future[bool]] | None":
        """Wait on this loop in a place that was taken before; None if the run is over."""
        loop = get_running_loop()
        mailbox = loop_state(loop)
        inside = INSIDE.get()
        future: Future[bool] = loop.create_future()
        with self.lock:
            if run.state != OPEN:
                return None
            if inside is not None and inside.live:
                self.tie(inside, run)
            run.places -= 1  # from now on it is the group's
            group = self._sit(run, loop, mailbox, timeout, future, inside)
        return group, future

    def _sit(
        self,
        run: Run,
        loop: AbstractEventLoop,
        mailbox: LoopState,
        timeout: float | None,
        future: "Future[bool]",
        inside: Mark | None,
    ) -> LoopGroup:
        """Under the lock: enter a future into the group of its loop and its timeout."""
        group: LoopGroup | None = run.filling.get((loop, timeout))
        if group is None:
            group = LoopGroup(self, run, loop, mailbox, timeout)
            run.filling[loop, timeout] = group
            run.groups[group] = None
        run.latest = group
        run.places += 1
        group.add(future)
        if inside is not None:
            group.inside[future] = inside
        return group

    def complete(self, group: LoopGroup) -> None:
        """Nobody more is let into this group."""
        with self.lock:
            self._shut(group.run, group)

    # ------------------------------------------------------------ leaving

    def leave_later(self, group: LoopGroup, future: "Future[bool]") -> None:
        """Do the same as :meth:`leave`, for a caller that the collector has found, at any moment."""
        finalize(lambda: self.leave(group, future), self.lock, ring_lock(), TIMER.lock)

    def leave(self, group: LoopGroup, future: "Future[bool]") -> None:
        """A coroutine waits no more."""
        group.untie(future)
        run = group.run
        with self.lock:
            if run.state != OPEN or group.expired:
                return  # it had been told already, and did not come to hear it
            group.take_out(future)
            self._give_up(run, 1)
            self.counters.left += 1
            if run.leader is future:
                run.leader = None
            empty = not group.size
            if empty:
                self._drop(run, group)
            work = self.take_if_left(run)
        if empty and group.mailbox.is_here():
            group.forget_deadline()
        if work is not None:
            unwatch(run)
            work.stop()

    def leave_place(self, run: Run) -> None:
        """A place that was taken will not be used."""
        with self.lock:
            if run.state != OPEN:
                return
            self._give_up(run, 1)
            self.counters.left += 1
            work = self.take_if_left(run)
        if work is not None:
            unwatch(run)
            work.stop()

    def expire(self, group: LoopGroup) -> bool:
        """A group's time is up; False if its run was over before."""
        run = group.run
        with self.lock:
            if run.state != OPEN or group.expired:
                return False
            self.counters.timeouts += group.size
            self.dismiss(run, group)
            work = self.take_if_left(run)
        if work is not None:
            unwatch(run)
            work.stop()
        return True

    def dismiss(self, run: Run, group: LoopGroup) -> None:
        """Under the lock: nobody in this group waits for the run any more."""
        group.expired = True
        if run.led_in is group:
            run.leader = None
        self._give_up(run, group.size)
        self._drop(run, group)

    def stand_up(self, run: Run, waiter: Waiters) -> None:
        """Under the lock: a thread, or the holder of a future, does not wait for the run any more."""
        del run.groups[waiter]
        self._give_up(run, 1)

    def _give_up(self, run: Run, places: int) -> None:
        run.places -= places
        self.went += places

    def _drop(self, run: Run, group: LoopGroup) -> None:
        run.groups.pop(group, None)
        self._shut(run, group)

    def _shut(self, run: Run, group: LoopGroup) -> None:
        if run.latest is group:
            run.latest = None
        if run.filling.get((group.loop, group.timeout)) is group:
            del run.filling[group.loop, group.timeout]

    # ------------------------------------------------------------ the end

    def end(self, run: Run, term: int, value: object, error: BaseException | None) -> bool:
        """The work of a leader has ended; False if nobody listens to that leader any more."""
        if error is not None and not isinstance(error, Exception):
            return self.abort(run, term, error, f"its work was ended by {type(error).__name__}")
        with self.lock:
            if run.state != OPEN or run.term != term:
                return False
            groups = self.finish(run, VALUE if error is None else ERROR, value, error)
        self._announce(run, groups)
        return True

    def abort(self, run: Run, term: int, error: BaseException | None, why: str) -> bool:
        """A leader has gone without an outcome: somebody takes over, or everybody is told."""
        with self.lock:
            if run.state != OPEN or run.term != term:
                return False
            run.term += 1
            run.work = None
            run.error = error
            run.why = why
        pass_on(self, run)
        return True

    def give_up(self, run: Run) -> None:
        """There is nobody to take over: tell everybody so."""
        with self.lock:
            if run.state != OPEN:
                return
            groups = self.finish(run, ABORTED, None, run.error, run.why)
        self._announce(run, groups)

    def close(self) -> None:
        """Let nobody in any more; stop what is in flight and tell everyone who waits."""
        stopped: list[tuple[Run, Work | None, dict[Waiters, None]]] = []
        with self.lock:
            self.closed = True
            for run in list(self.runs.values()):
                work = run.work
                if work is not None:
                    self.ending.add(work)
                stopped.append(
                    (run, work, self.finish(run, ABORTED, None, None, "the flight was closed"))
                )
        for run, work, groups in stopped:
            self._announce(run, groups)
            if work is not None:
                work.stop()

    def _announce(self, run: Run, groups: Iterable[Waiters]) -> None:
        unwatch(run)
        for group in groups:
            group.announce()

    # ------------------------------------------------------------ fork

    def after_fork(self) -> None:
        """In the child: what was in flight is in flight in the parent alone."""
        self.lock = threading.Lock()
        for run in self.runs.values():
            run.end(ABORTED, None, None, "it belongs to the process that this one was forked from")
            self.went += run.places
        self.runs.clear()
        self.ending.clear()


def _after_fork() -> None:
    renew_lock()
    for flight in tuple(_flights):
        flight.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
