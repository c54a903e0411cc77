"""Connecting when the system has no descriptor left: with pauses, and not for longer than is agreed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from holdfast._core import clock
from holdfast.errors import UnderPressure
from holdfast.pools.deadline import remaining
from holdfast.track._backing_off import Pauses, is_shortage
from holdfast.track._http.gate import Gate

__all__ = ("patiently",)

R = TypeVar("R")


async def patiently(gate: Gate, patience: float | None, connect: Callable[[], Awaitable[R]]) -> R:
    """Await ``connect()``, again and again while the system refuses it a descriptor.

    A refusal comes before anything was sent, so trying again repeats nothing.

    Raises:
        UnderPressure: There was none to be had in ``patience`` seconds, or until the deadline.
    """
    pauses = Pauses()
    until = None
    while True:
        try:
            return await connect()
        except Exception as error:
            if not is_shortage(error):
                raise
            gate.shortages += 1
            now = clock.now()
            if until is None:
                left = [span for span in (patience, remaining()) if span is not None]
                until = now + min(left) if left else now + 30.0
            pause = pauses.next(error)
            if now + pause >= until:
                msg = (
                    f"http {gate.purpose!r}: the system has no descriptor left for a connection ({error}); "
                    "nothing was sent. Raise the limit (holdfast.raise_fd_limit()), or close what is open: "
                    "holdfast.track.opened() lists it"
                )
                raise UnderPressure(msg) from error
        await asyncio.sleep(pause)
