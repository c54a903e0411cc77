"""A coroutine to its end for blocking code, on the loop that all blocking code shares."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import wait
from typing import Any, TypeVar

from holdfast.pools._bridge import Bridge

__all__ = ("run_blocking", "run_on")

R = TypeVar("R")


def run_blocking(make: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """Run what ``make`` returns, and wait for its end even when the wait is interrupted.

    Raises:
        Exception: Whatever it raised.
    """
    bridge = Bridge.borrow()
    try:
        return run_on(bridge.loop, make())
    finally:
        bridge.give_back()


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
