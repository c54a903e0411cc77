"""A coroutine that may run for so long, by its pool's timeout or by a deadline that it inherited."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from holdfast.errors import CallTimeout
from holdfast.pools._async_core import AsyncCore, RunDeadline
from holdfast.pools._deadline_left import Left, ran_longer

__all__ = ("run_within",)

R = TypeVar("R")


async def run_within(
    core: AsyncCore,
    timeout: float,
    fn: Callable[..., Awaitable[R]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> R:
    """Await ``fn(*args, **kwargs)`` and cancel it after ``timeout`` seconds.

    Raises:
        CallTimeout: It was cancelled for that, and has ended.
        Exception: Whatever ``fn`` raised.
    """
    deadline = RunDeadline(asyncio.get_running_loop(), timeout)
    try:
        value = await fn(*args, **kwargs)
    except BaseException as error:
        if not deadline.turn(error):
            raise
        core.admission.count_timeout()
        comma = "," if isinstance(timeout, Left) else ""
        msg = f"{ran_longer(core.admission.name, timeout)}{comma} and it was cancelled"
        raise CallTimeout(msg, stopped=True) from None
    deadline.turn(None)
    return value
