"""The worker processes of one pool: heard, idle, worn out, ended.

Guarantees: a process is buried once, when its zygote has said that it and all that it started have ended;
a worker that dies before it is ready counts: after three in a row the pool is broken, and says why,
instead of starting one after the other. Words of the zygote, ticks and what is posted come on the hub's
thread.
"""

import logging
import math
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from holdfast.pools._broken import Broken
from holdfast.pools._child import wire
from holdfast.pools._process_calls import ProcessEntry
from holdfast.pools._process_hiring import Hiring
from holdfast.pools._process_hub import HUB
from holdfast.pools._process_orphans import end_marked
from holdfast.pools._process_supply import PROCESSES
from holdfast.pools._process_worker import DEAD, DOOMED, IDLE, LEAVING, STARTING, WorkerProcess

if TYPE_CHECKING:
    from holdfast.errors import PoolClosed

__all__ = ("Crew",)

log = logging.getLogger("holdfast.pools")

_MOST_STILLBORN: Final = 3
_REAP_PAUSE: Final = 0.002
"""Seconds between looks at a zygote that was told to end."""


class Crew(Hiring):
    """The second part of a pool's core."""

    # ------------------------------------------------------------ done by the other parts

    @abstractmethod
    def lose(self, worker: WorkerProcess, status: int, *, over: bool) -> None:
        """See where it is done."""

    @abstractmethod
    def stuck(self, worker: WorkerProcess) -> None:
        """See where it is done."""

    # ------------------------------------------------------------ words of the zygote, and of workers

    def _on_word(self, kind: int, number: int, first: int, second: int) -> None:
        worker = self.workers.get(number)
        if worker is None:
            return
        if kind == wire.FORKED:
            worker.pid = first
        elif kind == wire.REFUSED:
            self._bury(worker)
            self._note_refusal(OSError(first, "fork was refused"))
        elif kind == wire.DEAD:
            self.lose(worker, first, over=bool(second))
        elif kind == wire.STUCK:
            self.stuck(worker)
        elif kind == wire.GREEDY:
            worker.greedy = True
            with self._lock:
                retired = worker.state == IDLE
                if retired:
                    self._retire_locked(worker)
            if retired:
                self.pump()

    def _on_link_end(self) -> None:
        """The zygote has gone, and its workers with it."""
        link = self._link
        if link is None:
            return
        HUB.unlisten(link.fd)
        self._link = None
        link.kill()
        if not self._stopping:
            log.error("pool %r: its zygote was ended from outside", self.admission.name)
        workers = list(self.workers.values())
        end_marked(link.mark)
        for worker in workers:
            self.lose(worker, -1, over=False)

    def note_ready(self, worker: WorkerProcess) -> None:
        """It has said its first word."""
        with self._lock:
            worker.ready = self._ever_ready = True
            self._stillborn = self._refusals = 0
            self._refused_since = None
            if worker.state == STARTING:
                self.settle_locked(worker)
        self.pump()

    def note_broken(self, worker: WorkerProcess, error: BaseException) -> None:
        """Its initializer, or a module it was to import, has failed: no worker can work."""
        log.critical(
            "pool %r: a worker process can't be prepared", self.admission.name, exc_info=error
        )
        self.break_pool(error, f"what prepares its worker processes failed with {error!r}")
        del worker

    def break_pool(self, error: BaseException, why: str) -> None:
        """Nothing will ever run: say so to everybody."""
        self.broken = error
        self.admission.why_closed = cast("type[PoolClosed]", Broken(why, error))
        self.admission.close(refuse_waiting=True)
        self._empty_homes(lambda: self.admission.refusal(self.admission.why_closed, why))

    def count_stillborn(self, worker: WorkerProcess, status: int) -> None:
        """A worker has ended; did it ever work?"""
        if worker.ready or worker.state in {DOOMED, LEAVING} or self.broken is not None:
            return
        self._stillborn += 1
        if self._stillborn >= _MOST_STILLBORN:
            why = (
                f"{_MOST_STILLBORN} worker processes in a row ended before their first call (the last "
                f"with wait status {status}); look at what they import and at the initializer"
            )
            self.break_pool(RuntimeError(why), why)

    # ------------------------------------------------------------ ends of workers

    def settle_locked(self, worker: WorkerProcess) -> None:
        """It has nothing to do: it is idle, or it has served for long enough."""
        if self._stopping or self.is_worn(worker):
            self._retire_locked(worker)
        else:
            worker.state = IDLE
            worker.idle_since = self.now()
            self.idle.append(worker)

    def is_worn(self, worker: WorkerProcess) -> bool:
        """Whether it has served for long enough."""
        options = self.options
        return worker.greedy or worker.calls >= options.max_calls or self.now() >= worker.expires

    def _retire_locked(self, worker: WorkerProcess) -> None:
        if worker in self.idle:
            self.idle.remove(worker)
        worker.state = LEAVING
        worker.due = self.now() + self.options.kill_grace + 1.0
        worker.hang_up()

    def doom(self, worker: WorkerProcess, why: str, *, call: ProcessEntry | None = None) -> bool:
        """Have a worker ended now; False if it is too late for that, or not about ``call`` any more."""
        with self._lock:
            if worker.state in {DEAD, DOOMED} or (call is not None and worker.call is not call):
                return False
            if worker.state == IDLE and worker in self.idle:
                self.idle.remove(worker)
            worker.state = DOOMED
            worker.why = why
            worker.due = math.inf
            link = self._link
        if link is not None:
            link.end(worker.number, self.options.kill_grace)
        return True

    def spare_one(self) -> bool:
        """Let an idle process go, if there is one; whether there was."""
        with self._lock:
            if not self.idle or len(self.workers) <= self.options.min_workers:
                return False
            self._retire_locked(self.idle[0])
        return True

    def _bury(self, worker: WorkerProcess) -> None:
        """Nothing of it is left."""
        with self._lock:
            if self.workers.pop(worker.number, None) is None:
                return
            if worker in self.idle:
                self.idle.remove(worker)
            worker.state = DEAD
        if worker.listened:
            HUB.unlisten(worker.reading_fd)
        worker.close()
        PROCESSES.give_back()
        if self._stopping:
            HUB.post(self._end_if_empty)

    def tick_workers(self, now: float) -> float:
        """Retire who was idle for too long or is worn out; returns when to look again."""
        options = self.options
        ended: list[WorkerProcess] = []
        with self._lock:
            busy = len(self.workers) > len(self.idle)
            used = busy or any(now - w.idle_since < options.idle_timeout for w in self.idle)
            kept = max(options.min_workers, options.spares + (not busy) if used else 0)
            for worker in tuple(self.idle):  # the one that has been idle for longest comes first
                spare = len(self.idle) > kept
                if self.is_worn(worker) or (
                    spare and now - worker.idle_since >= options.idle_timeout
                ):
                    self._retire_locked(worker)
                    ended.append(worker)
            late = [w for w in self.workers.values() if w.state == LEAVING and w.due <= now]
        for worker in late:
            self.doom(worker, "late")
        if self._reap_at <= now:
            self._reap_at = math.inf
            self._end_if_empty()
        if self._try_at > now:
            return self._try_at
        if self._gate_at <= now:
            self._gate_at = math.inf
            self.pump()
        elif self._refusals or ended:
            self.pump()
        if not self.workers:
            return min(self._reap_at, self._gate_at)
        return min(self._reap_at, self._gate_at, now + max(0.05, options.idle_timeout / 4))

    # ------------------------------------------------------------ the end

    def stop(self) -> None:
        """Let all idle workers go; the others follow when their calls have ended. Blocks nobody."""
        with self._lock:
            self._stopping = True
            for worker in tuple(self.workers.values()):
                if worker.state in {IDLE, STARTING}:
                    self._retire_locked(worker)
        if self._entered:
            HUB.post(self._end_if_empty)
        else:
            self._note_ended()

    def _end_if_empty(self) -> None:
        """On the hub's thread: with the last worker, the zygote goes, and then the pool leaves the hub."""
        if not self._stopping or self.workers or not self._entered:
            return
        link = self._link
        if link is not None:
            if not link.closed:
                HUB.unlisten(link.fd)
            if not link.close():
                self._reap_at = self.now() + _REAP_PAUSE
                HUB.need(self._reap_at)
                return
            self._link = None
        self._entered = False
        HUB.leave(self)
        PROCESSES.leave(self)
        self._note_ended()

    def _note_ended(self) -> None:
        with self._lock:
            watchers, self._end_watchers = self._end_watchers, []
        for watcher in watchers:
            watcher()

    def on_end(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher`` when all processes of the stopped pool have ended."""
        with self._lock:
            self._end_watchers.append(watcher)
        if self._entered:
            HUB.post(self._end_if_empty)
        elif self._stopping:
            self._note_ended()

    def after_fork(self) -> None:
        """In a child: the workers, the zygote and the hub are the parent's."""
        for worker in self.workers.values():
            worker.close()
        if self._link is not None:
            self._link.forget()
        stopping = self._stopping
        self._lock = self.admission.lock
        self._reset()
        self._stopping = stopping
