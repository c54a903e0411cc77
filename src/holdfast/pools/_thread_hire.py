"""Who is sent to a thread pool's line: an idle worker, a new one, or one whose thread another pool passes on.

Purpose: bring a worker on its way where a call may start, and no more than one at a time.

Guarantees: no more workers than the admission's ceiling, nor than the process's supply has slots; a call
in line that may start has a worker on its way to it, or its pool is in line for a slot.

States of the way: nobody searches -> ``searcher`` is set, under the lock -> it was woken, or its thread
started, without the lock -> it arrives at the line, where it takes itself out of the idle ones, and
nobody searches.

Interrupts. Ctrl-C may strike a thread that sends a worker between any two steps. The first step is the
one that says who is sent, so whoever was interrupted can do the rest again: :meth:`recover`. Waking
twice does no harm, as a worker looks for itself what there is to do. Whether a thread was started can't
be told; so a worker that has not begun is void, and its thread, if there is one, ends at once. Should
even that be interrupted, an idle worker finds out that it was sent when it has been idle for long.
"""

import logging
import threading
from abc import ABC, abstractmethod

from holdfast._core.clock import Clock
from holdfast._core.latch import open_latch
from holdfast.errors import UnderPressure
from holdfast.pools._admission import Admission
from holdfast.pools._entry import RUNNING, Entry
from holdfast.pools._gate_timer import GateTimer
from holdfast.pools._idle import IdleStack
from holdfast.pools._pressure import tell
from holdfast.pools._supply import SUPPLY, serve_in_turn
from holdfast.pools._threads import name_thread, start_thread
from holdfast.pools._timer import TIMER, Later
from holdfast.pools._worker import Work, Worker

__all__ = ("Hiring",)

log = logging.getLogger("holdfast.pools")


class Hiring(ABC):
    """The workers of one pool, and which of them is on its way."""

    __slots__ = (
        "__weakref__",
        "_gate",
        "_lock",
        "_min_workers",
        "_pleading",
        "_prefix",
        "_started",
        "_stopping",
        "_workers",
        "admission",
        "broken",
        "clock",
        "denied",
        "idle",
        "now",
        "refused",
        "searcher",
    )

    def __init__(
        self, admission: Admission, *, clock: Clock, min_workers: int, thread_name_prefix: str
    ) -> None:
        self.admission = admission
        self.clock = clock
        self.now = clock.now
        self._min_workers = min_workers
        self._prefix = thread_name_prefix
        self._lock = admission.lock
        self.idle = IdleStack()
        self._workers: set[Worker] = set()
        self._started = 0
        self.searcher: Worker | None = None
        self._stopping = False
        self._gate = GateTimer(admission, self.hire)
        self._pleading = False  # it waits for a slot
        self.denied = (
            False  # a slot has just been denied: plead() is to be called, without the lock
        )
        self.refused = 0
        self.broken: BaseException | None = None

    # ------------------------------------------------------------ whom to send

    def hand_over(self, call: Entry) -> Worker | None:
        """Under the lock: if ``call`` may start at once, the worker on the hot seat has it; else None.

        It does not stand in line, so that its worker needs no look at the line to run it. That worker
        is the searcher all the same, until it has gone on: a burst of calls wakes no crowd.
        """
        admission, idle = self.admission, self.idle
        worker, in_flight = idle.hot, admission.in_flight
        if worker is None or self.searcher is not None or SUPPLY.starved:
            return None
        if in_flight >= admission.ceiling or admission._line or not admission.room:  # noqa: SLF001 - one lock for both halves of the pool
            return None
        # No call from here on: an interrupt comes before all of it, or after.
        counters = admission.counters
        counters.submitted += 1
        admission.in_flight = in_flight = in_flight + 1
        if in_flight > counters.peak_in_flight:
            counters.peak_in_flight = in_flight
        call.state = RUNNING
        worker.entry = call
        self.searcher = worker
        idle.hot = None
        return worker

    def needed(self) -> Worker | None:
        """Under the lock: the worker to send for an entry that has just been put in line, or None.

        Asked only if nobody searches and a permit is free.
        """
        if self._gate.armed:
            return None
        return self._next_worker()

    def hire(self, call: Work | None = None) -> None:
        """Send a worker to the line, if somebody in it may start and no worker is on its way.

        Raises:
            UnderPressure: The system refused the first thread of this pool, and ``call`` was taken
                back: it never started.
        """
        try:
            with self._lock:
                if self.searcher is not None or self._gate.armed or not self.admission.has_work():
                    return
                worker = self._next_worker()
            sent = worker is None or self.send(worker)
        except BaseException:
            self.recover()
            raise
        if not sent:
            self.refuse_threadless(call)
        elif worker is None and self.denied:
            self.plead()

    def _next_worker(self) -> Worker | None:
        """Under the lock: pick the worker to send, the most recently idle or a new one."""
        worker = self.idle.newest()
        if worker is not None:
            self.searcher = worker
            return worker
        count = len(self._workers)
        if count >= self.admission.ceiling or self.broken is not None:
            return None
        return self._new_worker(count)

    def _new_worker(self, count: int) -> Worker | None:
        worker = self.searcher = Worker(self._started)
        if SUPPLY.take(self, worker, count, self._min_workers, self.now()):
            return self._enter(worker)
        self.searcher = None
        self.denied = not self._pleading
        self._pleading = True
        return None

    def _enter(self, worker: Worker) -> Worker:
        self._pleading = False
        self._workers.add(worker)
        self._started += 1
        return worker

    # ------------------------------------------------------------ sending

    def send(self, worker: Worker) -> bool:
        """Without the lock: wake ``worker``, or start its thread; False if the system refuses."""
        if worker.fresh:
            return self._start(worker)
        try:  # noqa: SIM105 - a context manager would be two calls more
            worker.latch.release()
        except RuntimeError:  # it was woken twice, and has not been asleep since
            pass
        return True

    def _start(self, worker: Worker) -> bool:
        worker.fresh = False
        try:
            start_thread(self._name(worker), lambda: serve_in_turn(self, worker))
        except RuntimeError as error:
            self._note_refusal(worker, error)
            return False
        SUPPLY.granted()
        return True

    def begin(self, worker: Worker) -> bool:
        """In the thread of a new worker, first of all: whether it is still wanted."""
        with self._lock:
            worker.thread = threading.current_thread()
            worker.begun = not worker.void
            return worker.begun

    @abstractmethod
    def serve(self, worker: Worker) -> None:
        """Run calls in this thread until the worker leaves the pool."""

    def _name(self, worker: Worker) -> str:
        return f"{self._prefix}{worker.number}"

    def _note_refusal(self, worker: Worker, error: RuntimeError) -> None:
        with self._lock:
            self._give_up(worker)
            self.refused += 1
        tell("refused_thread")
        pause = SUPPLY.refused(self.now())
        text = "pool %r: the system refused a thread (%s); %d serve the queue"
        log.warning(text, self.admission.name, str(error), len(self._workers))
        TIMER.remind(Later(self.hire), pause)

    def _give_up(self, worker: Worker) -> None:
        """Under the lock: a worker that has not begun never will."""
        if self.searcher is worker:
            self.searcher = None
        if worker.void:
            return
        worker.void = True
        self._workers.discard(worker)
        if not self._workers:
            self.idle.put_seat_away()
        if worker.slot:
            SUPPLY.give_back(reserved=len(self._workers) < self._min_workers)

    def recover(self) -> None:
        """This thread was interrupted while it sent a worker, perhaps: see to it that one comes."""
        with self._lock:
            worker = self.searcher
            if worker is not None and not worker.begun:
                self._give_up(worker)
                worker = None
        if worker is not None:
            open_latch(worker.latch)
        else:
            self.hire()
        if self._pleading:
            self.plead()

    # ------------------------------------------------------------ the supply of slots

    def plead(self) -> None:
        """Without the lock: the supply has denied a slot. Is there an idle worker somewhere?"""
        self.denied = False
        SUPPLY.reclaim()

    def lend(self) -> bool:
        """Let an idle worker go, if there is one to spare; whether there was."""
        with self._lock:
            worker = self.idle.oldest()
            if worker is None or worker is self.searcher or not self._can_spare_one():
                return False
            worker.leaving = True
            self.idle.take_out(worker)
        open_latch(worker.latch)
        return True

    @property
    def starves(self) -> bool:
        """Whether it waits for a slot; what the supply has can change at any time."""
        return self._pleading

    def _can_spare_one(self) -> bool:
        """Under the lock: whether a worker may leave to a pool that needs it more."""
        return len(self._workers) > self._min_workers

    def adopt(self) -> Worker | None:
        """In a thread whose slot was passed on to this pool: its new place, if it is of use."""
        admission = self.admission
        with self._lock:
            self._pleading = False
            if self.searcher is not None or self._stopping or self.broken is not None:
                return None
            if len(self._workers) >= admission.ceiling or not admission.has_work():
                return None
            if len(self._workers) < self._min_workers:
                SUPPLY.fill()
            worker = self.searcher = Worker(self._started, threading.current_thread())
            self._enter(worker)
        name_thread(self._name(worker))
        return worker

    def refuse_threadless(self, call: Work | None) -> None:
        """No thread can be had. If the pool has none, and no other has one to pass on, nobody comes."""
        with self._lock:
            if self._workers:
                return
            self._pleading = SUPPLY.others_may_come()
            if self._pleading:
                SUPPLY.wait(self)
        if self._pleading:
            self.plead()
            return
        why = (
            "the system refused to start its first thread; raise the limit on threads "
            "(ulimit -u, pids.max), or run fewer"
        )
        for entry in self.admission.waiting():
            if entry is not call and self.admission.withdraw(entry):
                entry.refuse(self.admission.refusal(UnderPressure, why))
        if call is not None and self.admission.withdraw(call):
            raise self.admission.refusal(UnderPressure, why)
