"""A process pool without its face: calls go in, deadlines are kept, outcomes come out.

What a call may do is its admission's to say, which process runs it its crew's. Here is what happens to
it on the way: it is pickled, given a place, written to a worker, watched, taken back or ended with its
process, and its outcome is brought to whoever waits.

Guarantees: a call's outcome is decided once, under the pool's lock: by its reply, or by the end of its
worker, for which there is one reason. A call whose bytes were not written whole has not started. An
interrupt (Ctrl-C) in a thread that submits or waits loses no reply and no permit: what it left half done
is finished on the hub's thread.
"""

import logging
import math
import threading
from typing import Any, Final, cast

from holdfast.errors import CallTimeout, PoolClosed, QueueTimeout, Rejected, UnderPressure
from holdfast.pools._admission import Admission
from holdfast.pools._child import wire
from holdfast.pools._deadline_left import came_late, ran_longer, tighter, waited_longer
from holdfast.pools._deadline_left import Left as DeadlineLeft
from holdfast.pools._drain import wait_posted
from holdfast.pools._entry import ENDED, RUNNING, WAITING, Entry
from holdfast.pools._forked import forks
from holdfast.pools._process_calls import ProcessCall, ProcessEntry, ProcessSubmittedCall
from holdfast.pools._process_crew import CrewOptions
from holdfast.pools._process_direct import SOON, DirectWait
from holdfast.pools._process_hub import HUB
from holdfast.pools._process_loss import OutOfMemory, lost, timed_out
from holdfast.pools._process_payload import read_reply
from holdfast.pools._process_turn import ProcessTurn
from holdfast.pools._process_worker import BUSY, DEAD, DOOMED, WorkerProcess
from holdfast.pools._stats import PoolStats
from holdfast.pools._timer import TIMER

__all__ = ("ProcessCore",)

log = logging.getLogger("holdfast.pools")

_MOST_ATTEMPTS: Final = 4

class ProcessCore(DirectWait):
    """A pool's admission and its processes. Every method may be called from any thread."""

    def __init__(self, admission: Admission, options: CrewOptions, clock: Any) -> None:
        super().__init__(admission, options, clock.now)
        self.clock = clock
        self.end = admission.end
        self._out_of_memory: OutOfMemory | None = None
        forks(self)

    # ------------------------------------------------------------ calls in

    def submit(self, call: ProcessCall, *, may_block: bool, prompt: bool) -> bool:
        """Give ``call`` a place, and a worker if one is idle; False if it is still blocked.

        Args:
            call: Its payload is made.
            may_block: Whether it may be blocked before a full queue.
            prompt: Whether the caller may be about to wait for it, in this thread.
        """
        admission, idle = self.admission, self.idle
        if admission.timings.is_due():
            call.waits_since = self.now()
        counters = admission.counters
        worker = None
        with self._lock:
            in_flight = admission.in_flight
            if (
                idle
                and in_flight < admission.ceiling
                and not admission._line  # noqa: SLF001 - one lock for both halves of the pool
                and admission.gate is None
                and not admission.closed
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
            return self._line_up(call, may_block=may_block)
        try:
            self._send(worker, call, prompt=prompt and in_flight == 1)
        except BaseException:  # an interrupt: the caller will never see the call
            self._drop_at_once(worker, call)
            raise
        if not idle and len(self.workers) < admission.ceiling + self.options.spares:
            self.pump()  # a spare for the next one
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
            call.state = ENDED  # before the watch ends: a deadline that comes now finds nothing to do
            self._unwatch(call)
            raise
        if dropped is not None:
            admission.refuse_dropped(dropped)
        self.pump()
        return queued

    def submit_blocking(self, call: ProcessSubmittedCall, *, may_block: bool) -> None:
        """Like :meth:`submit`; blocks this thread while the queue is full."""
        if self.submit(call, may_block=may_block, prompt=may_block):
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

    # ------------------------------------------------------------ to the worker

    def deliver(self, pairs: list[tuple[WorkerProcess, ProcessEntry]]) -> None:
        """Send the calls to the workers that they were given."""
        for worker, call in pairs:
            self._send(worker, call, prompt=False)

    def _send(self, worker: WorkerProcess, call: ProcessEntry, *, prompt: bool) -> None:
        """Write the call; what can't be pickled fails by itself, who is too late never starts."""
        now = self.now()
        if isinstance(call, ProcessTurn):
            self._send_turn(worker, call, now)
            return
        timeout = call.timeout
        if call.until is not None:
            left = call.until - now
            if left <= 0.0:
                self._refuse_late(worker, call)
                return
            call.timeout = timeout = tighter(timeout, left)
        worker.started = now
        worker.due = due = math.inf if timeout is None else now + timeout
        self._choose_reader(worker, prompt=prompt)
        if isinstance(call, ProcessSubmittedCall):
            call.mark_running()
        error: Exception | None = None
        written = False
        try:
            self.write(worker, call)
            written = True
        except BrokenPipeError:
            pass  # it has died, and has not read the call
        except Exception as failure:  # noqa: BLE001 - pickling runs anybody's code
            error = failure
        worker.written = written
        worker.sending = False
        if error is not None:
            self._unsent(worker, call, error)
        elif worker.status is not None:
            HUB.post(lambda: self._lose_if_dead(worker))
        if due < HUB.wakes_at:
            HUB.need(due)

    @staticmethod
    def write(worker: WorkerProcess, call: ProcessEntry) -> None:
        """Write the call into the worker's pipe, or into the memory that is shared with it."""
        payload = call.payload
        if type(payload) is bytes:
            worker.send(call.kind, payload)
        elif payload is None:
            layout = worker.arena.dump((call.fn, call.args, call.kwargs))
            worker.send(call.kind, layout)
        else:
            worker.send(call.kind, worker.arena.put(*payload))

    def _unsent(self, worker: WorkerProcess, call: ProcessEntry, error: Exception) -> None:
        error.add_note("raised while the call was sent, which never started")
        HUB.post(lambda: self._end_call(worker, call, None, error))

    def _refuse_late(self, worker: WorkerProcess, call: ProcessEntry) -> None:
        worker.sending = False
        error = came_late(self.admission)
        entry = cast("Entry", call)
        with self._lock:
            worker.call = None
            call.worker = None
        then = self.admission.give_back_unused(entry)
        self._finish(call, None, error)
        HUB.post(lambda: self._next(worker, then))

    # ------------------------------------------------------------ back from the worker

    def hear_worker(self, worker: WorkerProcess) -> None:
        """There is something to read, and it is the hub's to read it."""
        with self._lock:
            if worker.reader or worker.state == DEAD or not worker.attended:
                return
        if not worker.read():
            HUB.unlisten(worker.reading_fd)  # its end is told by the zygote
            worker.listened = worker.attended = False
            return
        self.take_messages(worker)

    def take_messages(self, worker: WorkerProcess) -> None:
        """Act on what has been read of a worker."""
        if isinstance(turn := worker.call, ProcessTurn):
            self._hear_turn(worker, turn)
            return
        while (message := worker.take_message()) is not None:
            kind, body = message
            if kind == wire.READY:
                self.note_ready(worker)
            elif kind == wire.BROKEN:
                value, error = read_reply(wire.ERROR, body, worker.arena)
                del value
                self.note_broken(worker, error or RuntimeError("unknown"))
            else:
                call = worker.call
                if call is not None:
                    value, error = read_reply(kind, body, worker.arena)
                    if call.kind & wire.NEEDS_MAIN and error is None:
                        self.need_main()
                    self._end_call(worker, call, value, error)

    def _end_call(
        self, worker: WorkerProcess, call: ProcessEntry, value: Any, error: BaseException | None
    ) -> None:
        """The call has its outcome, if it is still the worker's; the worker takes the next one."""
        with self._lock:
            if worker.call is not call or worker.state == DOOMED:
                return
            worker.call = None
            worker.due = math.inf
            call.worker = None
            ran = worker.started
        self._note_times(call, ran)
        then = self.end(cast("Entry", call), error is None)
        self._finish(call, value, error)
        del value
        self._next(worker, then)

    # ------------------------------------------------------------ turns of streams

    def _send_turn(self, worker: WorkerProcess, turn: ProcessTurn, now: float) -> None:
        """Write the first items of a turn."""
        worker.started = now
        self._choose_reader(worker, prompt=False)
        worker.due = math.inf if turn.timeout is None else now + turn.timeout
        going = self._send_items(worker, turn, now)
        if worker.due < HUB.wakes_at:
            HUB.need(worker.due)
        if not going:
            self._end_turn(worker, turn)

    def _send_items(self, worker: WorkerProcess, turn: ProcessTurn, now: float) -> bool:
        """Write further items; whether anything is with the worker then."""
        worker.written = True
        try:
            going = turn.send(worker, now, shared=self.options.shared)
        except BrokenPipeError:
            going = True  # what becomes of it is decided when the worker is buried
        except Exception as error:  # noqa: BLE001 - pickling runs anybody's code
            item = turn.sent.pop()
            error.add_note("raised while the item was sent, which never started")
            turn.engine.put_outcome(item, None, error, 0.0)
            going = bool(turn.sent)
        worker.sending = False
        if worker.status is not None:
            HUB.post(lambda: self._lose_if_dead(worker))
        if len(turn.sent) > 1 and now + SOON < HUB.wakes_at:
            HUB.need(now + SOON)
        return going

    def _hear_turn(self, worker: WorkerProcess, turn: ProcessTurn) -> None:
        """Take all replies that are there, then send further items."""
        engine, heard, began = turn.engine, 0, worker.started
        now = self.now()
        while (message := worker.take_message()) is not None:
            kind, body = message
            value, error = read_reply(kind, body, worker.arena)
            with self._lock:
                if worker.call is not turn or worker.state not in {BUSY, DEAD} or not turn.sent:
                    return
                item = turn.sent.popleft()
                worker.started = now
                worker.due = math.inf if turn.timeout is None else now + turn.timeout
                worker.calls += heard > 0
            heard += 1
            engine.put_outcome(item, value, error, now - item.began)
            del value
        if not heard:
            return
        engine.adapt(heard, now - began)
        timings = self.admission.timings
        if timings.is_due():
            timings.record(-1.0, (now - began) / heard, heard)
        turn.retired = turn.retired or self.is_worn(worker)
        if 2 * len(turn.sent) > engine.depth:
            return
        self._go_on(worker, turn, now)

    def _go_on(self, worker: WorkerProcess, turn: ProcessTurn, now: float) -> None:
        """Send the turn's next items, or end it."""
        with self._lock:
            if worker.call is not turn or worker.state != BUSY:
                return
            worker.sending = True
        if not self._send_items(worker, turn, now):
            self._end_turn(worker, turn)

    def _end_turn(self, worker: WorkerProcess, turn: ProcessTurn) -> None:
        """A turn is over: its permit goes on, and so does its worker."""
        with self._lock:
            worker.sending = False
            if worker.call is not turn:
                return
            worker.call = None
            worker.due = math.inf
            turn.worker = None
            turn.state = ENDED
        then = self.admission.give_back()
        if turn.left:
            self.admission.unabandon_item()
        turn.engine.end_turn(turn)
        self._next(worker, then)
        self._lose_if_dead(worker)

    def abort_turn(self, turn: ProcessTurn) -> None:
        """Nobody waits for the turn's item any more: end its process."""
        with self._lock:
            worker = turn.worker
            busy = worker is not None and worker.call is turn and worker.state == BUSY
            if busy:
                turn.left = True
        if busy and worker is not None:
            self.admission.abandon_item(timed_out=False)
            self.doom(worker, "cancel", call=turn)
            self.pump()

    def _lose_turn(
        self, worker: WorkerProcess, turn: ProcessTurn, why: str | None, status: int, *, over: bool
    ) -> None:
        """Its worker is dead."""
        turn.state = ENDED
        then = cast("ProcessEntry | None", self.admission.give_back())
        if turn.left:
            self.admission.unabandon_item()
        if then is not None:
            with self._lock:
                self.homeless.appendleft(then)
        engine, back = turn.engine, turn.take_back(worker)
        if turn.sent and why != "cancel":
            item = turn.sent.popleft()
            took = self.now() - item.began
            loss = self._loss(worker, turn, why, status, over=over)
            engine.put_outcome(item, None, loss, took)
        engine.put_back(*turn.sent, *back)
        engine.end_turn(turn)

    def _note_times(self, call: ProcessEntry, ran: float) -> None:
        if call.waits_since >= 0.0:
            timings, now = self.admission.timings, self.now()
            timings.record(max(0.0, ran - call.waits_since), now - ran, timings.stride)

    def _next(self, worker: WorkerProcess, then: Entry | None) -> None:
        """The worker is free; ``then`` has got its permit."""
        following = cast("ProcessEntry | None", then)
        pairs: list[tuple[WorkerProcess, ProcessEntry]] = []
        with self._lock:
            if following is not None:
                self.homeless.appendleft(following)
            if worker.state == BUSY:
                if following is not None and not self._stopping and not self.is_worn(worker):
                    self.homeless.popleft()
                    self.give_locked(worker, following)
                    pairs = [(worker, following)]
                else:
                    self.settle_locked(worker)
            if not pairs:
                pairs = self.match_locked()
            short = self.shortage_locked()
        if pairs:
            self.deliver(pairs)
        if short:
            self.hire(short)

    def _finish(self, call: ProcessEntry, value: Any, error: BaseException | None) -> None:
        """Bring the outcome to whoever waits, if anybody still does."""
        entry = cast("ProcessCall", call)
        entry.let_go()
        self._unwatch(entry)
        if call.told or (call.abandoned and not isinstance(error, CallTimeout)):
            entry.drop_result()
            return
        call.told = True
        call.finish(value, error)

    # ------------------------------------------------------------ ends of workers

    def lose(self, worker: WorkerProcess, status: int, *args: Any, over: bool = False) -> None:
        """The worker is dead, with all that it had started; what becomes of its call?"""
        over = bool(args[0]) if args else over
        with self._lock:
            worker.status = (status, over)
            if worker.state == DEAD or worker.sending or worker.reader:
                return  # whoever writes or reads just now comes here when he has done
        if worker.state != DOOMED:
            worker.read_rest()
            if worker.pending:
                self.take_messages(worker)
        self.count_stillborn(worker, status)
        why = worker.why
        with self._lock:
            call, worker.call = worker.call, None
        if call is not None:
            call.worker = None
            if not isinstance(call, ProcessTurn) and worker.written and worker.take_back():
                worker.written = False  # the process has not read it
            self._decide_lost(worker, call, why, status, over=over)
        self._bury(worker)
        self.pump()

    def _lose_if_dead(self, worker: WorkerProcess) -> None:
        if worker.status is not None and worker.state != DEAD:
            self.lose(worker, *worker.status)

    def _decide_lost(
        self, worker: WorkerProcess, call: ProcessEntry, why: str | None, status: int, *, over: bool
    ) -> None:
        if isinstance(call, ProcessTurn):
            self._lose_turn(worker, call, why, status, over=over)
        elif why == "cancel":
            self._end_lost(call, None)
        elif why is None and not call.abandoned and self._may_run_again(worker, call, over=over):
            call.attempts += worker.written
            with self._lock:
                self.homeless.append(call)
        else:
            self._end_lost(call, self._loss(worker, call, why, status, over=over))

    @staticmethod
    def _may_run_again(worker: WorkerProcess, call: ProcessEntry, *, over: bool) -> bool:
        if not worker.written:
            return True  # it never started
        return call.idempotent and not over and call.attempts < _MOST_ATTEMPTS

    def _loss(
        self, worker: WorkerProcess, call: ProcessEntry, why: str | None, status: int, *, over: bool
    ) -> Exception:
        """What the caller is told of the end of the worker."""
        if why == "timeout":
            return self._late(call, worker, stopped=True)
        name = self.admission.name
        oom = None if why == "close" else self._was_out_of_memory(status)
        error = lost(
            name, worker.pid, status, over=over, out_of_memory=oom, attempts=call.attempts
        )
        if why == "close":
            error.add_note("the pool was closed, and the call had not ended in time")
        return error

    def _was_out_of_memory(self, status: int) -> bool | None:
        if self._out_of_memory is None or status < 0:
            return None
        import os  # noqa: PLC0415 - rare

        return self._out_of_memory.was_it(os.waitstatus_to_exitcode(status))

    def note_ready(self, worker: WorkerProcess) -> None:
        """It has said its first word."""
        if self._out_of_memory is None:
            self._out_of_memory = OutOfMemory()
        super().note_ready(worker)

    def _end_lost(self, call: ProcessEntry, error: BaseException | None) -> None:
        """The permit comes back without a worker: whoever gets it waits for another one."""
        then = cast("ProcessEntry | None", self.end(cast("Entry", call), False))
        if then is not None:
            with self._lock:
                self.homeless.appendleft(then)
        self._finish(call, None, error)

    def refuse_homeless(self, entry: ProcessEntry, error: Exception) -> None:
        """A call that has its permit will never have a worker."""
        if isinstance(entry, ProcessTurn):
            entry.state = ENDED
            self.admission.give_back()
            entry.engine.turn_refused(cast("Rejected", error))
            return
        call = cast("Entry", entry)
        if entry.attempts > 1:
            self.end(call, False)
        else:
            self.admission.give_back_unused(call)
        self._finish(entry, None, error)

    def stuck(self, worker: WorkerProcess) -> None:
        """The worker does not end: its caller is told, its permit stays out."""
        call = worker.call
        log.error("pool %r: worker process %s does not end", self.admission.name, worker.pid)
        if call is not None and not call.told and worker.why == "timeout":
            call.told = True
            call.finish(None, self._late(call, worker, stopped=False))

    def _late(self, call: ProcessEntry, worker: WorkerProcess, *, stopped: bool) -> CallTimeout:
        error = timed_out(self.admission.name, call.timeout, worker.pid, stopped=stopped)
        if isinstance(call.timeout, DeadlineLeft):
            end = str(error).partition("; ")[2]
            error = CallTimeout(f"{ran_longer(self.admission.name, call.timeout)}; {end}", stopped=stopped)
        return error

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
        self.pump()
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

    def close(self, *, refuse_waiting: bool) -> None:
        """Admit nothing any more; what waits is refused, or still gets its turn."""
        self.admission.close(refuse_waiting=refuse_waiting)

    def stop_when_idle(self) -> None:
        """End the processes when what was accepted has ended."""
        self.admission.on_idle(lambda: HUB.post(self.stop))
        if not self._entered:
            self.stop()

    def let_go(self) -> None:
        """The pool was forgotten: what was accepted still runs, then the processes end."""
        self.close(refuse_waiting=False)
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
