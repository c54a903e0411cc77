"""The worker processes of one pool: asked for, at work, idle, ended.

Purpose: have as many processes as the calls need, and a spare one ready, within the pool's limit and the
process's budget; end them when they have been idle, are worn out, or are to be stopped.

Guarantees
- a call that has its permit is with one worker, or in ``homeless`` and waits for one;
- a refusal by the system (no process, no descriptor) loses nothing: it is tried again, after a pause
  that doubles; where no worker has come for two seconds, what waits is refused, and has never started;
- a worker that dies before it is ready counts; after three in a row the pool is broken, and says why,
  instead of starting one after the other.

Everything named ``_..._locked`` is done under the admission's lock. Words of the zygote, ticks and what
is posted come on the hub's thread.
"""

import logging
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from holdfast.errors import PoolClosed, UnderPressure
from holdfast.pools._admission import Admission
from holdfast.pools._broken import Broken
from holdfast.pools._child import wire
from holdfast.pools._process_calls import ProcessEntry
from holdfast.pools._process_hub import HUB
from holdfast.pools._process_link import Link
from holdfast.pools._process_supply import PROCESSES
from holdfast.pools._process_worker import (
    BUSY,
    DEAD,
    DOOMED,
    IDLE,
    LEAVING,
    STARTING,
    WorkerProcess,
)

__all__ = ("Crew", "CrewOptions")

log = logging.getLogger("holdfast.pools")

_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.5
_PATIENCE: Final = 2.0
_MOST_STILLBORN: Final = 3
_REAP_PAUSE: Final = 0.002
"""Seconds between looks at a zygote that was told to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewOptions:
    """How many processes there are, and for how long; checked where the pool is made."""

    min_workers: int
    spares: int
    idle_timeout: float
    kill_grace: float
    max_calls: float
    max_age: float
    shared: bool
    make_link: Callable[..., Link]


class Crew:
    """The processes of a pool. Subclassed by the core, which knows what calls are."""

    def __init__(self, admission: Admission, options: CrewOptions, now: Callable[[], float]) -> None:
        self.admission = admission
        self.options = options
        self.now = now
        self._lock = admission.lock
        self.broken: BaseException | None = None
        self.refused = 0
        self._reset()

    def _reset(self) -> None:
        self.workers: dict[int, WorkerProcess] = {}
        self.idle: list[WorkerProcess] = []
        self.homeless: deque[ProcessEntry] = deque()
        self._link: Link | None = None
        self._numbers = 0
        self._entered = False
        self._stopping = False
        self._needs_main = False
        self._stillborn = 0
        self._refusals = 0
        self._refused_since: float | None = None
        self._try_at = 0.0
        self._ever_ready = False
        self._reap_at = math.inf
        self._end_watchers: list[Callable[[], None]] = []

    # ------------------------------------------------------------ to be had by the core

    def deliver(self, pairs: list[tuple[WorkerProcess, ProcessEntry]]) -> None:
        """Send the calls to the workers that they were given."""
        raise AssertionError("abstract")  # noqa: EM101 - the core has it

    def hear_worker(self, worker: WorkerProcess) -> None:
        """There is something to read."""
        raise AssertionError("abstract")  # noqa: EM101 - the core has it

    def lose(self, worker: WorkerProcess, status: int, *, over: bool) -> None:
        """The worker is dead; what becomes of its call?"""
        raise AssertionError("abstract")  # noqa: EM101 - the core has it

    def stuck(self, worker: WorkerProcess) -> None:
        """The worker does not end."""
        raise AssertionError("abstract")  # noqa: EM101 - the core has it

    def refuse_homeless(self, entry: ProcessEntry, error: Exception) -> None:
        """A call that has its permit will never have a worker."""
        raise AssertionError("abstract")  # noqa: EM101 - the core has it

    # ------------------------------------------------------------ who runs what

    def match_locked(self) -> list[tuple[WorkerProcess, ProcessEntry]]:
        """Give idle workers to the calls that may start."""
        pairs: list[tuple[WorkerProcess, ProcessEntry]] = []
        idle, homeless = self.idle, self.homeless
        while idle:
            if homeless:
                entry: Any = homeless.popleft()
            else:
                entry = self.admission._claim()  # noqa: SLF001 - one lock for both halves of the pool
                if entry is None:
                    break
            worker = idle.pop()
            self.give_locked(worker, entry)
            pairs.append((worker, entry))
        return pairs

    def give_locked(self, worker: WorkerProcess, entry: ProcessEntry) -> None:
        """The call is the worker's from now on."""
        worker.state = BUSY
        worker.sending = True
        worker.call = entry
        worker.calls += 1
        entry.worker = worker

    def shortage_locked(self) -> int:
        """How many more processes are needed."""
        if self._stopping or self.broken is not None:
            return 0
        admission, options = self.admission, self.options
        busy = live = 0
        for worker in self.workers.values():
            if worker.state == BUSY:
                busy += 1
            live += worker.state in {STARTING, IDLE, BUSY}
        room = max(0, admission.ceiling - admission.in_flight)
        demand = busy + len(self.homeless) + min(admission.queued_calls(), room)
        if demand or live:
            demand += options.spares if self._ever_ready else 0
        most = admission.ceiling + options.spares
        return max(0, min(most, max(demand, options.min_workers)) - live)

    def pump(self) -> None:
        """Start what may start, and ask for the processes that are missing."""
        with self._lock:
            pairs = self.match_locked()
            short = self.shortage_locked()
        if pairs:
            self.deliver(pairs)
        if short:
            self.hire(short)

    def refill(self) -> None:
        """A place may be free in the budget."""
        HUB.post(self.pump)

    # ------------------------------------------------------------ asking for processes

    def hire(self, count: int) -> None:
        """Ask for so many processes; what the system refuses is tried again later."""
        if self.now() < self._try_at:
            HUB.need(self._try_at)
            return
        for _ in range(count):
            if not PROCESSES.take(self):  # type: ignore[arg-type] # the core has what is missing here
                if not self.workers:
                    PROCESSES.reclaim(self)  # type: ignore[arg-type] # likewise
                return
            try:
                self._ask_for_one()
            except (OSError, RuntimeError) as error:
                PROCESSES.give_back()
                self._note_refusal(error)
                return

    def _ask_for_one(self) -> None:
        with self._lock:
            if self._stopping:
                PROCESSES.give_back()
                return
            if not self._entered:
                HUB.enter(self)  # type: ignore[arg-type] # the core ticks
                self._entered = True
            link = self._link
            if link is None:
                link = self._link = self.options.make_link(
                    needs_main=self._needs_main, on_word=self._on_word, on_end=self._on_link_end
                )
                HUB.listen(link.fd, link.hear)
            self._numbers += 1
            worker = WorkerProcess(self._numbers)
            self.workers[worker.number] = worker
            worker.born = self.now()
            worker.expires = worker.born + self.options.max_age
        self._listen(worker)
        try:
            link.spawn(worker, needs_main=self._needs_main)
        except OSError:
            HUB.unlisten(worker.reading_fd)
            with self._lock:
                del self.workers[worker.number]
            worker.close()
            raise

    def _listen(self, worker: WorkerProcess) -> None:
        if not worker.listened:
            worker.listened = True
            HUB.listen(worker.reading_fd, lambda: self.hear_worker(worker))

    def need_main(self) -> None:
        """Calls come from the main program: further workers read it before they are needed."""
        self._needs_main = True

    def _note_refusal(self, error: Exception) -> None:
        now = self.now()
        with self._lock:
            self.refused += 1
            self._refusals += 1
            pause = min(_PAUSE * 2.0 ** min(self._refusals, 10), _LONGEST_PAUSE)
            self._try_at = now + pause
            if self._refused_since is None:
                self._refused_since = now
            alone = not any(worker.ready for worker in self.workers.values())
            give_up = alone and now - self._refused_since >= _PATIENCE
            entered = self._entered
        text = "pool %r: the system refused a worker process (%s); %d are there"
        log.warning(text, self.admission.name, error, len(self.workers))
        if give_up or not entered:
            self._refuse_all(error)
        else:
            HUB.need(self._try_at)

    def _refuse_all(self, error: Exception) -> None:
        why = (
            f"the system refused its first worker process ({error}); raise the limit on processes or "
            "descriptors (ulimit -u, ulimit -n, pids.max), or run fewer"
        )
        self._refused_since = None
        for entry in self.admission.waiting():
            if self.admission.withdraw(entry):
                entry.refuse(self.admission.refusal(UnderPressure, why))
        self._empty_homes(lambda: self.admission.refusal(UnderPressure, why))

    def _empty_homes(self, make: Callable[[], Exception]) -> None:
        while True:
            with self._lock:
                if not self.homeless:
                    return
                entry = self.homeless.popleft()
            self.refuse_homeless(entry, make())

    # ------------------------------------------------------------ words of the zygote

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
        from holdfast.pools._process_orphans import end_sessions  # noqa: PLC0415 - rare

        workers = list(self.workers.values())
        end_sessions([worker.pid for worker in workers if worker.pid is not None])
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
        log.critical("pool %r: a worker process can't be prepared", self.admission.name, exc_info=error)
        self.break_pool(error, f"what prepares its worker processes failed with {error!r}")
        del worker

    def break_pool(self, error: BaseException, why: str) -> None:
        """Nothing will ever run: say so to everybody."""
        self.broken = error
        self.admission.why_closed = cast("type[PoolClosed]", Broken(why, error))
        self.admission.close(refuse_waiting=True)
        self._empty_homes(lambda: self.admission.refusal(self.admission.why_closed, why))

    # ------------------------------------------------------------ ends

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
        if self._refusals or ended:
            self.pump()
        if not self.workers:
            return self._reap_at
        return min(self._reap_at, now + max(0.05, options.idle_timeout / 4))

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
        HUB.leave(self)  # type: ignore[arg-type] # the core ticks
        PROCESSES.leave(self)  # type: ignore[arg-type] # likewise
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


