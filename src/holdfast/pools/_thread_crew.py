"""The workers of a thread pool: started when nobody idle can take a call, gone when idle for long.

Purpose: bring claimed calls to threads with as few wake-ups as possible.

Guarantees: no more threads than the admission's ceiling; a call in line that may start has a worker
on its way to it; an idle worker ends itself after ``idle_timeout``, without waiting for a call.

States of a worker: SEARCHING (woken or started, on its way to the line) -> BUSY (runs calls, takes
the next one itself when it ends one) -> IDLE (on the stack, waits on its own lock) -> SEARCHING ...;
gone from IDLE only. At most one worker searches at a time; when it has found a call and sees another
one that may start, it sends the next worker. So a burst of short calls is eaten by one or two
threads, and a burst of blocking calls gets one thread each.

Why no call is left lying: a submitter puts its call in line first and looks at ``_searching``
second; a searcher clears ``_searching`` under the lock, and only when the line has nothing to claim.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

from holdfast._core.clock import Clock
from holdfast._core.latch import EventLatch, borrow_latch, closed_lock, give_back_latch
from holdfast.errors import UnderPressure
from holdfast.pools._admission import Admission
from holdfast.pools._entry import Entry
from holdfast.pools._threads import start_thread
from holdfast.pools._timer import TIMER

__all__ = ("ThreadCrew", "Work")

log = logging.getLogger("holdfast.pools")

_THREAD_PAUSE: Final = 0.01
_LONGEST_THREAD_PAUSE: Final = 1.0
"""Seconds for which no further thread is asked for after a refusal, doubling from the first."""


class Work(Entry, Protocol):
    """An entry that a worker thread can run."""

    due: float | None  # the timer's key, where a deadline is watched

    def work(self) -> Entry | None:
        """Run, give the permit back, and return what this thread does next."""
        ...

    def expire(self) -> None:
        """A deadline has passed; called on the timer's thread."""
        ...


class _Worker:
    __slots__ = ("fresh", "latch", "lock", "searching", "thread")

    def __init__(self) -> None:
        self.lock = closed_lock()
        self.latch = self.lock  # what it waits on: its own lock, or the pool's hot seat
        self.searching = True
        self.fresh = True  # its thread is not started yet
        self.thread: threading.Thread | None = None


class _GateOpens:
    """Sends a worker when the pool's rate allows the next start."""

    __slots__ = ("crew",)

    def __init__(self, crew: "ThreadCrew") -> None:
        self.crew = crew

    def expire(self) -> None:
        self.crew.gate_opened()


class ThreadCrew:
    """The worker threads of one pool. Every method may be called from any thread."""

    __slots__ = (
        "_ending",
        "_gate_armed",
        "_hot",
        "_idle",
        "_idle_timeout",
        "_initializer",
        "_lock",
        "_min_workers",
        "_prefix",
        "_refusals",
        "_seat",
        "_seat_taken",
        "_started",
        "_stopping",
        "_try_thread_at",
        "_workers",
        "admission",
        "broken",
        "clock",
        "now",
        "prompt",
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
        self._idle: dict[_Worker, None] = {}
        self._hot: _Worker | None = None
        self._seat: EventLatch | None = None
        self._seat_taken = False
        self._workers: set[_Worker] = set()
        self._ending: list[threading.Thread] = []
        self._started = 0
        self.searching = False
        self._stopping = False
        self._gate_armed = False
        self.refused = 0
        self._refusals = 0  # in a row
        self._try_thread_at = 0.0
        self.broken: BaseException | None = None
        # Whether a woken worker should run at once, as a loop wants it, or when its waker waits: a
        # thread that submits one call after the other would lose the interpreter at each.
        self.prompt = True

    def __len__(self) -> int:
        return len(self._workers)

    def needed(self) -> "_Worker | None":
        """Under the lock: the worker to send for an entry that has just been put in line, or None."""
        admission = self.admission
        self.prompt = False
        if self.searching or self._gate_armed or admission.in_flight >= admission.ceiling:
            return None
        return self._next_worker()

    def hire(self, call: Work | None = None) -> None:
        """Send a worker to the line, if somebody in it may start and no worker is on its way.

        Raises:
            UnderPressure: The system refused the first thread of this pool, and ``call`` was taken
                back: it never started.
        """
        with self._lock:
            if self.searching or self._gate_armed or not self.admission.has_work():
                return
            worker = self._next_worker()
        if worker is not None and not self.send(worker):
            self.refuse_threadless(call)

    def _next_worker(self) -> _Worker | None:
        """Under the lock: pick the worker to send, the most recently idle or a new one."""
        if self._idle:
            worker = self._hot
            if worker is None:
                worker, _ = self._idle.popitem()
            else:
                self._hot = None
                del self._idle[worker]
            worker.searching = self.searching = True
            return worker
        if len(self._workers) >= self.admission.ceiling or self.broken is not None:
            return None
        if self._workers and self._refusals and self.now() < self._try_thread_at:
            return None
        worker = _Worker()
        self._workers.add(worker)
        self._started += 1
        self.searching = True
        return worker

    def send(self, worker: _Worker) -> bool:
        if not worker.fresh:
            worker.latch.release()
            return True
        worker.fresh = False
        name = f"{self._prefix}{self._started - 1}"
        try:
            worker.thread = start_thread(name, lambda: self._run(worker))
        except RuntimeError as error:
            with self._lock:
                self._forget(worker)
                self.searching = False
                self.refused += 1
                self._refusals += 1
                pause = min(_THREAD_PAUSE * 2.0**self._refusals, _LONGEST_THREAD_PAUSE)
                self._try_thread_at = self.now() + pause
            log.warning(
                "pool %r: the system refused a thread (%s); %d serve the queue",
                self.admission.name,
                str(error),
                len(self._workers),
            )
            return False
        self._refusals = 0
        return True

    def refuse_threadless(self, call: Work | None) -> None:
        """No thread can be had. If the pool has none at all, nobody will ever serve its line."""
        with self._lock:
            if self._workers:
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

    def _run(self, worker: _Worker) -> None:
        if self._initializer is not None and not self._initialize(worker):
            return
        while (entry := self._arrive(worker)) is not None:
            work: Any = entry  # Work, every one; a cast would be a call for each
            while work is not None:
                work = work.work()

    def _initialize(self, worker: _Worker) -> bool:
        assert self._initializer is not None  # noqa: S101 - asked by the caller
        try:
            self._initializer()
        except BaseException as error:
            log.critical("pool %r: the initializer failed", self.admission.name, exc_info=True)
            with self._lock:
                self.broken = error
                self.searching = False
                self._forget(worker)
            self.admission.close(refuse_waiting=True)
            return False
        return True

    def _arrive(self, worker: _Worker) -> Entry | None:
        """Claim the next entry for ``worker``, waiting for one; None when it is time to end."""
        while True:
            successor = None
            with self._lock:
                if worker.latch is not worker.lock:
                    self._leave_seat(worker)
                entry = self.admission._claim()  # noqa: SLF001 - one lock for both halves of the pool
                if worker.searching:
                    worker.searching = self.searching = False
                    if self.admission.has_work() and not self._gate_closed():
                        successor = self._next_worker()
                if entry is None:
                    if self._gate_closed():
                        self._arm_gate()
                    if self._stopping:
                        self._forget(worker)
                        return None
                    self._sit_down(worker)
            if successor is not None:
                self.send(successor)
            if entry is not None:
                return entry
            if not self._wait_idle(worker):
                return None

    def _sit_down(self, worker: _Worker) -> None:
        """Under the lock: the worker is idle; the first one takes the hot seat, the next to be sent."""
        self._idle[worker] = None
        if self.prompt and not self._seat_taken:
            if self._seat is None:
                self._seat = borrow_latch()
            if self._seat is not None:
                self._seat_taken = True
                self._hot = worker
                worker.latch = self._seat

    def _stand_up(self, worker: _Worker) -> None:
        """Under the lock: the worker has waited long enough, and nobody is about to wake it."""
        del self._idle[worker]
        if self._hot is worker:
            self._hot = None
            self._leave_seat(worker)

    def _leave_seat(self, worker: _Worker) -> None:
        """Under the lock: the worker is awake, so nobody will release the seat's latch any more."""
        worker.latch = worker.lock
        self._seat_taken = False

    def _wait_idle(self, worker: _Worker) -> bool:
        """Wait to be sent; False if the worker has left the pool."""
        while not self.clock.acquire(worker.latch, self._idle_timeout):
            with self._lock:
                if worker not in self._idle:
                    continue  # sent in this very moment: the lock is about to be released
                if len(self._workers) > self._min_workers or self._stopping:
                    self._stand_up(worker)
                    self._forget(worker)
                    return False
        return True

    def _forget(self, worker: _Worker) -> None:
        """Under the lock: the worker leaves; its thread has a few steps to go, which a join waits for."""
        self._workers.discard(worker)
        if not self._workers and self._seat is not None:
            give_back_latch(self._seat)
            self._seat = None
        self._ending = [thread for thread in self._ending if thread.is_alive()]
        if worker.thread is not None:
            self._ending.append(worker.thread)

    # ------------------------------------------------------------ rate

    def _gate_closed(self) -> bool:
        return self.admission.gate is not None and self.admission.gate_opens_in > 0.0

    def _arm_gate(self) -> None:
        if not self._gate_armed and self.admission.has_work():
            self._gate_armed = True
            TIMER.watch(_GateOpens(self), self.admission.gate_opens_in)

    def gate_opened(self) -> None:
        """The rate allows the next start."""
        with self._lock:
            self._gate_armed = False
            self.admission.gate_opens_in = 0.0
        self.hire()

    def stop(self) -> None:
        """Let idle workers go, and each busy one when the line is empty; blocks nobody."""
        with self._lock:
            self._stopping = True
            idle = list(self._idle)
            self._idle.clear()
            self._hot = None
        for worker in idle:
            worker.latch.release()

    def join(self, until: float | None) -> None:
        """Wait for the threads to end; those in abandoned calls are left alone."""
        with self._lock:
            threads = [worker.thread for worker in self._workers if worker.thread is not None]
            threads += self._ending
        me = threading.current_thread()
        for thread in threads:
            if thread is not me:
                thread.join(None if until is None else max(0.0, until - self.now()))
