"""The bound for all retries of the process together."""

import os
import threading
from typing import Final

from holdfast._core import clock
from holdfast.limits.retry_budget import RetryBudget

__all__ = ("RETRIES", "Retries", "set_retry_budget")

_USED_UP: Final = (
    "not tried again: the retries of this process are used up for now, which is the sign of a "
    "disturbance that retries would make worse (holdfast.set_retry_budget)"
)


class Retries:
    """Counts first calls and retries of the whole process. May be used from any thread."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self, budget: RetryBudget | None = None) -> None:
        self.lock = threading.Lock()
        self.budget = budget or RetryBudget()
        self._counter = self.budget.counter(clock.now())

    def called(self, calls: int = 1) -> None:
        """Note first calls of what may be retried."""
        with self.lock:
            self._counter.called(calls)

    def spend(self) -> bool:
        """Take one retry; False if there is none left for now."""
        with self.lock:
            return self._counter.spend(clock.now())

    def spend_on(self, error: BaseException) -> bool:
        """Take one retry of a call that raised ``error``; False, with a note on it, if there is none left."""
        if self.spend():
            return True
        error.add_note(_USED_UP)
        return False

    def counts(self) -> tuple[int, int]:
        """Return how many retries there were, and how many there was nothing left for."""
        with self.lock:
            return self._counter.spent, self._counter.refused

    def change(self, budget: RetryBudget) -> RetryBudget:
        """Go by another budget; returns the one until now."""
        with self.lock:
            before, self.budget = self.budget, budget
            self._counter.change(budget)
            return before

    def after_fork(self) -> None:
        """Start clean in a child, whose calls are its own."""
        self._reset(self.budget)


RETRIES = Retries()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=RETRIES.after_fork)


def set_retry_budget(budget: RetryBudget) -> RetryBudget:
    """Set the bound for all retries of this process; from any thread, at any time.

    Args:
        budget: How many retries there may be.

    Returns:
        The budget until now.
    """
    return RETRIES.change(budget)
