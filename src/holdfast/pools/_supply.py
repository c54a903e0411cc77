"""The process's supply of worker threads: one bound for all pools together.

Purpose: keep the sum of worker threads within the budget, however many pools and loops there are, and
let no pool starve while others keep the threads.

Guarantees
- threads that pools have started, and not yet let go, are never more than the limit (but for those
  that run already when the limit is lowered);
- what a pool has reserved with ``min_workers`` is its own as soon as it has come free;
- a slot that comes free goes first to a pool below its reservation (*entitled*), then to one that has
  work and no worker at all (*starving*), then to one that could use a further one (*wanting*); among
  equals to the one that has waited longest;
- while a pool starves, idle workers of other pools give up their slots at once, and busy ones when
  they end their call.

States of a slot: free -> held (from before its thread is asked for) -> passed on with its thread to
another pool, or free again as the last thing that its thread does. ``threads`` slots are held, and
``unfilled`` more are reserved by pools that have not asked for them yet: others may take a slot while
the sum is below the limit, their pools while ``threads`` is.

Locks: a crew calls in here under its own lock; nothing is called from here under this one.
"""

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Protocol

from holdfast.errors import UnderPressure
from holdfast.pools._worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("SUPPLY", "Supplied", "Supply")

_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 1.0
"""Seconds for which no further thread is asked for after a refusal, doubling from the first."""


class Supplied(Protocol):
    """A pool's crew, as the supply sees it."""

    def hire(self) -> None:
        """Send a worker to the line, if there is something to do."""
        ...

    def lend(self) -> bool:
        """Let an idle worker go, if there is one to spare; whether there was."""
        ...

    def adopt(self) -> Worker | None:
        """In a thread whose slot was passed on to this pool: its new place, if it is of use."""
        ...

    def begin(self, worker: Worker) -> bool:
        """In the thread of a new worker, first of all: whether it is still wanted."""
        ...

    def serve(self, worker: Worker) -> None:
        """Run calls in this thread until the worker leaves the pool."""
        ...


class Supply:
    """Slots for worker threads. Every method may be called from any thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.limit = 0  # 0: it is still to be found
        self.find_limit: Callable[[], int] = lambda: 1
        self.reserved = 0
        self._crews: dict[Supplied, None] = {}  # of the pools that are open
        self._reset()

    def _reset(self) -> None:
        self.starved = 0  # how many starve; read without the lock by every worker between two calls
        self.hungry = 0  # how many starve or want; read by every worker that is about to be idle
        self._entitled: OrderedDict[Supplied, None] = OrderedDict()
        self._starving: OrderedDict[Supplied, None] = OrderedDict()
        self._wanting: OrderedDict[Supplied, None] = OrderedDict()
        self.threads = 0
        self.unfilled = self.reserved
        self._refusals = 0  # by the system, in a row
        self._try_at = 0.0

    # ------------------------------------------------------------ pools

    def enter(self, crew: Supplied, min_workers: int) -> None:
        """A new pool, and what it reserves.

        Raises:
            UnderPressure: The budget can't hold the reservation.
        """
        if not self.limit:
            self.resize(self.find_limit())
        with self.lock:
            if min_workers and self.reserved + min_workers >= self.limit:
                msg = (
                    f"min_workers={min_workers} can't be reserved: of the process's budget of {self.limit} worker "
                    f"threads {self.reserved} are reserved, and one has to stay for everybody else; reserve "
                    "less, close a pool, or raise the budget's threads"
                )
                raise UnderPressure(msg)
            self.unfilled += min_workers
            self.reserved += min_workers
            self._crews[crew] = None

    def resize(self, limit: int) -> None:
        """Set how many threads there may be; those beyond it end as soon as their calls have."""
        with self.lock:
            self.limit = limit
            self._recount()
            hungry = [*self._entitled, *self._starving, *self._wanting]
            crews = list(self._crews) if self.threads > limit else []
        for crew in hungry:
            crew.hire()
        for crew in crews:
            while self.threads > limit and crew.lend():
                pass

    def leave(self, crew: Supplied, reserved: int, workers: int) -> None:
        """A pool has closed: its reservation is over, but for the workers that it still has."""
        with self.lock:
            self.unfilled -= max(0, reserved - workers)
            self.reserved -= reserved
            self._crews.pop(crew, None)
            self._forget(crew)

    # ------------------------------------------------------------ slots

    def take(
        self, crew: Supplied, worker: Worker, workers: int, min_workers: int, now: float
    ) -> bool:
        """A slot for ``worker`` of a pool that has so many; else the pool is put in line for one."""
        with self.lock:
            entitled = workers < min_workers
            may_wait = workers > 0 or self._somebody_may_come()
            paused = self._refusals > 0 and may_wait and now < self._try_at
            room = self.limit - self.threads - (0 if entitled else self.unfilled)
            if room > 0 and not paused:
                self.threads += 1
                self.unfilled -= entitled
                worker.slot = True
                self._forget(crew)
                return True
            self._line_up(
                crew, self._entitled if entitled else self._wanting if workers else self._starving
            )
            return False

    def wait(self, crew: Supplied) -> None:
        """Put a pool that has work, and no worker, in line for a slot."""
        with self.lock:
            self._line_up(crew, self._starving)

    def pass_on(self, *, reserved: bool) -> Supplied | None:
        """A thread has left its pool: the pool that it serves next with its slot, or None: it is free.

        Args:
            reserved: Whether the slot is one that its pool keeps.
        """
        with self.lock:
            self.unfilled += reserved
            for line in (self._entitled, self._starving, self._wanting):
                over = self.threads + self.unfilled > self.limit and line is not self._entitled
                if line and not over:
                    crew, _ = line.popitem(last=False)
                    self._recount()
                    return crew
            self.threads -= 1
            self._recount()
            return None

    def fill(self) -> None:
        """A slot that was passed on fills one that its new pool had reserved."""
        with self.lock:
            self.unfilled -= 1

    def give_back(self, *, reserved: bool) -> None:
        """A slot whose thread was refused by the system is free."""
        with self.lock:
            self.threads -= 1
            self.unfilled += reserved

    def reclaim(self) -> None:
        """A pool was denied a slot: have an idle worker of another one give up its own."""
        with self.lock:
            crews = tuple(self._crews)
        for crew in crews:
            if crew.lend():
                return

    def others_may_come(self) -> bool:
        """Whether any thread is there that could be passed on."""
        with self.lock:
            return self._somebody_may_come()

    # ------------------------------------------------------------ refusals by the system

    def refused(self, now: float) -> float:
        """The system has refused a thread: ask for no further one for so many seconds."""
        with self.lock:
            self._refusals += 1
            pause = min(_PAUSE * 2.0 ** min(self._refusals, 10), _LONGEST_PAUSE)
            self._try_at = now + pause
            return pause

    def granted(self) -> None:
        """The system has started a thread."""
        if self._refusals:
            with self.lock:
                self._refusals = 0

    # ------------------------------------------------------------ inside

    def _somebody_may_come(self) -> bool:
        return self.threads + self.unfilled > self.reserved

    def _line_up(self, crew: Supplied, line: OrderedDict[Supplied, None]) -> None:
        if crew not in line:
            self._forget(crew)
            line[crew] = None
            self._recount()

    def _forget(self, crew: Supplied) -> None:
        for line in (self._entitled, self._starving, self._wanting):
            line.pop(crew, None)
        self._recount()

    def _recount(self) -> None:
        over = max(0, self.threads - self.limit)  # a lowered limit: these are to end
        self.starved = len(self._entitled) + len(self._starving) + over
        self.hungry = self.starved + len(self._wanting)

    def after_fork(self) -> None:
        """Start clean in a child: the threads stayed with the parent."""
        self.lock = threading.Lock()
        self._reset()

    def keep(self, workers: int, min_workers: int) -> None:
        """In a child: so many workers of a pool, one or none, live on."""
        self.threads += workers
        self.unfilled -= min(workers, min_workers)


SUPPLY: Final = Supply()
"""The one supply of this process."""


def serve_in_turn(crew: Supplied, worker: Worker) -> None:
    """The life of a thread: it serves one pool, and then those to which its slot is passed on."""
    if not crew.begin(worker):
        worker.gone.release()
        return
    while True:
        crew.serve(worker)
        left = worker
        adopted: Worker | None = None
        reserved = left.reserved
        while adopted is None:
            following = SUPPLY.pass_on(reserved=reserved)
            if following is None:
                left.gone.release()
                return
            reserved = False
            adopted = following.adopt()
            crew = following
        worker = adopted
        left.passed_on = True
        left.gone.release()
