"""Calls of the user's function: which are running, and which must not start any more.

Purpose: wrap the function so that at any moment it is known what really runs, also behind a
timeout (a thread goes on after its caller gave up) and between attempts (nothing runs then).
Guarantees: once ``stopping`` is set no call begins; what runs is left alone. The function can't
end the process with ``sys.exit``: that is its item's error.
Assumptions: ``dict`` and ``set`` operations are atomic; a plain function is called in many threads.
"""

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from holdfast._core import clock
from holdfast.cli.map.item import Item
from holdfast.cli.map.target import Target

__all__ = ("NOT_STARTED", "Calls", "TargetExitError")

NOT_STARTED = object()


class TargetExitError(Exception):
    """The function asked the whole process to end, which is not its business."""


class Calls:
    """The calls of one run.

    Attributes:
        stopping: Set it, and calls that have not begun return ``NOT_STARTED`` instead.
    """

    __slots__ = ("_levels", "_now", "_running", "_tokens", "stopping")

    def __init__(self) -> None:
        self.stopping = False
        self._running: dict[int, Item] = {}
        self._tokens = itertools.count()
        # Each number of running calls that was ever reached: a set, as adding to it needs no lock.
        self._levels = {0}
        self._now = clock.current().now

    @property
    def in_flight(self) -> int:
        """Calls that have begun and not ended."""
        return len(self._running)

    def running(self) -> list[Item]:
        """Return the items whose calls have begun and not ended; one of them may stand twice."""
        return list(self._running.values())

    @property
    def peak(self) -> int:
        """Most calls that were ever in flight at once."""
        return max(self._levels)

    def wrap(self, target: Target) -> Callable[[Item], Any]:
        """Return ``target`` as a function of an :class:`Item`, of the same kind: sync or async."""
        return self._wrap_async(target) if target.is_async else self._wrap_sync(target)

    def _wrap_async(self, target: Target) -> Callable[[Item], Awaitable[Any]]:
        function = target.function

        async def call(item: Item) -> Any:
            if self.stopping or item.bad is not None:
                return NOT_STARTED
            token = self._begin(item)
            try:
                return self._end(item, await function(item.value))
            except (SystemExit, KeyboardInterrupt) as error:
                raise _exit_error(error) from error
            finally:
                del self._running[token]

        return call

    def _wrap_sync(self, target: Target) -> Callable[[Item], Any]:
        function = target.function

        def call(item: Item) -> Any:
            if self.stopping or item.bad is not None:
                return NOT_STARTED
            token = self._begin(item)
            try:
                return self._end(item, function(item.value))
            except (SystemExit, KeyboardInterrupt) as error:
                raise _exit_error(error) from error
            finally:
                del self._running[token]

        return call

    def _begin(self, item: Item) -> int:
        token = next(self._tokens)
        self._running[token] = item
        self._levels.add(len(self._running))
        if not item.attempts:
            item.began = self._now()
        item.attempts += 1
        return token

    def _end(self, item: Item, result: Any) -> Any:
        item.ended = self._now()
        item.result = result
        item.finished = True
        return result


def _exit_error(error: BaseException) -> TargetExitError:
    what = "sys.exit" if isinstance(error, SystemExit) else "KeyboardInterrupt"
    return TargetExitError(f"the function called {what} ({error}), which can't end a run")
