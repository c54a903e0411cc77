"""The calls that one pass of a loop brings to one thread pool, handed over together at its end.

Purpose: one lock and one wake-up for a burst, however many coroutines made it.

Guarantees: a call of a burst is handed over before its pass is followed by another one, and before
anybody on that loop asks the pool for its figures, closes it, submits to it, or leaves the call; also
when an interrupt (Ctrl-C) divides the hand-over, which is then done once more.
"""

from holdfast._core.loops import LoopState
from holdfast.errors import Rejected
from holdfast.pools._admission import Admission
from holdfast.pools._deadlock_standing import Standing, standing_here
from holdfast.pools._entry import ENDED, WAITING
from holdfast.pools._thread_calls import LoopCall
from holdfast.pools._thread_crew import ThreadCrew
from holdfast.pools._timer import TIMER
from holdfast.pools._timings import Timed
from holdfast.pools._worker import Work

__all__ = ("Burst", "Bursts")


class Bursts:
    """The part of a thread pool's core that takes calls from loops."""

    __slots__ = ("_lock", "_lone", "_standing", "admission", "crew", "now")

    def __init__(self, admission: Admission, crew: ThreadCrew) -> None:
        self.admission = admission
        self.crew = crew
        self.now = crew.now
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._lock = self.admission.lock
        self._lone = False  # whether the last pass of a loop brought a single call
        self._standing: Standing | None = None  # where the last burst that had to wait is looked at

    def submit_from_loop(self, call: LoopCall) -> None:
        """Give ``call`` a place at the end of the loop's pass, together with all that come in it."""
        if self._lone and self.admission.in_flight == 0:
            self.take_burst(
                [call]
            )  # they come one at a time: a pass of the loop would only be lost
        else:
            self._begin_burst(call)

    def _begin_burst(self, call: LoopCall) -> None:
        mailbox = call.mailbox
        for burst in mailbox.deferred:  # the calls of a pass may go to several pools in turn
            if isinstance(burst, Burst) and burst.core is self:
                burst.calls.append(call)
                break
        else:
            burst = Burst(self, call)
            mailbox.defer(burst)
        mailbox.burst = burst

    def take_burst(self, calls: list[LoopCall]) -> None:
        """Give each of ``calls`` a place, and see to it that a worker comes."""
        admission, crew = self.admission, self.crew
        lone = self._lone = len(calls) == 1  # read from self, it might be another loop's by then
        self._time_some(calls, lone=lone)
        try:
            with self._lock:
                worker = None
                crew.idle.prompt = True  # somebody waits: a woken worker should run at once
                if lone and crew.idle.hot is not None:
                    worker = crew.hand_over(calls[0])
                taken = worker is not None or admission._line_up_all(calls)  # noqa: SLF001 - one lock for both halves of the pool
                if taken and crew.searcher is None and admission.in_flight < admission.ceiling:
                    worker = crew.needed()
            sent = worker is None or crew.send(worker)
        except BaseException:
            crew.recover()
            raise
        if not taken:
            for call in calls:
                self._line_up_or_refuse(call)
            crew.hire()
        elif not sent:
            crew.refuse_threadless(None)
        elif worker is None and crew.denied:
            crew.plead()
        if admission.contended or crew.starves:
            self._stand(calls[0].mailbox)

    def _stand(self, mailbox: LoopState) -> None:
        """See to it that somebody looks whether those who wait do so for ever."""
        standing = self._standing
        if standing is None or standing.mailbox is not mailbox:
            standing = self._standing = standing_here(self.admission, mailbox)
        standing.more()

    def take_rest(self, calls: list[LoopCall]) -> None:
        """Give each of ``calls`` a place that has none, after an interrupt."""
        for call in calls:
            if call.state == WAITING and not self.admission.has(call):
                self._line_up_or_refuse(call)
        self.crew.recover()

    def _time_some(self, calls: list[LoopCall], *, lone: bool) -> None:
        timings = self.admission.timings
        if lone:
            if timings.is_due():
                calls[0].fn = Timed(calls[0].fn, timings, self.now)
            return
        for call in calls[timings.due_of(len(calls))]:
            call.fn = Timed(call.fn, timings, self.now)

    def _line_up_or_refuse(self, call: LoopCall) -> None:
        try:
            self.admission.line_up(call, may_block=True)
        except Rejected as error:
            call.state = ENDED
            self.unwatch(call)
            call.refuse(error)

    def unwatch(self, call: Work) -> None:
        """Nobody need look at the call's deadline any more; after its state has said so."""
        if call.due is not None:
            TIMER.unwatch(call, call.due)


class Burst:
    """Calls in the order in which they came."""

    __slots__ = ("_begun", "calls", "core")

    def __init__(self, core: Bursts, call: LoopCall) -> None:
        self.core = core
        self.calls = [call]
        self._begun = False

    def at_pass_end(self) -> None:
        """Hand them over."""
        if self._begun:
            self.core.take_rest(self.calls)
        else:
            self._begun = True
            self.core.take_burst(self.calls)
