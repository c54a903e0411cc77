"""A bound for all retries together, so that they can't make a storm of a disturbance."""

import math
from dataclasses import dataclass

__all__ = ("RetryBudget", "RetryCounter")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """So many retries for each first call, and a few more.

    When a service fails for everybody, each caller that tries three times makes it three times the load.
    With a budget the retries of the whole process are at most ``ratio`` of its first calls, beyond a few
    each second that are always there for a program that has little to do.

    Args:
        ratio: Retries for each first call, 0 or more.
        per_s: Retries each second that are there in any case, 0 or more.
        most: Retries that may be saved up, at least 1.

    Source:
        Finagle's ``RetryBudget``; Google, "Site Reliability Engineering" (2016), chapter 21: "Handling
        overload", the per-client retry budget of 10 per cent.
    """

    ratio: float = 0.1
    per_s: float = 1.0
    most: float = 100.0

    def __post_init__(self) -> None:
        for name, least in (("ratio", 0.0), ("per_s", 0.0), ("most", 1.0)):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= least):
                msg = f"{name} must be {least:g} or more, not {value!r}"
                raise ValueError(msg)

    def counter(self, now: float) -> "RetryCounter":
        """Return a fresh counter, with ten seconds' worth of retries, at least one.

        Args:
            now: Seconds on a clock that never goes back.
        """
        return RetryCounter(self, now)


class RetryCounter:
    """The counter of one budget. Not safe from several threads: its owner holds a lock."""

    __slots__ = ("_balance", "_budget", "_since", "refused", "spent")

    def __init__(self, budget: RetryBudget, now: float) -> None:
        self._budget = budget
        self._since = now
        self._balance = min(max(1.0, 10.0 * budget.per_s), budget.most)
        self.spent = 0  # retries
        self.refused = 0  # retries that there was nothing left for

    def called(self, calls: int = 1) -> None:
        """Note first calls."""
        self._balance = min(self._balance + calls * self._budget.ratio, self._budget.most)

    def spend(self, now: float) -> bool:
        """Take one retry; False if there is none left."""
        earned = max(0.0, now - self._since) * self._budget.per_s
        self._since = now
        self._balance = min(self._balance + earned, self._budget.most)
        if self._balance < 1.0:
            self.refused += 1
            return False
        self._balance -= 1.0
        self.spent += 1
        return True

    def change(self, budget: RetryBudget) -> None:
        """Go by another budget from now on."""
        self._budget = budget
        self._balance = min(self._balance, budget.most)
