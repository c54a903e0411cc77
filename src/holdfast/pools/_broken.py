"""What a pool says when its initializer has failed, or whatever else its workers need."""

from concurrent.futures import BrokenExecutor
from concurrent.futures.thread import BrokenThreadPool
from typing import Any

from holdfast.errors import PoolClosed

__all__ = ("Broken", "BrokenPool", "BrokenProcesses")


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


class Broken:
    """Makes the error of a broken process pool, in the place of its class: it names the cause."""

    __slots__ = ("_error", "_why")
    reason = BrokenProcesses.reason

    def __init__(self, why: str, error: BaseException) -> None:
        self._why = why
        self._error = error

    def __call__(self, message: str, **figures: Any) -> BrokenProcesses:
        """Make one."""
        made = BrokenProcesses(f"{message.partition(': ')[0]}: {self._why}", **figures)
        made.__cause__ = self._error
        return made
