"""Notice that a run can't go on: every thread that it may have is stuck in a call that timed out.

A thread can't be stopped. The pool starts up to ``limit`` more threads for those that are stuck
past their ``--timeout``; when these are stuck too, no item can begin until one of them ends by
itself, which may be never.
"""

import asyncio
from collections.abc import Callable

from holdfast._core import clock

__all__ = ("all_stuck",)

_LOOK_S = 0.25


async def all_stuck(abandoned: Callable[[], int], limit: int, patience: float) -> None:
    """Return once all threads have been stuck for ``patience`` seconds without a break.

    Args:
        abandoned: Says how many calls run although their items have been given up.
        limit: Most items in flight at once.
        patience: Seconds that one of the calls has to end by itself.
    """
    since: float | None = None
    while since is None or clock.now() - since < patience:
        await asyncio.sleep(_LOOK_S)
        if abandoned() < 2 * limit:
            since = None
        elif since is None:
            since = clock.now()
