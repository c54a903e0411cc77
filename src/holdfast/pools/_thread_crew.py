"""The workers of a thread pool: started when nobody idle can take a call, gone when idle for long.

Purpose: bring claimed calls to threads with as few wake-ups as possible.

Guarantees: no more threads than the admission's ceiling, nor than the process's supply has slots; a
call in line that may start has a worker on its way to it, or its pool is in line for a slot; an idle
worker ends itself after ``idle_timeout``, without waiting for a call.

States of a worker: SEARCHING (woken or started, on its way to the line) -> BUSY (runs calls, takes
the next one itself when it ends one) -> IDLE (on the stack, waits on its own lock) -> SEARCHING ...
It leaves when it was idle for long or the pool has closed, or, with a slot that another pool needs
more, between two calls or when it was asked to while idle; then its thread serves that pool. At most
one worker searches at a time; when it has found a call and sees another one that may start, it sends
the next worker. So a burst of short calls is eaten by one or two threads, and a burst of blocking
calls gets one thread each.

Why no call is left lying: a submitter puts its call in line first and looks at ``_searching``
second; a searcher clears ``_searching`` under the lock, and only when the line has nothing to claim.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

from holdfast._core.clock import Clock, Latch
from holdfast.errors import UnderPressure
from holdfast.pools._admission import Admission
from holdfast.pools._broken import BrokenPool
from holdfast.pools._entry import Entry
from holdfast.pools._gate_timer import GateTimer
from holdfast.pools._idle import IdleStack
from holdfast.pools._supply import SUPPLY, serve_in_turn
from holdfast.pools._threads import name_thread, start_thread
from holdfast.pools._timer import TIMER, patient
from holdfast.pools._worker import Work, Worker

__all__ = ("ThreadCrew",)

log = logging.getLogger("holdfast.pools")


class _Later:
    """Does something for a crew on the timer's thread."""

    __slots__ = ("_do",)

    def __init__(self, do: Callable[[], None]) -> None:
        self._do = do

    def expire(self) -> None:
        self._do()


class ThreadCrew:
    """The worker threads of one pool. Every method may be called from any thread."""

    __slots__ = (
        "__weakref__",
        "_ending",
        "_gate",
        "_idle_timeout",
        "_initializer",
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
        "searching",
    )

    def __init__(
        self,
        admission: Admission,
        *,
        clock: Clock,
        idle_timeout: float,
        min_workers: int,
        thread_name_prefix: str,
        initializer: Callable[[], object] | None,
    ) -> None:
        self.admission = admission
        self.clock = clock
        self.now = clock.now
        self._idle_timeout = idle_timeout
        self._min_workers = min_workers
        self._prefix = thread_name_prefix
        self._initializer = initializer
        self._lock = admission.lock
        self.idle = IdleStack()
        self._workers: set[Worker] = set()
        self._ending: list[Worker] = []
        self._started = 0
        self.searching = False
        self._stopping = False
        self._gate = GateTimer(admission, self.hire)
        self._pleading = False  # it waits for a slot
        self.denied = (
            False  # a slot has just been denied: plead() is to be called, without the lock
        )
        self.refused = 0
        self.broken: BaseException | None = None
        SUPPLY.enter(self, min_workers)

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers)

    def needed(self) -> Worker | None:
        """Under the lock: the worker to send for an entry that has just been put in line, or None."""
        admission = self.admission
        if self.searching or self._gate.armed or admission.in_flight >= admission.ceiling:
            return None
        return self._next_worker()

    def hire(self, call: Work | None = None) -> None:
        """Send a worker to the line, if somebody in it may start and no worker is on its way.

        Raises:
            UnderPressure: The system refused the first thread of this pool, and ``call`` was taken
                back: it never started.
        """
        with self._lock:
            if self.searching or self._gate.armed or not self.admission.has_work():
                return
            worker = self._next_worker()
        if worker is None:
            if self.denied:
                self.plead()
        elif not self.send(worker):
            self.refuse_threadless(call)

    def _next_worker(self) -> Worker | None:
        """Under the lock: pick the worker to send, the most recently idle or a new one."""
        if self.idle:
            worker = self.idle.pop()
            worker.searching = self.searching = True
            return worker
        count = len(self._workers)
        if count >= self.admission.ceiling or self.broken is not None:
            return None
        if not SUPPLY.take(self, count, self._min_workers, self.now()):
            self.denied = not self._pleading
            self._pleading = True
            return None
        return self._new_worker(None)

    def _new_worker(self, thread: threading.Thread | None) -> Worker:
        worker = Worker(self._started, thread)
        self._pleading = False
        self._workers.add(worker)
        self._started += 1
        self.searching = True
        return worker

    def send(self, worker: Worker) -> bool:
        """Without the lock: wake ``worker``, or start its thread; False if the system refuses."""
        if not worker.fresh:
            worker.latch.release()
            return True
        worker.fresh = False
        try:
            worker.thread = start_thread(self._name(worker), lambda: serve_in_turn(self, worker))
        except RuntimeError as error:
            self._note_refusal(worker, error)
            return False
        SUPPLY.granted()
        return True

    def _name(self, worker: Worker) -> str:
        return f"{self._prefix}{worker.number}"

    def _note_refusal(self, worker: Worker, error: RuntimeError) -> None:
        with self._lock:
            self._workers.discard(worker)
            self.idle.put_seat_away()
            SUPPLY.give_back(reserved=len(self._workers) < self._min_workers)
            self.searching = False
            self.refused += 1
        pause = SUPPLY.refused(self.now())
        text = "pool %r: the system refused a thread (%s); %d serve the queue"
        log.warning(text, self.admission.name, str(error), len(self._workers))
        TIMER.remind(_Later(self.hire), pause)

    # ------------------------------------------------------------ the supply of slots

    def plead(self) -> None:
        """Without the lock: the supply has denied a slot. Is there an idle worker somewhere?"""
        self.denied = False
        SUPPLY.reclaim()

    def lend(self) -> bool:
        """Let an idle worker go, if there is one to spare; whether there was."""
        with self._lock:
            if not self.idle or not self._can_spare_one():
                return False
            worker = self.idle.pop_oldest()
            worker.leaving = True
        worker.latch.release()
        return True

    def adopt(self) -> Worker | None:
        """In a thread whose slot was passed on to this pool: its new place, if it is of use."""
        admission = self.admission
        with self._lock:
            self._pleading = False
            if self.searching or self._stopping or self.broken is not None:
                return None
            if len(self._workers) >= admission.ceiling or not admission.has_work():
                return None
            if len(self._workers) < self._min_workers:
                SUPPLY.fill()
            worker = self._new_worker(threading.current_thread())
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

    def serve(self, worker: Worker) -> None:
        """Run calls in this thread until the worker leaves the pool."""
        if self._initializer is not None and not self._initialize(worker):
            return
        wake: list[Latch] = []
        while (entry := self._arrive(worker)) is not None:
            work: Any = entry  # Work, every one; a cast would be a call for each
            entry = None
            while work is not None:
                work = work.work(wake)
                while wake:
                    wake.pop().release()

    def _initialize(self, worker: Worker) -> bool:
        assert self._initializer is not None  # noqa: S101 - asked by the caller
        try:
            self._initializer()
        except BaseException as error:
            log.critical("pool %r: the initializer failed", self.admission.name, exc_info=True)
            with self._lock:
                self.broken = error
                self.searching = False
                self._leave(worker)
            self.admission.why_closed = BrokenPool
            self.admission.close(refuse_waiting=True)
            return False
        return True

    def _arrive(self, worker: Worker) -> Entry | None:
        """Claim the next entry for ``worker``, waiting for one; None when it is time to leave."""
        while True:
            with self._lock:
                if worker.latch is not worker.lock:
                    self.idle.rise(worker)
                entry, stays = None, True
                if worker.leaving or SUPPLY.starved:
                    stays = not self._gives_way(worker)
                if stays:
                    entry = self.admission._claim()  # noqa: SLF001 - one lock for both halves of the pool
                successor = self._end_search(worker) if worker.searching else None
                if entry is None:
                    stays = stays and self._settle(worker)
            if successor is not None:
                self.send(successor)
            elif self.denied:
                self.plead()
            if entry is not None:
                worker.served = True
                return entry
            if not stays or not self._wait_idle(worker):
                return None

    def _gives_way(self, worker: Worker) -> bool:
        """Under the lock: whether the worker leaves for a pool in greater need, and then it has left."""
        if not worker.leaving:
            if not SUPPLY.starved or not worker.served or not self._can_spare_one():
                return False
            # Who takes its place, if the line needs somebody, is looked for as after a search.
            worker.searching = worker.searching or not self.searching
        self._leave(worker)
        return True

    def _end_search(self, worker: Worker) -> Worker | None:
        """Under the lock: ``worker`` was the searcher; who is the next one, if there is more to find."""
        worker.searching = self.searching = False
        if self.admission.has_work() and not self._gate.is_closed():
            return self._next_worker()
        return None

    def _settle(self, worker: Worker) -> bool:
        """Under the lock: there is nothing to do. The worker is idle, or it leaves: False."""
        if self.admission.gate is not None and self._gate.is_closed():
            self._gate.arm()
        if self._stopping or (SUPPLY.hungry and self._can_spare_one()):
            self._leave(worker)
            return False
        self.idle.push(worker)
        return True

    def _can_spare_one(self) -> bool:
        """Under the lock: whether a worker may leave to a pool that needs it more."""
        return len(self._workers) > self._min_workers

    def _wait_idle(self, worker: Worker) -> bool:
        """Wait to be sent; False if the worker has left the pool."""
        while not patient(self.clock, worker.latch, self._idle_timeout):
            with self._lock:
                if worker not in self.idle:
                    continue  # sent in this very moment: the lock is about to be released
                if len(self._workers) > self._min_workers or self._stopping:
                    self.idle.give_up(worker)
                    self._leave(worker)
                    return False
        return True

    def _leave(self, worker: Worker) -> None:
        """Under the lock: the worker leaves; its thread has a few steps to go, which a join waits for."""
        worker.reserved = len(self._workers) <= self._min_workers
        self._workers.discard(worker)
        if not self._workers:
            self.idle.put_seat_away()
            if self.admission.has_work() and not self._stopping:
                self._pleading = True
                SUPPLY.wait(self)  # it gave way to a pool in need, and is in need itself now
        self._ending = [one for one in self._ending if one.thread and one.thread.is_alive()]
        self._ending.append(worker)

    # ------------------------------------------------------------ the end

    def workers(self) -> list[Worker]:
        """Return who works for the pool now."""
        with self._lock:
            return list(self._workers)

    def after_fork(self, lock: threading.Lock, survivor: threading.Thread | None) -> None:
        """In a child: only the thread that forked is left, and it may be one of these."""
        self._lock = lock
        self._workers = {worker for worker in self._workers if worker.thread is survivor}
        self.idle = IdleStack()
        self._ending.clear()
        SUPPLY.keep(len(self._workers), self._min_workers)
        self.searching = self._pleading = self.denied = self._gate.armed = False

    def stop(self) -> None:
        """Let idle workers go, and each busy one when the line is empty; blocks nobody."""
        with self._lock:
            if not self._stopping:
                self._stopping = True
                SUPPLY.leave(self, self._min_workers, len(self._workers))
                self._min_workers = 0
            idle = self.idle.pop_all()
        for worker in idle:
            worker.latch.release()

    def join(self, until: float | None) -> None:
        """Wait for the threads to end; those in abandoned calls are left alone."""
        with self._lock:
            workers = [*self._workers, *self._ending]
        me = threading.current_thread()
        for worker in workers:
            if worker.thread is None or worker.thread is me:
                continue
            left = None if until is None else max(0.0, until - self.now())
            if self.clock.acquire(worker.gone, left):
                worker.gone.release()  # for whoever joins as well
                if not worker.passed_on:
                    worker.thread.join()
