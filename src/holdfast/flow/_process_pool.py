"""The pool in which programs run when no other is given: one for this program."""

import threading

from holdfast.pools import AsyncPool
from holdfast.pools.budget import Budget, current_budget

__all__ = ("default_pool",)

_DESCRIPTORS_EACH = 6
"""Three pipes, the descriptor of the process, and two more while it starts."""

_lock = threading.Lock()
_pool: AsyncPool | None = None
_sized_by: Budget | None = None


def default_pool() -> AsyncPool:
    """Return the pool, sized by the budget as it is now: its processes, or what its descriptors allow."""
    global _pool, _sized_by  # noqa: PLW0603 - the process's own
    budget = current_budget()
    with _lock:
        if _pool is None:
            _pool = AsyncPool(_size(budget), name="processes")
        elif _sized_by is not budget:
            _pool.resize(_size(budget))
        _sized_by = budget
        return _pool


def _size(budget: Budget) -> int:
    return max(1, min(budget.processes, budget.descriptors // _DESCRIPTORS_EACH))
