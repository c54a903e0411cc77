"""What becomes of calls whose worker has ended, for whatever reason."""

import logging
import os
from typing import Any, Final, cast

from holdfast.errors import CallTimeout, Rejected
from holdfast.pools._deadline_left import Left as DeadlineLeft, ran_longer
from holdfast.pools._entry import ENDED, Entry
from holdfast.pools._process_calls import ProcessEntry
from holdfast.pools._process_loss import Death, OutOfMemory, lost, timed_out
from holdfast.pools._process_turn import ProcessTurn
from holdfast.pools._process_turns import Turns
from holdfast.pools._process_worker import DEAD, DOOMED, WorkerProcess

__all__ = ("Ends",)

log = logging.getLogger("holdfast.pools")

_MOST_ATTEMPTS: Final = 4


class Ends(Turns):
    """The sixth part of a pool's core."""

    _out_of_memory: OutOfMemory | None = None

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
        # Asked once for each death that nobody here has caused, whether or not it costs a call: what the
        # system has counted for this one must not be taken for the cause of the next.
        oom = self._was_out_of_memory(status) if why is None and not over else None
        with self._lock:
            call, worker.call = worker.call, None
        if call is not None:
            call.worker = None
            if not isinstance(call, ProcessTurn) and worker.written and worker.take_back():
                worker.written = False  # the process has not read it
            self._decide_lost(worker, call, Death(why, status, over, oom))
        self._bury(worker)
        self.pump()

    def _lose_if_dead(self, worker: WorkerProcess) -> None:
        if worker.status is not None and worker.state != DEAD:
            self.lose(worker, *worker.status)

    def _decide_lost(
        self,
        worker: WorkerProcess,
        call: ProcessEntry,
        death: Death,
    ) -> None:
        if isinstance(call, ProcessTurn):
            self._lose_turn(worker, call, death)
        elif death.why == "cancel":
            self._end_lost(call, None)
        elif death.why is None and not call.abandoned and self._may_run_again(worker, call, death):
            call.attempts += worker.written
            with self._lock:
                self.homeless.append(call)
        else:
            self._end_lost(call, self._loss(worker, call, death))

    @staticmethod
    def _may_run_again(worker: WorkerProcess, call: ProcessEntry, death: Death) -> bool:
        if not worker.written:
            return True  # it never started
        return call.idempotent and not death.greedy and call.attempts < _MOST_ATTEMPTS

    def _loss(
        self,
        worker: WorkerProcess,
        call: ProcessEntry,
        death: Death,
    ) -> Exception:
        """What the caller is told of the end of the worker."""
        if death.why == "timeout":
            return self._late(call, worker, stopped=True)
        name = self.admission.name
        error = lost(
            name,
            worker.pid,
            death.status,
            over=death.over,
            out_of_memory=death.out_of_memory,
            attempts=call.attempts,
        )
        if death.why == "close":
            error.add_note("the pool was closed, and the call had not ended in time")
        return error

    def _was_out_of_memory(self, status: int) -> bool | None:
        if self._out_of_memory is None or status < 0:
            return None
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
            error = CallTimeout(
                f"{ran_longer(self.admission.name, call.timeout)}; {end}", stopped=stopped
            )
        return error
