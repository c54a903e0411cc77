"""What happens when a leader has gone without an outcome: one of those who wait takes over.

Purpose: with ``promote``, an aborted leader costs its joiners time and not their result. The run stays
OPEN, so that nobody else begins another one meanwhile; it has no leader until somebody has accepted.

States of the hand-over: offered (to a group by a letter to its loop, to a thread by its latch) ->
accepted (the work begins anew, by the function of the one who accepts), or refused (whoever was meant
has left, timed out, or its loop has closed), and then it is offered to the next. At most one offer is
under way; the run's ``term`` has been raised, so the former leader is not heard any more. When nobody
is left to ask, everybody is told that the run was aborted.
"""

import logging
from typing import Protocol

from holdfast.flow._flight_group import LoopGroup, ThreadWaiter
from holdfast.flow._flight_run import OPEN, Run
from holdfast.flow._flight_stats import FlightCounters
from holdfast.flow._flight_work import Host as WorkHost, start_task

__all__ = ("pass_on",)

log = logging.getLogger("holdfast.flow")


class Host(WorkHost, Protocol):
    """What a hand-over asks of its flight."""

    counters: FlightCounters

    def stand_up(self, run: Run, waiter: ThreadWaiter) -> None:
        """Under the lock: a thread does not wait for the run any more."""
        ...

    def dismiss(self, run: Run, group: LoopGroup) -> None:
        """Under the lock: nobody in this group waits for the run any more."""
        ...

    def give_up(self, run: Run) -> None:
        """There is nobody to take over: tell everybody so."""
        ...


def pass_on(core: Host, run: Run) -> None:
    """Offer an aborted run to those who wait, one after the other; without the lock."""
    while True:
        with core.lock:
            if run.state != OPEN:
                return
            heir = _choose(core, run)
        if heir is None:
            core.give_up(run)
            return
        if isinstance(heir, ThreadWaiter):
            heir.latch.release()
            return
        offer = _Offer(core, heir)
        if offer.accept() if heir.mailbox.is_here() else heir.mailbox.post(offer):
            return
        offer.refuse()


def _choose(core: Host, run: Run) -> LoopGroup | ThreadWaiter | None:
    """Under the lock: who is asked next."""
    for group in run.groups:
        if isinstance(group, LoopGroup):
            if group.calls:
                return group
        elif isinstance(group, ThreadWaiter) and group.may_lead:
            group.elected = True
            run.leader = None  # the former leader's caller, if it waits, does so like the others
            core.stand_up(run, group)
            return group
    return None


class _Offer:
    """A letter to a loop: one of a group is to take a run over."""

    __slots__ = ("_core", "_group")

    def __init__(self, core: Host, group: LoopGroup) -> None:
        self._core = core
        self._group = group

    def deliver(self) -> None:
        """On the loop, later."""
        if not self.accept():
            self.refuse()
            pass_on(self._core, self._group.run)

    def refuse(self) -> None:
        """Nobody of this group can take it over, nor wait for it if the loop has closed."""
        core, group = self._core, self._group
        with core.lock:
            group.calls.clear()
            if group.run.state == OPEN and not group.expired and group.mailbox.closing:
                core.dismiss(group.run, group)

    def accept(self) -> bool:
        """On the loop: begin the work for the first who still waits; False if there is none."""
        core, group = self._core, self._group
        run = group.run
        with core.lock:
            if run.state != OPEN:
                return True
            heir = None if group.expired or group.mailbox.closing else group.candidate()
            if heir is None:
                return False
            core.counters.promotions += 1
        call, context = heir
        try:
            context.run(start_task, core, run, group.loop, call)
        except Exception:  # the loop's task factory; the run has gone on to the next by then
            log.exception("flight %r: a caller could not take over a run", core.name)
        return True
