"""Calls on the way to their workers and back.

Guarantees: a call's outcome is decided once, under the pool's lock: by its reply, or by the end of its
worker, for which there is one reason. A call whose bytes were not written whole has not started.
"""

import math
import os
from abc import abstractmethod
from typing import Any, Final, cast

from holdfast.errors import CallTimeout
from holdfast.pools._child import wire
from holdfast.pools._deadline_left import came_late, tighter
from holdfast.pools._entry import Entry
from holdfast.pools._process_calls import ProcessCall, ProcessEntry, ProcessSubmittedCall
from holdfast.pools._process_direct import SOON, DirectWait
from holdfast.pools._process_hub import HUB
from holdfast.pools._process_payload import read_reply
from holdfast.pools._process_turn import ProcessTurn
from holdfast.pools._process_worker import BUSY, DEAD, DOOMED, WorkerProcess

__all__ = ("Delivery",)

_write: Final = os.write


class Delivery(DirectWait):
    """The fourth part of a pool's core."""

    end: Any  # of the admission

    # ------------------------------------------------------------ done by the other parts

    @abstractmethod
    def _send_turn(self, worker: WorkerProcess, turn: ProcessTurn, now: float) -> None:
        """See where it is done."""

    @abstractmethod
    def _hear_turn(self, worker: WorkerProcess, turn: ProcessTurn) -> None:
        """See where it is done."""

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

    def _send_plainly(self, worker: WorkerProcess, call: ProcessSubmittedCall) -> None:
        """Do the same for a small call that is alone in flight, whose caller may read the reply."""
        if call.until is not None:
            self._send(worker, call, prompt=True)
            return
        worker.started = now = self.now()
        guard = now + SOON
        if call.timeout is not None:
            worker.due = due = now + call.timeout
            if due < guard:
                guard = due
        self._lone = worker
        self._was_lone = True
        call._began = True  # noqa: SLF001 - a call of ours
        worker.written = False
        try:
            payload: Any = call.payload  # bytes
            if len(payload) <= worker.room:
                done = _write(worker.writing_fd, payload)
                if done < len(payload):
                    worker.send_raw(payload[done:])
            else:
                worker.send_message(payload)
            worker.written = True
        except BrokenPipeError:
            pass  # it has died, and has not read the call
        worker.sending = False
        if worker.status is not None:
            HUB.post(lambda: self._lose_if_dead(worker))
        if guard < HUB.wakes_at:
            HUB.need(guard)

    @staticmethod
    def write(worker: WorkerProcess, call: ProcessEntry) -> None:
        """Write the call into the worker's pipe, or into the memory that is shared with it."""
        payload = call.payload
        if type(payload) is bytes:
            worker.send_message(payload)
        elif payload is None:
            layout = worker.arena.dump((call.fn, call.args, call.kwargs))
            worker.send(call.kind, layout)
        else:
            data, buffers = cast("tuple[bytes, list[Any]]", payload)
            worker.send(call.kind, worker.arena.put(data, buffers))

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
        if call.pace is not None and isinstance(error, Exception):
            call.pace.failed(error)  # before its permit, and the rate, are somebody else's
        self._note_times(call, ran)
        then = self.end(cast("Entry", call), error is None)
        self._next(
            worker, then
        )  # first: the worker waits, whoever is woken would take the interpreter
        self._finish(call, value, error)

    def _note_times(self, call: ProcessEntry, ran: float) -> None:
        if call.waits_since >= 0.0:
            timings, now = self.admission.timings, self.now()
            timings.record(max(0.0, ran - call.waits_since), now - ran, timings.stride)

    def _next(self, worker: WorkerProcess, then: Entry | None) -> None:
        """The worker is free; ``then`` has got its permit."""
        following = cast("ProcessEntry | None", then)
        if following is not None and not self.homeless and not self.is_worn(worker):
            with self._lock:
                given = worker.state == BUSY and not self._stopping
                if given:
                    self.give_locked(worker, following)
            if given:
                self._send(worker, following, prompt=False)
                return
        pairs: list[tuple[WorkerProcess, ProcessEntry]] = []
        with self._lock:
            if following is not None:
                self.homeless.appendleft(following)
            if worker.state == BUSY:
                self.settle_locked(worker)
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
        call.finish(value, error, HUB.wakes if HUB.is_here() else None)
