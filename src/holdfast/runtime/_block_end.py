"""How a block ended, in words, and whether it ended because it was told to."""

import asyncio
from collections.abc import Sequence
from typing import Final, cast

from holdfast.errors import PoolClosed

__all__ = ("is_by_the_end", "still_open", "told_of")

_MOST: Final = 8


def told_of(refused: Sequence[str]) -> str:
    """What could not be ended."""
    shown = "; ".join(refused[:_MOST])
    more = f"; and {len(refused) - _MOST} more" if len(refused) > _MOST else ""
    return (
        f"the Runtime has ended, and {len(refused)} of what it owned could not be: {shown}{more}; give calls a "
        "timeout, or the end more time (grace)"
    )


def is_by_the_end(error: BaseException) -> bool:
    """Whether a block that was told to end ended with this because of that."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(is_by_the_end(each) for each in group.exceptions)
    return isinstance(error, PoolClosed | asyncio.CancelledError)


def still_open(since: float) -> str:
    """What was opened in the last ``since`` seconds, is tracked, and belongs to nobody; empty for nothing."""
    from holdfast.track.tracked import opened  # noqa: PLC0415 - asked once, at the end

    found = [str(each) for each in opened("process") if each.age_s <= since]
    if not found:
        return ""
    shown = "; ".join(found[:_MOST])
    more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return (
        f"the Runtime has ended, and {len(found)} of what was opened meanwhile is open still: {shown}{more}; "
        "close it, or have it closed by `rt.own(...)` or `holdfast.scope`"
    )
