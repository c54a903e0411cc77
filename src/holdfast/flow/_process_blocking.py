"""A coroutine to its end for blocking code: on a loop of this thread's own, or on the one of the bridge."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import wait
from contextvars import copy_context
from typing import Any, TypeVar

__all__ = ("run_blocking", "run_on")

R = TypeVar("R")


def run_blocking(make: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """Run what ``make`` returns on a loop in this thread, which is nobody's else and closed afterwards.

    An interrupt cancels it, and goes on when it has ended. The thread's own loop, if it has set one,
    stays what it was.

    Raises:
        Exception: Whatever it raised.
    """
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(make(), context=copy_context())


def run_on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, R]) -> R:
    """Run ``work`` on ``loop``, which runs in another thread, and wait for its end."""
    task: list[asyncio.Task[R]] = []

    async def tracked() -> R:
        mine = asyncio.current_task()
        assert mine is not None  # noqa: S101 - it is what runs this coroutine
        task.append(mine)
        return await work

    future = asyncio.run_coroutine_threadsafe(tracked(), loop)
    try:
        return future.result()
    except BaseException:
        if not future.done():  # an interrupt of the wait: first the work is ended

            def cancel() -> None:
                for one in task:
                    one.cancel()

            loop.call_soon_threadsafe(cancel)
            wait((future,))
        raise
