"""A thread pool without its face: calls go in, deadlines are watched, outcomes go out.

What a call may do is its admission's to say, which thread runs it its crew's. Here is what happens to
it on the way: it is given a place, watched if it has a deadline, withdrawn or abandoned if its caller
leaves, and its outcome is brought to whoever waits.
"""

import logging
import threading

from holdfast._core.clock import Latch
from holdfast._core.loops import end_pass_here
from holdfast.errors import CallTimeout, PoolClosed, QueueTimeout, Rejected, UnderPressure
from holdfast.pools._abandoned import AbandonedCall, abandoned_calls, describe, running_calls
from holdfast.pools._admission import Admission
from holdfast.pools._drain import is_inside
from holdfast.pools._entry import ENDED, RUNNING, WAITING, Entry
from holdfast.pools._forked import forks
from holdfast.pools._pressure import LISTENERS, tell_of
from holdfast.pools._stats import PoolStats
from holdfast.pools._supply import SUPPLY
from holdfast.pools._thread_burst import Bursts
from holdfast.pools._thread_calls import SubmittedCall, ThreadCall
from holdfast.pools._thread_crew import ThreadCrew
from holdfast.pools._timer import TIMER
from holdfast.pools._timings import Timed
from holdfast.pools._worker import Work

__all__ = ("ThreadCore",)

log = logging.getLogger("holdfast.pools")


class ThreadCore(Bursts):
    """A pool's admission and its worker threads. Every method may be called from any thread."""

    __slots__ = ("__weakref__", "_newest", "clock", "end")

    def __init__(self, admission: Admission, crew: ThreadCrew) -> None:
        super().__init__(admission, crew)
        admission.rivals = SUPPLY
        admission.show_stuck = self._show_stuck
        forks(self)
        self.clock = crew.clock
        self.end = admission.end
        self._newest = 0  # the id of the call that was submitted last

    # ------------------------------------------------------------ calls in

    def submit(self, call: SubmittedCall, *, may_block: bool) -> bool:
        """Give ``call`` a place and see to it that a worker comes; False if it is still blocked."""
        admission, crew = self.admission, self.crew
        timings = admission.timings
        if timings.skip > 0:  # as is_due() does, but without the call
            timings.skip -= 1
        elif timings.is_due():
            call.fn = Timed(call.fn, timings, self.now)
        try:
            with self._lock:
                self._newest = id(call)
                worker, queued, dropped = None, True, None
                if crew.idle.hot is not None:
                    worker = crew.hand_over(call)
                if worker is None:
                    queued, dropped = admission._line_up(call, may_block=may_block)  # noqa: SLF001 - one lock for both halves of the pool
                    if crew.searcher is None and admission.in_flight < admission.ceiling:
                        worker = crew.needed()
            sent = worker is None or crew.send(worker)
            if dropped is not None:
                admission.refuse_dropped(dropped)
        except BaseException as error:
            self._take_back(call, error)
            raise
        if not sent:
            crew.refuse_threadless(call)
        elif worker is None and crew.denied:
            crew.plead()
        return queued

    def _take_back(self, call: SubmittedCall, error: BaseException) -> None:
        """The submission has failed, or this thread was interrupted in the middle of it."""
        if not isinstance(error, Rejected):
            self.crew.recover()
        self.admission.withdraw(call)
        if call.state == WAITING:  # it had no place
            call.state = (
                ENDED  # before the watch ends: a deadline that comes now finds nothing to do
            )
        if call.state == ENDED:
            self.unwatch(call)

    def wait_for_place(self, call: SubmittedCall) -> None:
        """Block this thread until ``call``, which is blocked before a full queue, has its place."""
        timeout = None if call.queue_until is None else max(0.0, call.queue_until - self.now())
        try:
            in_time = call.wait_accepted(timeout)
        except BaseException:  # an interrupt: the caller will never see the future
            self.withdraw(call)
            raise
        if not in_time and self.withdraw(call):
            raise self._queue_timeout(call)
        if call.done() and isinstance(error := call.exception(), Exception) and not call.began:
            raise error

    def watch(self, call: ThreadCall) -> None:
        """Watch a call with a deadline before it has a place: what can't be watched must not run.

        Raises:
            UnderPressure: The system refused the thread that watches.
        """
        try:
            self._watch(call)
        except RuntimeError as error:
            call.state = ENDED
            raise self.admission.refusal(
                UnderPressure,
                f"the system refused the thread that watches deadlines ({error}); raise the limit on "
                "threads (ulimit -u, pids.max), or run fewer",
            ) from error

    def withdraw(self, call: Work) -> bool:
        """Take a call back that has not started; True if it never will."""
        if not self.admission.withdraw(call):
            return False
        self.unwatch(call)
        return True

    def awaited(self, call: SubmittedCall) -> None:
        """Somebody blocks until ``call`` ends: is it one at a time, or the oldest of many?"""
        self.crew.idle.prompt = self._newest == id(call)

    def give_up(self, call: ThreadCall) -> None:
        """Nobody waits for ``call`` any more: take it back, or count it as abandoned."""
        end_pass_here()
        if not self.withdraw(call):
            if self.admission.abandon(call, timed_out=False):
                self.crew.hire()
            self.unwatch(call)

    def post_turn(self, turn: Work, *, under_way: bool) -> bool:
        """Put a stream in line for a permit; False if the pool is closed."""
        if not self.admission.line_up_turn(turn, under_way=under_way):
            return False
        if self.crew.searcher is None:
            self.crew.hire(turn)
        return True

    def ended(
        self,
        call: ThreadCall,
        value: object,
        error: BaseException | None,
        wake: list[Latch] | None = None,
    ) -> Entry | None:
        """Give the permit back, tell whoever waits, and return the call that this thread takes next."""
        if error is not None and LISTENERS:
            tell_of(error)
        then = self.admission.end(call, error is None)
        self.finish(call, value, error, wake)
        return then

    def finish(
        self,
        call: ThreadCall,
        value: object,
        error: BaseException | None,
        wake: list[Latch] | None = None,
    ) -> None:
        """The permit is back: tell whoever waits, unless the call was abandoned."""
        call.let_go()
        if call.abandoned:
            call.drop_result()
            log.warning(
                "pool %r: an abandoned call ended at last; its result is dropped",
                self.admission.name,
            )
        else:
            if call.due is not None:
                TIMER.unwatch(call, call.due)
            call.finish(value, error, wake)

    def _show_stuck(self) -> str:
        # Called under the lock, so the workers are read as they are.
        return describe(abandoned_calls(tuple(self.crew), self.now()))

    # ------------------------------------------------------------ deadlines

    def _watch(self, call: ThreadCall) -> None:
        now = self.now()
        moments = [now + call.timeout] if call.timeout is not None else []
        if call.queue_until is not None:
            moments.append(call.queue_until)
        call.due = TIMER.watch(call, max(0.0, min(moments) - now))
        if call.state == ENDED:
            self.unwatch(call)

    def check_deadline(self, call: ThreadCall) -> None:
        """On the timer's thread: act on the deadline that has passed, or wait for the next one.

        The clock of ``timeout`` starts with the call, which nobody announces; so a call that has
        not started is simply looked at again.
        """
        now = self.now()
        if call.state == ENDED:
            return
        if call.state == RUNNING:
            self._check_running(call, now)
        elif call.queue_until is not None and now >= call.queue_until:
            if self.admission.withdraw(call):
                call.refuse(self._queue_timeout(call))
            elif call.state == WAITING:
                self._watch(call)  # it is watched before it has its place
            else:
                self._check_running(call, now)
        else:
            self._watch(call)

    def _check_running(self, call: ThreadCall, now: float) -> None:
        if call.timeout is None:
            return
        started = call.started
        left = call.timeout if started is None else started + call.timeout - now
        if left > 0:
            call.due = TIMER.watch(call, left)
            if call.state == ENDED:
                self.unwatch(call)
        elif self.admission.abandon(call, timed_out=True):
            stats = self.admission
            call.finish(
                None,
                CallTimeout(
                    f"pool {stats.name!r}: the call ran longer than its timeout of {call.timeout:g} s; a thread "
                    f"can't be stopped, so it still runs and keeps its permit ({stats.abandoned} abandoned)",
                    stopped=False,
                ),
            )
            self.crew.hire()

    def _queue_timeout(self, call: ThreadCall) -> QueueTimeout:
        error = self.admission.refusal(
            QueueTimeout,
            "it waited in line for its whole queue_timeout; raise the limit, or send less",
        )
        assert isinstance(error, QueueTimeout)  # noqa: S101 - made as one
        return error

    # ------------------------------------------------------------ the end

    def cancel_waiting(self) -> None:
        """Cancel the futures of submitted calls in line; refuse the rest."""
        for entry in self.admission.waiting():
            if isinstance(entry, SubmittedCall):
                entry.cancel()
            elif self.admission.withdraw(entry):
                entry.refuse(self.admission.refusal(PoolClosed, "it was shut down"))

    def close(self, *, refuse_waiting: bool, keep_turns: bool = False) -> None:
        """Admit nothing any more; see :meth:`Admission.close`."""
        end_pass_here()
        self.admission.close(refuse_waiting=refuse_waiting, keep_turns=keep_turns)

    def let_go(self) -> None:
        """The pool was forgotten: what was accepted still runs, then the threads end."""
        # Its streams have been left, too; to cut them off would take a lock of each, here in a collection.
        self.admission.close(refuse_waiting=False, keep_turns=True)
        self.crew.stop()

    def report_survivors(self) -> bool:
        """Log what still runs, and where; whether nothing does, but for the call that asks."""
        left = self.admission.in_flight - is_inside(self.admission)
        if left > 0:
            me = threading.current_thread()
            others = [worker for worker in self.crew.workers() if worker.thread is not me]
            log.warning(
                "pool %r is closed, but %d of its calls still run, and a thread can't be stopped: %s",
                self.admission.name,
                left,
                describe(running_calls(others)),
            )
        return left <= 0

    def where_it_runs(self) -> str:
        """Say what runs now, for which somebody may wait, and where it stands."""
        return describe(running_calls(self.crew.workers()))

    def abandoned_calls(self) -> tuple[AbandonedCall, ...]:
        """Return the calls that run although nobody waits for them."""
        return abandoned_calls(self.crew.workers(), self.now())

    def after_fork(self) -> None:
        """In a child: the pool has no thread, and no call but the one in which the fork was made."""
        admission = self.admission
        survivor = threading.current_thread() if is_inside(admission) else None
        admission.after_fork(int(survivor is not None))
        self._begin_anew()
        self.crew.after_fork(admission.lock, survivor)

    def stats(self) -> PoolStats:
        """Return one consistent reading."""
        end_pass_here()
        return self.admission.stats(threads=len(self.crew), refused_threads=self.crew.refused)
