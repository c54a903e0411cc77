"""A process pool without its face: calls go in, deadlines are kept, outcomes come out.

What a call may do is its admission's to say. What happens to it on the way is told in parts, each a class
that adds to the one before: who runs what (``_process_hiring``), the processes (``_process_crew``), who
reads a reply (``_process_direct``), to the worker and back (``_process_delivery``, ``_process_turns``),
workers that end (``_process_ends``); and here how calls come in, how long they may take, and who leaves.

Guarantees: an interrupt (Ctrl-C) in a thread that submits or waits loses no reply and no permit: what it
left half done is finished on the hub's thread.
"""

import logging
import math
import threading
from typing import Any, cast

from holdfast._core.clock import SystemClock
from holdfast.errors import PoolClosed, QueueTimeout, UnderPressure
from holdfast.pools._admission import Admission
from holdfast.pools._deadline_left import waited_longer
from holdfast.pools._drain import wait_posted
from holdfast.pools._entry import ENDED, RUNNING, WAITING, Entry
from holdfast.pools._forked import forks
from holdfast.pools._process_calls import ProcessCall, ProcessEntry, ProcessSubmittedCall
from holdfast.pools._process_direct import SOON
from holdfast.pools._process_ends import Ends
from holdfast.pools._process_hiring import CrewOptions
from holdfast.pools._process_hub import HUB
from holdfast.pools._process_turn import ProcessTurn
from holdfast.pools._process_worker import BUSY, WorkerProcess
from holdfast.pools._stats import PoolStats
from holdfast.pools._timer import TIMER

__all__ = ("ProcessCore",)

log = logging.getLogger("holdfast.pools")


class ProcessCore(Ends):
    """A pool's admission and its processes. Every method may be called from any thread."""

    def __init__(self, admission: Admission, options: CrewOptions, clock: Any) -> None:
        super().__init__(admission, options, clock.now)
        self.clock = clock
        self._in_real_time = isinstance(clock, SystemClock)
        self.end = admission.end
        self._timings = admission.timings
        forks(self)

    # ------------------------------------------------------------ calls in

    def submit(self, call: ProcessCall, *, may_block: bool, prompt: bool) -> bool:
        """Give ``call`` a place, and a worker if one is idle; False if it is still blocked.

        Args:
            call: Its payload is made.
            may_block: Whether it may be blocked before a full queue.
            prompt: Whether the caller may be about to wait for it, in this thread.
        """
        if self.admission.timings.is_due():
            call.waits_since = self.now()
        return self.start_at_once(call, prompt=prompt) or self._line_up(call, may_block=may_block)

    def start_at_once(self, call: ProcessCall, *, prompt: bool) -> bool:
        """Give ``call`` a permit and an idle worker, if nothing speaks against it; False else."""
        admission, idle = self.admission, self.idle
        counters = admission.counters
        worker = None
        try:
            with self._lock:
                in_flight = admission.in_flight
                if (
                    idle
                    and in_flight < admission.door  # 0 if it is closed, or has a gate
                    and not admission._line  # noqa: SLF001 - one lock for both halves of the pool
                    and not admission.abandoned
                    and not self.homeless
                ):
                    # One step after the other, none of which an interrupt can come into: no call is made.
                    worker = idle[-1]
                    worker.state = BUSY
                    worker.sending = True
                    worker.call = call
                    worker.calls += 1
                    call.worker = worker
                    call.state = RUNNING
                    admission.in_flight = in_flight = in_flight + 1
                    counters.submitted += 1
                    if in_flight > counters.peak_in_flight:
                        counters.peak_in_flight = in_flight
                    del idle[-1]
            if worker is None:
                return False
            if prompt and in_flight == 1 and not worker.attended and type(call.payload) is bytes:
                self._send_plainly(worker, call)  # type: ignore[arg-type] # it was submitted
            else:
                self._send(worker, call, prompt=prompt and in_flight == 1)
            if not idle and len(self.workers) < admission.ceiling + self.options.spares:
                HUB.post(self.pump)  # a spare for the next one
        except BaseException:  # an interrupt: the caller will never see the call
            if worker is not None:
                self._drop_at_once(worker, call)
            raise
        return True

    def _drop_at_once(self, worker: WorkerProcess, call: ProcessCall) -> None:
        def drop() -> None:
            worker.sending = False
            self.admission.abandon(call, timed_out=False)
            if not self.doom(worker, "cancel", call=call) and worker.status is not None:
                self.lose(worker, *worker.status)

        HUB.post(drop)

    def _line_up(self, call: ProcessCall, *, may_block: bool) -> bool:
        admission = self.admission
        try:
            with self._lock:
                queued, dropped = admission._line_up(call, may_block=may_block)  # noqa: SLF001 - one lock for both halves of the pool
        except BaseException:
            call.state = (
                ENDED  # before the watch ends: a deadline that comes now finds nothing to do
            )
            self._unwatch(call)
            raise
        if dropped is not None:
            admission.refuse_dropped(dropped)
        self._pump_soon()
        return queued

    def _pump_soon(self) -> None:
        """Start what may start: on the hub's thread, where no interrupt comes, if there is one."""
        if self._entered:
            HUB.post(self.pump)
        else:
            self.pump()

    def submit_blocking(self, call: ProcessSubmittedCall, *, may_block: bool) -> None:
        """Like :meth:`submit`; blocks this thread while the queue is full."""
        if self._timings.skip > 0:  # as is_due() has it, of which there is one for every call
            self._timings.skip -= 1
        elif self._timings.is_due():
            call.waits_since = self.now()
        if self.start_at_once(call, prompt=may_block):
            return
        if self._line_up(call, may_block=may_block):
            return
        timeout = None if call.queue_until is None else max(0.0, call.queue_until - self.now())
        try:
            in_time = call.wait_accepted(timeout)
        except BaseException:  # an interrupt: the caller will never see the future
            self.withdraw(call)
            raise
        if not in_time and self.withdraw(call):
            raise self._queue_timeout()
        if call.done() and isinstance(error := call.exception(), Exception) and not call.began:
            raise error

    # ------------------------------------------------------------ deadlines

    def tick(self, now: float) -> float:
        """On the hub's thread: end what runs for too long, read what nobody reads; when to look again."""
        nearest = math.inf
        for worker in tuple(self.workers.values()):
            call = worker.call
            if call is None or worker.state != BUSY:
                continue
            if worker.due <= now:
                self._time_out(worker, call)
                continue
            nearest = min(nearest, worker.due)
            if isinstance(call, ProcessTurn) and len(call.sent) > 1:
                if now - worker.started >= SOON:
                    call.engine.slow_down(call, worker)
                    if not call.sent:  # it had not even begun the first of them
                        self._go_on(worker, call, now)
                else:
                    nearest = min(nearest, worker.started + SOON)
            if not worker.attended and not worker.reader:
                if now - worker.started >= SOON:
                    self.attend_worker(worker)
                else:
                    nearest = min(nearest, worker.started + SOON)
        if self._was_lone:
            self._was_lone = False
            nearest = min(nearest, now + SOON)
        return min(nearest, self.tick_workers(now))

    def _time_out(self, worker: WorkerProcess, call: ProcessEntry) -> None:
        if isinstance(call, ProcessTurn):
            if self.doom(worker, "timeout", call=call):
                call.left = True
                self.admission.abandon_item()
                self.pump()
        elif self.admission.abandon(cast("Entry", call), timed_out=True):
            self.doom(worker, "timeout", call=call)
            self.pump()

    def watch(self, call: ProcessCall) -> None:
        """Bound the wait of a call in line; its run is bounded by the hub.

        Raises:
            UnderPressure: The system refused the thread that watches.
        """
        if call.queue_until is None:
            return
        try:
            call.due = TIMER.watch(call, max(0.0, call.queue_until - self.now()))
        except RuntimeError as error:
            call.state = ENDED
            raise self.admission.refusal(
                UnderPressure, f"the system refused the thread that watches deadlines ({error})"
            ) from error

    def _unwatch(self, call: ProcessCall) -> None:
        if call.due is not None:
            TIMER.unwatch(call, call.due)

    def check_deadline(self, call: ProcessCall) -> None:
        """On the timer's thread: the call has waited for as long as it may."""
        if call.state != WAITING or call.queue_until is None:
            return
        if self.now() < call.queue_until:
            self.watch(call)
        elif self.admission.withdraw(call):
            late = call.until is not None and call.queue_until == call.until
            call.refuse(waited_longer(self.admission) if late else self._queue_timeout())
        elif call.state == WAITING:
            self.watch(call)  # it is watched before it has its place

    def _queue_timeout(self) -> QueueTimeout:
        error = self.admission.refusal(
            QueueTimeout,
            "it waited in line for its whole queue_timeout; raise the limit, or send less",
        )
        assert isinstance(error, QueueTimeout)  # noqa: S101 - made as one
        return error

    # ------------------------------------------------------------ callers that leave

    def withdraw(self, call: ProcessCall) -> bool:
        """Take a call back that has not started; True if it never will."""
        if not self.admission.withdraw(call):
            return False
        self._unwatch(call)
        return True

    def abort(self, call: ProcessCall) -> bool:
        """Nobody waits for a running call any more: end its process; False if it has ended."""
        if not self.admission.abandon(call, timed_out=False):
            return call.state == RUNNING
        with self._lock:
            worker = call.worker
            homeless = worker is None and call in self.homeless
            if homeless:
                self.homeless.remove(call)
        if homeless:
            self._end_lost(call, None)
        elif worker is not None:
            self.doom(worker, "cancel", call=call)
        self._pump_soon()
        return True

    def give_up(self, call: ProcessCall) -> None:
        """Nobody waits for ``call`` any more: take it back, or end its process."""
        if not self.withdraw(call):
            self.abort(call)

    # ------------------------------------------------------------ the end

    def cancel_waiting(self) -> None:
        """Cancel the futures of submitted calls in line; refuse the rest."""
        for entry in self.admission.waiting():
            if isinstance(entry, ProcessSubmittedCall):
                entry.cancel()
            elif self.admission.withdraw(entry):
                entry.refuse(self.admission.refusal(PoolClosed, "it was shut down"))

    def close(self, *, refuse_waiting: bool, keep_turns: bool = False) -> None:
        """Admit nothing any more; see :meth:`Admission.close`."""
        self.admission.close(refuse_waiting=refuse_waiting, keep_turns=keep_turns)

    def stop_when_idle(self) -> None:
        """End the processes when what was accepted has ended."""
        self.admission.on_idle(lambda: HUB.post(self.stop))
        if not self._entered:
            self.stop()

    def let_go(self) -> None:
        """The pool was forgotten: what was accepted still runs, then the processes end."""
        # Its streams have been left, too; to cut them off would take a lock of each, here in a collection.
        self.close(refuse_waiting=False, keep_turns=True)
        self.stop_when_idle()

    def end_all(self) -> None:
        """End all calls that still run, with their processes."""
        for worker in tuple(self.workers.values()):
            self.doom(worker, "close")
        self._empty_homes(
            lambda: self.admission.refusal(PoolClosed, "it closed before the call had a process")
        )
        log.warning("pool %r is closed; its calls that still ran were ended", self.admission.name)

    def join(self, timeout: float | None) -> None:
        """Block until the processes of the stopped pool have ended."""
        if HUB.is_here():
            return  # it is the hub that ends them
        ended = threading.Lock()
        ended.acquire()
        self.on_end(ended.release)
        self.clock.acquire(ended, timeout)

    async def ajoin(self, timeout: float) -> None:
        """Wait for the same without holding the loop."""
        await wait_posted(self.on_end, timeout)

    def after_fork(self) -> None:
        """In a child: the pool has no process, and no call."""
        self.admission.after_fork(0)
        self._lone = None
        super().after_fork()

    def stats(self) -> PoolStats:
        """Return one consistent reading."""
        return self.admission.stats()
