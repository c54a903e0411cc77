"""Runs a coroutine function at the end of an event loop, while the loop still runs.

Connections of asyncio belong to an event loop and have to be closed in it; ``atexit`` comes too
late, as the loop is gone by then. But ``asyncio.run`` ends the asynchronous generators that are
still waiting (``loop.shutdown_asyncgens``) before it closes the loop, so one of them is parked with
the closing in its ``finally``.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeAlias

Parked: TypeAlias = AsyncGenerator[None, None]


async def at_loop_end(close: Callable[[], Awaitable[None]]) -> Parked:
    """Have ``close`` awaited when the running event loop shuts down.

    Returns:
        What must be kept for as long as ``close`` is wanted; ``await it.aclose()`` closes earlier.
    """
    parked = _wait_and_close(close)
    await anext(parked)
    return parked


async def _wait_and_close(close: Callable[[], Awaitable[None]]) -> Parked:
    try:
        yield
    finally:
        await close()
