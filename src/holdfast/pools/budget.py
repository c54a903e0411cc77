"""What the whole process may use: the bound behind every pool."""

import os
import threading
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from holdfast._core import check
from holdfast.pools._process_supply import PROCESSES
from holdfast.pools._supply import SUPPLY

if TYPE_CHECKING:
    from holdfast.sense import Reading

__all__ = ("Budget", "current_budget", "set_budget")

_SHARE: Final = 0.8
"""Of what the system would still give, so much is the budget's: the rest is for everybody else."""

_MOST_THREADS: Final = 1024
"""Where the system names no bound, or one that no machine can schedule."""

_FEW_DESCRIPTORS: Final = 256
_LITTLE_MEMORY: Final = 1 << 30
"""Where nothing can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much of the machine this process may use, whatever the number of its pools and loops.

    The pools keep to ``threads`` and ``processes``: the sum of their worker threads never exceeds the
    one, that of their worker processes, spares among them, never the other. The other figures are for
    what sizes itself by them.

    Args:
        threads: Worker threads of all pools together, at least 1. A ``min_workers`` is reserved out
            of them, and one always stays for everybody.
        processes: Worker processes and tools, at least 1.
        descriptors: Open file descriptors, at least 1.
        memory_bytes: Resident memory, at least 1.

    Example:
        >>> budget = Budget.detect()
        >>> budget.threads >= 1
        True
    """

    threads: int
    processes: int
    descriptors: int
    memory_bytes: int

    def __post_init__(self) -> None:
        for field in fields(self):
            check.count(field.name, getattr(self, field.name), least=1)

    @classmethod
    def detect(cls) -> "Budget":
        """Read the machine: four fifths of what its tightest bounds leave to this process now.

        The bounds are those of :func:`holdfast.sense.bounds`: resource limits, control groups and
        all their parents, the kernel. Threads are at most 1,024 where nothing tighter is found.
        """
        from holdfast.sense import bounds  # noqa: PLC0415 - quick to import only when it is not

        found = bounds()
        return cls(
            threads=min(_share(found.threads, _MOST_THREADS), _MOST_THREADS),
            processes=min(_share(found.processes, _MOST_THREADS), _MOST_THREADS),
            descriptors=_share(found.descriptors, _FEW_DESCRIPTORS),
            memory_bytes=_share(found.memory, _LITTLE_MEMORY),
        )


def _share(reading: "Reading", unknown: int) -> int:
    return unknown if reading.left is None else max(1, int(reading.left * _SHARE))


_lock = threading.Lock()
_budget: Budget | None = None


def current_budget() -> Budget:
    """Return the budget of this process; it is detected when it is first asked for or needed."""
    global _budget  # noqa: PLW0603 - the process's own
    found = _budget
    if found is not None:
        return found
    with _lock:
        if _budget is None:
            _budget = Budget.detect()
        return _budget


def set_budget(budget: Budget) -> Budget:
    """Set the budget of this process; from any thread, at any time.

    Threads beyond a lowered one end as soon as their calls have; a raised one is used at once.

    Args:
        budget: What the process may use from now on.

    Returns:
        The budget until now.
    """
    global _budget  # noqa: PLW0603 - the process's own
    before = current_budget()
    with _lock:
        _budget = budget
    SUPPLY.resize(budget.threads)
    PROCESSES.resize(budget.processes)
    return before


SUPPLY.find_limit = lambda: current_budget().threads
PROCESSES.find_limit = lambda: current_budget().processes


def _after_fork() -> None:
    """In the child: who was about to detect the budget is another thread, which stayed behind."""
    global _lock  # noqa: PLW0603 - as above
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
