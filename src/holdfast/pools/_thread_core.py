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
from typing import Final, Protocol

from holdfast._core.clock import Clock
from holdfast._core.latch import EventLatch, borrow_latch, closed_lock, give_back_latch
from holdfast.errors import CallTimeout, PoolClosed, QueueTimeout, UnderPressure
from holdfast.pools._admission import Admission
from holdfast.pools._entry import ENDED, RUNNING, Entry
from holdfast.pools._stats import PoolStats
from holdfast.pools._thread_calls import LoopCall, SubmittedCall, ThreadCall
from holdfast.pools._threads import start_thread
from holdfast.pools._timer import TIMER

__all__ = ("ThreadCore", "Work")

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

    __slots__ = ("core",)

    def __init__(self, core: "ThreadCore") -> None:
        self.core = core

    def expire(self) -> None:
        self.core.gate_opened()


class ThreadCore:
    """A pool's admission and its worker threads. Every method may be called from any thread."""

    __slots__ = (
        "__weakref__",
        "_ending",
        "_gate_armed",
        "_hot",
        "_idle",
        "_idle_timeout",
        "_initializer",
        "_lock",
        "_lone",
        "_min_workers",
        "_prefix",
        "_refusals",
        "_refused",
        "_searching",
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
        self._searching = False
        self._stopping = False
        self._gate_armed = False
        self._lone = False  # whether the last pass of a loop brought a single call
        self._refused = 0
        self._refusals = 0  # in a row
        self._try_thread_at = 0.0
        self.broken: BaseException | None = None

    # ------------------------------------------------------------ calls in

    def submit_from_loop(self, call: LoopCall) -> None:
        """Give ``call`` a place. The worker is sent at the end of the loop's pass, once for a burst."""
        admission = self.admission
        with self._lock:
            _, dropped = admission._line_up(call, may_block=True)  # noqa: SLF001 - one lock for both halves of the pool
        if dropped is not None:
            admission.refuse_dropped(dropped)
        if call.timeout is not None or call.queue_until is not None:
            self._watch(call)
        if self._searching:
            return
        if self._lone and admission.in_flight == 0:
            self.hire()  # calls come one at a time: a pass of the loop would only be lost
        else:
            self._lone = False
            call.mailbox.defer(self)

    def at_pass_end(self) -> None:
        """Send the worker for what the loop has submitted in this pass."""
        self._lone = self.admission.lone()
        self.hire()

    def submit(self, call: SubmittedCall, *, may_block: bool) -> bool:
        """Give ``call`` a place and see to it that a worker comes; False if it is still blocked."""
        admission = self.admission
        worker = None
        with self._lock:
            queued, dropped = admission._line_up(call, may_block=may_block)  # noqa: SLF001 - one lock for both halves of the pool
            if (
                not self._searching
                and admission.in_flight < admission.ceiling
                and not self._gate_armed
            ):
                worker = self._next_worker()
        if dropped is not None:
            admission.refuse_dropped(dropped)
        if call.timeout is not None or call.queue_until is not None:
            self._watch(call)
        if worker is not None and not self._send(worker):
            self._refuse_threadless(call)
        return queued

    def submit_blocking(self, call: SubmittedCall, *, may_block: bool) -> None:
        """Like :meth:`submit`; blocks this thread while the queue is full."""
        if self.submit(call, may_block=may_block):
            return
        timeout = None if call.queue_until is None else max(0.0, call.queue_until - self.now())
        try:
            in_time = call.wait_accepted(timeout)
        except BaseException:  # an interrupt: the caller will never see the future
            self.withdraw(call)
            raise
        if not in_time and self.withdraw(call):
            raise self._queue_timeout(call)
        if (
            call.done()
            and isinstance(error := call.exception(), Exception)
            and call.started is None
        ):
            raise error

    def withdraw(self, call: Work) -> bool:
        """Take a call back that has not started; True if it never will."""
        if not self.admission.withdraw(call):
            return False
        self._unwatch(call)
        return True

    def give_up(self, call: ThreadCall) -> None:
        """Nobody waits for ``call`` any more: take it back, or count it as abandoned."""
        if not self.withdraw(call):
            if self.admission.abandon(call, timed_out=False):
                self.hire()
            self._unwatch(call)

    def post_turn(self, turn: Work) -> bool:
        """Put a stream in line for a permit; False if the pool is closed."""
        if not self.admission.line_up_turn(turn):
            return False
        if not self._searching:
            self.hire(turn)
        return True

    def ended(self, call: ThreadCall, value: object, error: BaseException | None) -> Entry | None:
        """Give the permit back, tell whoever waits, and return the call that this thread takes next."""
        then = self.admission.end(call, error is None)
        if call.abandoned:
            call.fn = None
            log.warning(
                "pool %r: an abandoned call ended at last; its result is dropped",
                self.admission.name,
            )
        else:
            if call.due is not None:
                TIMER.unwatch(call, call.due)
            call.finish(value, error)
        return then

    # ------------------------------------------------------------ workers

    def hire(self, call: Work | None = None) -> None:
        """Send a worker to the line, if somebody in it may start and no worker is on its way.

        Raises:
            UnderPressure: The system refused the first thread of this pool, and ``call`` was taken
                back: it never started.
        """
        with self._lock:
            if self._searching or self._gate_armed or not self.admission.has_work():
                return
            worker = self._next_worker()
        if worker is not None and not self._send(worker):
            self._refuse_threadless(call)

    def _next_worker(self) -> _Worker | None:
        """Under the lock: pick the worker to send, the most recently idle or a new one."""
        if self._idle:
            worker = self._hot
            if worker is None:
                worker, _ = self._idle.popitem()
            else:
                self._hot = None
                del self._idle[worker]
            worker.searching = self._searching = True
            return worker
        if len(self._workers) >= self.admission.ceiling or self.broken is not None:
            return None
        if self._workers and self._refusals and self.now() < self._try_thread_at:
            return None
        worker = _Worker()
        self._workers.add(worker)
        self._started += 1
        self._searching = True
        return worker

    def _send(self, worker: _Worker) -> bool:
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
                self._searching = False
                self._refused += 1
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

    def _refuse_threadless(self, call: Work | None) -> None:
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
        if call is not None and self.withdraw(call):
            raise self.admission.refusal(UnderPressure, why)

    def _run(self, worker: _Worker) -> None:
        if self._initializer is not None and not self._initialize(worker):
            return
        while (entry := self._arrive(worker)) is not None:
            while entry is not None:
                entry = entry.work()  # type: ignore[attr-defined] # every entry of this pool is Work

    def _initialize(self, worker: _Worker) -> bool:
        assert self._initializer is not None  # noqa: S101 - asked by the caller
        try:
            self._initializer()
        except BaseException as error:
            log.critical("pool %r: the initializer failed", self.admission.name, exc_info=True)
            with self._lock:
                self.broken = error
                self._searching = False
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
                    worker.searching = self._searching = False
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
                self._send(successor)
            if entry is not None:
                return entry
            if not self._wait_idle(worker):
                return None

    def _sit_down(self, worker: _Worker) -> None:
        """Under the lock: the worker is idle; the first one takes the hot seat, the next to be sent."""
        self._idle[worker] = None
        if not self._seat_taken:
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

    # ------------------------------------------------------------ deadlines

    def _watch(self, call: ThreadCall) -> None:
        now = self.now()
        moments = [now + call.timeout] if call.timeout is not None else []
        if call.queue_until is not None:
            moments.append(call.queue_until)
        call.due = TIMER.watch(call, max(0.0, min(moments) - now))
        if call.state == ENDED:
            self._unwatch(call)

    def _unwatch(self, call: Work) -> None:
        if call.due is not None:
            TIMER.unwatch(call, call.due)

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
                self._unwatch(call)
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
            self.hire()

    def _queue_timeout(self, call: ThreadCall) -> QueueTimeout:
        error = self.admission.refusal(
            QueueTimeout,
            "it waited in line for its whole queue_timeout; raise the limit, or send less",
        )
        assert isinstance(error, QueueTimeout)  # noqa: S101 - made as one
        return error

    # ------------------------------------------------------------ the end

    def stop(self) -> None:
        """Let idle workers go, and each busy one when the line is empty; blocks nobody."""
        with self._lock:
            self._stopping = True
            idle = list(self._idle)
            self._idle.clear()
            self._hot = None
        for worker in idle:
            worker.latch.release()

    def cancel_waiting(self) -> None:
        """Cancel the futures of submitted calls in line; refuse the rest."""
        for entry in self.admission.waiting():
            if isinstance(entry, SubmittedCall):
                entry.cancel()
            elif self.admission.withdraw(entry):
                entry.refuse(self.admission.refusal(PoolClosed, "it was shut down"))

    def join(self, until: float | None) -> None:
        """Wait for the threads to end; those in abandoned calls are left alone."""
        with self._lock:
            threads = [worker.thread for worker in self._workers if worker.thread is not None]
            threads += self._ending
        me = threading.current_thread()
        for thread in threads:
            if thread is not me:
                thread.join(None if until is None else max(0.0, until - self.now()))

    def report_survivors(self) -> bool:
        """Log what still runs; whether nothing does."""
        left = self.admission.in_flight
        if left:
            log.warning(
                "pool %r is closed, but %d of its calls still run; a thread can't be stopped",
                self.admission.name,
                left,
            )
        return not left

    def stats(self) -> PoolStats:
        """Return one consistent reading."""
        return self.admission.stats(threads=len(self._workers), refused_threads=self._refused)
