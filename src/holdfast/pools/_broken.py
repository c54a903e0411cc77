"""What a pool says when its initializer has failed, or whatever else its workers need."""

from concurrent.futures import BrokenExecutor
from concurrent.futures.thread import BrokenThreadPool

from holdfast.errors import PoolClosed

__all__ = ("BrokenPool", "BrokenProcesses")


class BrokenPool(PoolClosed, BrokenThreadPool):
    """The pool's initializer raised, so that no thread of it can work: never started, safe to repeat.

    Also the standard library's ``BrokenThreadPool``, which callers of an executor look for.
    """

    reason = "broken"


class BrokenProcesses(PoolClosed, BrokenExecutor):
    """The pool's worker processes can't be prepared, so that none can work: never started.

    Also the standard library's ``BrokenExecutor``, which callers of an executor look for.
    """

    reason = "broken"
