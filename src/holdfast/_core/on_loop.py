"""What is kept on the object of an event loop, so that it lives exactly as long.

As attributes, and never through ``loop.__dict__``: once an object has handed out its dictionary, CPython 3.11
reads all of its attributes the slow way, and each callback of the loop costs a tenth more.
"""

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ("before_close", "keep", "kept")


def kept(loop: asyncio.AbstractEventLoop, key: str) -> Any:
    """What is kept under ``key``; None if nothing is."""
    return getattr(loop, key, None)


def keep(loop: asyncio.AbstractEventLoop, key: str, value: object) -> None:
    """Keep ``value`` under ``key``."""
    setattr(loop, key, value)


def before_close(loop: asyncio.AbstractEventLoop, fn: Callable[[], None]) -> None:
    """Have ``fn()`` called each time that ``loop`` is about to close; there is no other word of that."""
    close = loop.close

    def close_after() -> None:
        if not loop.is_running():  # else the loop refuses to close
            fn()
        close()

    keep(loop, "close", close_after)  # this loop's alone
