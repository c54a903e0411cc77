"""The threads of this process's budget, as its share of a limit that several processes have together.

Purpose: several instances of a program under one limit on threads (a control group, a user, a machine).
Each second, while somebody has to give way, and when somebody comes, goes or wants something else, this
process says what it would use, is granted its share, and sets its budget to that.

How much there is for worker threads of all of them: nine tenths of what is still free under the tightest
limit and what their workers hold already. How many workers another one has is what threads it has now,
less those that it has told to be none of its workers, and no more than it is granted.

Threads come and go while they are counted. So what is free is read before and after the workers, and the
smaller one counts: who has started threads in between has made it smaller, who has ended some has made it
larger. And the budget is lowered before this process says how many workers it has: those that it started
after would be nobody's, and be granted to another one.

Guarantees: those of :class:`~holdfast.watch.machine_share.MachineShare`; without a limit each has what it
wants; one thread stays for each in any case, out of the tenth that is left. A look that fails (the folder
is gone) is logged once, and leaves the budget as it is.

Assumes: all that share are under the same limit.
"""

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from holdfast._core import clock
from holdfast.pools._living import living_pools
from holdfast.pools._supply import SUPPLY
from holdfast.pools.budget import current_budget, set_budget
from holdfast.sense.threads import thread_bound, thread_count
from holdfast.watch._ticker import TICKER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.watch.machine_share import MachineShare, Member

__all__ = ("ThreadShare",)

log = logging.getLogger("holdfast.runtime")

_PART: Final = 0.9
_EVERY: Final = 1.0
"""Seconds from one look to the next, while nothing changes."""

_TRIES: Final = 3

_GLANCE: Final = 0.1
"""Seconds to the next glance at who shares and what they want, a tenth of the cost of a look."""


class ThreadShare:
    """Keeps the budget's threads at what this process is granted. May be used from any thread.

    Args:
        share: This process's place among those that share; closed with this.
        alone: Threads that the budget would allow if it were alone, at least 1.
    """

    def __init__(self, share: "MachineShare", alone: int) -> None:
        self._share = share
        self._alone = alone
        self._lock = threading.RLock()  # the collector may come in the middle, and close a pool
        self._failed = False
        self._settled = True
        self._looked_at = 0.0
        self._wishes: object = None  # what all wanted at the last look
        self._beside = 0
        self.granted = 0

    def start(self) -> None:
        """Take a first share now, and look again when there is reason to, at least each second.

        Raises:
            RuntimeError: The system refused the thread for it.
        """
        self.look()
        TICKER.add(self, _GLANCE)

    def close(self) -> None:
        """Give the share back."""
        TICKER.remove(self, 5.0)
        with self._lock:
            self._share.close()

    def tick(self) -> float:
        """Look again if there is reason to.

        Called by the ticker, never raises, returns when to come again in seconds.
        """
        try:
            if self._has_reason():
                self.look()
        except Exception as error:  # noqa: BLE001 - nothing of it may reach the program
            if not self._failed:
                log.warning(
                    "the share of threads can't be looked at, and stays at %d: %s",
                    self.granted,
                    error,
                )
            self._failed = True
        else:
            self._failed = False
        return _GLANCE

    def _has_reason(self) -> bool:
        with self._lock:
            if not self._settled or clock.now() - self._looked_at >= _EVERY:
                return True
            return self._wishes != self._wished(self._share.members())

    def _wished(self, others: "Sequence[Member]") -> object:
        """What everybody wants, this process first."""
        return self._most(), [(other.pid, other.wanted) for other in others]

    def _most(self) -> int:
        return min(self._alone, _most_wanted())

    def look(self) -> None:
        """Say what is wanted, and keep to what is granted.

        Raises:
            OSError: The folder of those that share is gone, or can't be written.
        """
        with self._lock:
            others = self._share.members()
            self._looked_at, self._wishes = clock.now(), self._wished(others)
            wanted = max(1, SUPPLY.threads, self._most())
            total = self._total(others)
            grant = self._share.look(
                total=wanted if total is None else total,
                wanted=wanted,
                held=self._keep_to,
                beside=self._count_beside(),
            )
            # Who has more than is fair gives way as calls end; until they have, nobody else is granted it.
            fair = wanted if total is None else self._share.fair
            self.granted = threads = max(1, min(grant, fair))
            self._settled = SUPPLY.threads <= fair <= grant
            _set_threads(threads)

    def _keep_to(self, threads: int) -> int:
        """Start no worker beyond so many; returns how many there are."""
        if current_budget().threads > threads:
            _set_threads(max(1, threads))
        return SUPPLY.threads

    def _count_beside(self) -> int:
        """Threads that are no workers; as told last while workers come and go too fast to be told from them."""
        for _ in range(_TRIES):
            workers = SUPPLY.threads
            threads = thread_count() or 0
            if workers == SUPPLY.threads:
                self._beside = max(0, threads - workers)
                break
        return self._beside

    def _total(self, others: "Sequence[Member]") -> int | None:
        """Worker threads that there may be in all processes together; None if nothing bounds them."""
        before = thread_bound().left
        if before is None:
            return None
        workers = SUPPLY.threads
        for other in others:
            threads = thread_count(other.pid)
            if threads is not None:
                # What is beyond its grant are threads beside, started since it told how many.
                workers += min(max(0, threads - other.beside), max(1, other.granted))
        after = thread_bound().left
        left = before if after is None else min(before, after)
        return int((left + workers) * _PART)


def _set_threads(threads: int) -> None:
    budget = current_budget()
    if budget.threads != threads:
        set_budget(replace(budget, threads=threads))


def _most_wanted() -> int:
    """What the thread pools would use if all of them were busy."""
    pools = [cast("Any", pool) for kind, pool in living_pools() if kind == "threads"]
    return sum(pool.set_limit for pool in pools if not pool.closed)
