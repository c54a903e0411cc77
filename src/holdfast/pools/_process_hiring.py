"""Who runs which call, and the processes that are asked for.

Purpose: have as many processes as the calls need, and a spare one ready, within the pool's limit and the
process's budget.

Guarantees
- a call that has its permit is with one worker, or in ``homeless`` and waits for one;
- a refusal by the system (no process, no descriptor) loses nothing: it is tried again, after a pause
  that doubles; where no worker has come for two seconds, what waits is refused, and has never started.

Everything named ``_..._locked`` is done under the admission's lock.
"""

import logging
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from holdfast.errors import UnderPressure
from holdfast.pools._admission import Admission
from holdfast.pools._process_calls import ProcessEntry
from holdfast.pools._process_hub import HUB
from holdfast.pools._process_link import Link
from holdfast.pools._process_supply import PROCESSES
from holdfast.pools._process_worker import BUSY, IDLE, STARTING, WorkerProcess

__all__ = ("CrewOptions", "Hiring")

log = logging.getLogger("holdfast.pools")

_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.5
_PATIENCE: Final = 2.0


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


class Hiring(ABC):
    """The first part of a pool's core: see the module. What it leaves open is done by the others."""

    def __init__(
        self, admission: Admission, options: CrewOptions, now: Callable[[], float]
    ) -> None:
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
        self._gate_at = math.inf  # when the rate allows the next start
        self._end_watchers: list[Callable[[], None]] = []

    # ------------------------------------------------------------ done by the other parts

    @abstractmethod
    def deliver(self, pairs: list[tuple[WorkerProcess, ProcessEntry]]) -> None:
        """See where it is done."""

    @abstractmethod
    def hear_worker(self, worker: WorkerProcess) -> None:
        """See where it is done."""

    @abstractmethod
    def refuse_homeless(self, entry: ProcessEntry, error: Exception) -> None:
        """See where it is done."""

    @abstractmethod
    def spare_one(self) -> bool:
        """See where it is done."""

    @abstractmethod
    def tick(self, now: float) -> float:
        """See where it is done."""

    @abstractmethod
    def _on_word(self, kind: int, number: int, first: int, second: int) -> None:
        """See where it is done."""

    @abstractmethod
    def _on_link_end(self) -> None:
        """See where it is done."""

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
                    if self.admission.gate is not None and self.admission.has_work():
                        self._gate_at = self.now() + self.admission.gate_opens_in
                        HUB.need(self._gate_at)
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
            if not PROCESSES.take(self):
                if not self.workers:
                    PROCESSES.reclaim(self)
                return
            try:
                self._ask_for_one()
            except (OSError, RuntimeError) as error:
                PROCESSES.give_back()
                self._note_refusal(error)
                return

    def _ask_for_one(self) -> None:
        with self._lock:
            if not self.shortage_locked():  # somebody else has asked meanwhile
                PROCESSES.give_back()
                return
            if not self._entered:
                HUB.enter(self)
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
        HUB.need(worker.born + self.options.idle_timeout / 4)
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
