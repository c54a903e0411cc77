"""Connecting when the system has no descriptor left: with pauses, and not for longer than is agreed.

A refusal comes before anything was sent, so trying again repeats nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from holdfast._core import clock
from holdfast.errors import UnderPressure
from holdfast.pools.deadline import remaining
from holdfast.track._backing_off import Pauses, is_shortage
from holdfast.track._http.tickets import Door

__all__ = ("patiently", "patiently_blocking")

R = TypeVar("R")

_LONGEST: float = 30.0


class _Attempts:
    """Those of one request."""

    def __init__(self, door: Door, patience: float | None) -> None:
        self._door = door
        self._patience = patience
        self._pauses = Pauses()
        self._until: float | None = None

    def pause(self, error: Exception) -> float:
        """Seconds until the next one; raises if there is to be none."""
        if not is_shortage(error):
            raise error
        self._door.shortages += 1
        now = clock.now()
        if self._until is None:
            left = [span for span in (self._patience, remaining()) if span is not None]
            self._until = now + (min(left) if left else _LONGEST)
        pause = self._pauses.next(error)
        if now + pause < self._until:
            return pause
        msg = (
            f"{self._door.name}: the system has no descriptor left for a connection ({error}); "
            "nothing was sent. Raise the limit (holdfast.raise_fd_limit()), or close what is open: "
            "holdfast.track.opened() lists it"
        )
        raise UnderPressure(msg) from error


async def patiently(door: Door, patience: float | None, connect: Callable[[], Awaitable[R]]) -> R:
    """Await ``connect()``, again and again while the system refuses it a descriptor.

    Raises:
        UnderPressure: There was none to be had in ``patience`` seconds, or until the deadline.
    """
    attempts: _Attempts | None = None
    while True:
        try:
            return await connect()
        except Exception as error:  # noqa: BLE001 - raised again, unless it is a shortage
            attempts = attempts or _Attempts(door, patience)
            pause = attempts.pause(error)
        await asyncio.sleep(pause)


def patiently_blocking(door: Door, patience: float | None, connect: Callable[[], R]) -> R:
    """Do the same for what blocks."""
    attempts: _Attempts | None = None
    while True:
        try:
            return connect()
        except Exception as error:  # noqa: BLE001 - raised again, unless it is a shortage
            attempts = attempts or _Attempts(door, patience)
            pause = attempts.pause(error)
        clock.sleep(pause)
