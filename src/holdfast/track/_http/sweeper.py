"""Looks now and then at what is open: responses that nobody reads, connections that nobody uses.

Purpose: a response that was opened and forgotten holds its connection for as long as it is referenced,
and httpx closes an idle connection only when another request comes, which may be never.

A response counts as abandoned when its reader has asked for nothing in ``idle_timeout`` seconds; to wait
for a slow server is to ask.
"""

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from holdfast._core import clock
from holdfast.track._http.tickets import Door

__all__ = ("Sweeper", "close_unread", "pause_between_looks")

log = logging.getLogger("holdfast.track")

_FEWEST: Final = 0.02
_LOOKS: Final = 4
"""Looks in each of the spans that are watched: what is due is found late by a quarter of its span."""


def pause_between_looks(*spans: float) -> float:
    """Seconds from one look to the next, where ``spans`` are what is watched."""
    return max(_FEWEST, min(spans) / _LOOKS)


def close_unread(door: Door, idle_timeout: float) -> None:
    """Close the responses that nobody has read on for ``idle_timeout`` seconds, and log their lines."""
    now = clock.now()
    for ticket in door.out():
        progress, abandon = ticket.progress, ticket.abandon
        if progress is None or abandon is None:
            continue  # the response is not there yet, or over by now
        seen = progress()
        still = now - ticket.still_since
        if seen is None or seen != ticket.seen:
            ticket.seen = seen
            ticket.still_since = now
        elif still >= idle_timeout and abandon() is not False:
            door.abandoned += 1
            log.warning(
                "%s: nobody has read the response of %s for %.1f s, so it was closed; use a `with` block",
                door.name,
                ticket,
                still,
            )


class Sweeper:
    """Watches over one client. On the loop's thread.

    Args:
        gate: Who has tickets.
        idle_timeout: Seconds after which a response without a reader is closed.
        keepalive: Seconds after which an idle connection is closed.
        reap: Closes the idle connections whose time is up, and says how many connections are left;
            None for a client that does so by itself.
    """

    def __init__(
        self,
        gate: Door,
        *,
        idle_timeout: float,
        keepalive: float,
        reap: Callable[[], Awaitable[int]] | None,
    ) -> None:
        self._gate = gate
        self._idle_timeout = idle_timeout
        self._reap = reap
        spans = (idle_timeout,) if reap is None else (idle_timeout, keepalive)
        self._pause = pause_between_looks(*spans)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def start(self) -> None:
        """Look again soon, if nobody is about to."""
        if self._timer is None and self._task is None and not self._closed:
            # Weak, so that a client that was forgotten is not kept by its timer.
            me: weakref.ref[Sweeper] = weakref.ref(self)
            self._timer = self._loop.call_later(self._pause, _look, me)

    def look(self) -> None:
        """The time has come."""
        self._timer = None
        close_unread(self._gate, self._idle_timeout)
        if self._reap is None:
            if self._gate.out():
                self.start()
            return
        self._task = self._loop.create_task(self._close_idle(self._reap), name="holdfast:http-idle")

    async def _close_idle(self, reap: Callable[[], Awaitable[int]]) -> None:
        left = 0
        try:
            left = await reap()
        finally:
            self._task = None
            if left or self._gate.out():
                self.start()

    async def aclose(self) -> None:
        """Look no more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task


def _look(sweeper: "weakref.ref[Sweeper]") -> None:
    alive = sweeper()
    if alive is not None:
        alive.look()
