"""How a block ended, in words, and whether it ended because it was told to."""

import asyncio
from collections.abc import Sequence
from typing import Final, cast

from holdfast.errors import PoolClosed

__all__ = ("is_by_the_end", "told_of")

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
