"""The workers of a thread pool at work: what each does between two calls, and how it ends.

Purpose: run the calls in line on as few threads, and with as few wake-ups, as possible.

Guarantees: an idle worker ends itself after ``idle_timeout``, without waiting for a call.

States of a worker: SEARCHING (woken or started, on its way to the line) -> BUSY (runs calls, takes
the next one itself when it ends one) -> IDLE (on the stack, waits on its own lock) -> SEARCHING ...
It leaves when it was idle for long or the pool has closed, or, with a slot that another pool needs
more, between two calls or when it was asked to while idle; then its thread serves that pool. At most
one worker searches at a time; when it has found a call and sees another one that may start, it sends
the next worker. So a burst of short calls is eaten by one or two threads, and a burst of blocking
calls gets one thread each. A worker that is woken for nothing is idle again.

Why no call is left lying: a submitter puts its call in line first and looks at ``searcher`` second; a
searcher is no longer the searcher when it has looked into the line, under the same lock. A call that
was handed to an idle worker is that worker's alone: it looks for it whenever it arrives at the line, and
before it leaves, since it may have been woken for nothing just before.
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from holdfast._core.clock import Clock, Latch
from holdfast._core.latch import open_latch
from holdfast.pools._admission import Admission
from holdfast.pools._broken import BrokenPool
from holdfast.pools._entry import Entry
from holdfast.pools._idle import IdleStack
from holdfast.pools._supply import SUPPLY
from holdfast.pools._thread_hire import Hiring
from holdfast.pools._timer import TIMER
from holdfast.pools._worker import Worker

__all__ = ("ThreadCrew",)

log = logging.getLogger("concurrent.futures")
"""Where whoever had a standard executor before looks for an initializer that fails."""

_ONE_AT_A_TIME: Final[bool] = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether one thread's steps are seen by the others in their order."""


class ThreadCrew(Hiring):
    """The worker threads of one pool. Every method may be called from any thread."""

    __slots__ = ("_acquire", "_ending", "_idle_timeout", "_initializer")

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
        super().__init__(
            admission, clock=clock, min_workers=min_workers, thread_name_prefix=thread_name_prefix
        )
        self._acquire = clock.acquire
        self._idle_timeout = idle_timeout
        self._initializer = initializer
        self._ending: list[Worker] = []
        SUPPLY.enter(self, min_workers)

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers)

    def serve(self, worker: Worker) -> None:
        """Run calls in this thread until the worker leaves the pool."""
        if self._initializer is not None and not self._initialize(worker):
            return
        wake: list[Latch] = []  # of those who wait for the call that has just ended
        while True:
            work: Any = self._arrive(
                worker, wake
            )  # Work, every one; a cast would be a call for each
            if work is None:
                return
            while (work := work.work(wake)) is not None:
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
                if self.searcher is worker:
                    self.searcher = None
                self._leave(worker)
            self.admission.why_closed = BrokenPool
            self.admission.close(refuse_waiting=True)
            return False
        return True

    def _arrive(self, worker: Worker, wake: list[Latch]) -> Entry | None:
        """Claim the next entry for ``worker``, waiting for one; None when it is time to leave.

        Who waits for the call before is woken when it is known what the worker does next: who then
        submits another call finds this worker idle, where it would wake a second one a moment before.
        """
        admission = self.admission
        while True:
            with self._lock:
                if worker.resting:
                    self.idle.take_out(worker)
                successor = None
                # Who was woken for nothing may have been handed a call on its way to here.
                entry, stays = worker.entry, True
                if entry is not None:
                    worker.entry = None
                else:
                    stays = not (worker.leaving or SUPPLY.starved) or not self._gives_way(worker)
                    if stays and admission._line:  # noqa: SLF001 - one lock for both halves of the pool
                        entry = admission._claim()  # noqa: SLF001 - as above
                if self.searcher is worker:
                    self.searcher = None
                    successor = self._successor() if admission._line else None  # noqa: SLF001 - as above
                if entry is None:
                    stays = stays and self._settle(worker)
            while wake:
                wake.pop().release()
            if successor is not None or self.denied:
                self._pass_on_search(successor)
            if entry is not None:
                worker.served = True
                return entry
            if not stays or not self._sleep(worker):
                return None
            if worker.entry is not None:
                return self._take_over(worker)

    def _pass_on_search(self, successor: Worker | None) -> None:
        if successor is not None:
            self.send(successor)
        elif self.denied:
            self.plead()

    def _gives_way(self, worker: Worker) -> bool:
        """Under the lock: whether the worker leaves for a pool in greater need, and then it has left."""
        if not worker.leaving:
            if not SUPPLY.starved or not worker.served or not self._can_spare_one():
                return False
            # Who takes its place, if the line needs somebody, is looked for as after a search.
            if self.searcher is None:
                self.searcher = worker
        self._leave(worker)
        return True

    def _successor(self) -> Worker | None:
        """Under the lock: a search has ended; who is the next one, if there is more to find."""
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

    def _take_over(self, worker: Worker) -> Entry:
        """Take the call that was handed to ``worker``; there is one, and it has its permit.

        Without the lock: who puts a call in line looks for a searcher after that, and here we look
        into the line when there is none any more. One of us sees the other.
        """
        entry, worker.entry = worker.entry, None
        assert entry is not None  # noqa: S101 - as said
        worker.resting = False
        worker.served = True
        self.searcher = None
        if not _ONE_AT_A_TIME:
            with self._lock:  # so that what is written above is seen before what is read below
                pass
        if self.admission._line:  # noqa: SLF001 - as above
            self.hire()
        return entry

    def _sleep(self, worker: Worker) -> bool:
        """Wait to be sent; False if that was for too long, and the worker has left the pool."""
        # An idle worker stands in for the timer, where the system refuses its thread.
        wait = self._stand_in if TIMER.threadless else self._acquire
        return wait(worker.latch, self._idle_timeout) or self._was_sent(worker)

    def _was_sent(self, worker: Worker) -> bool:
        """It has been idle for long: whether it was sent all the same; else it may have left the pool.

        Whoever sent it may be about to wake it, or has been interrupted before that.
        """
        while True:
            with self._lock:
                if worker.entry is not None or not worker.resting or self.searcher is worker:
                    return True
                if len(self._workers) > self._min_workers or self._stopping:
                    self._leave(worker)
                    return False
            if self._acquire(worker.latch, self._idle_timeout):
                return True

    def _stand_in(self, latch: Latch, timeout: float | None) -> bool:
        return TIMER.stand_in(self.clock, latch, timeout)

    def _leave(self, worker: Worker) -> None:
        """Under the lock: the worker leaves; its thread has a few steps to go, which a join waits for."""
        self.idle.stand_up(worker)
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
        self.searcher = None
        self._pleading = self.denied = self._gate.armed = False

    def stop(self) -> None:
        """Let idle workers go, and each busy one when the line is empty; blocks nobody."""
        with self._lock:
            if not self._stopping:
                self._stopping = True
                SUPPLY.leave(self, self._min_workers, len(self._workers))
                self._min_workers = 0
            idle = self.idle.all()
        for worker in idle:
            open_latch(worker.latch)

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
