"""Where the coroutines of a pool stand, for people to read."""

import asyncio
from typing import Final

from holdfast.pools._admission import Admission
from holdfast.pools._awaiting import chain, frame_of
from holdfast.pools._deadlock_above import permits
from holdfast.pools._deadlock_stacks import users_line

__all__ = ("describe_coroutines",)

_SHOWN: Final = 3


def describe_coroutines(loop: asyncio.AbstractEventLoop, admission: Admission) -> str:
    """Say where the first few coroutines stand that hold a permit of a pool, from any thread."""
    told = [
        users_line([frame for link in reversed(chain(task)) if (frame := frame_of(link))])
        or "a coroutine of the standard library"
        for task in asyncio.all_tasks(loop)
        if any(held is admission for held, _ in permits(task))
    ]
    more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return "; ".join(told[:_SHOWN]) + more
