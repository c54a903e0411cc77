"""What a runtime owns, and how all of it ends, in order and in time.

Order: first what can call others, then what is called: pools of coroutines, of threads, of processes, of
programs; within a kind the youngest first; then everything else, the youngest first. A call that was
accepted still finds the pools that it needs.

Guarantees
- each thing is ended once, also those that are opened while others end;
- what refuses, or still runs when the time is up, does not keep the others from being ended; all of it
  is reported;
- in a coroutine, a cancellation breaks no closing off: it ends the patience, so that what still waits is
  refused now, and is raised when everything was closed. Ctrl-C in blocking code likewise.

States of a thing: owned -> ending -> gone, or reported.
"""

import asyncio
import threading
from typing import Any, Final

from holdfast._core import clock
from holdfast.pools.async_pool import AsyncPool
from holdfast.pools.thread_pool import ThreadPool
from holdfast.track._closing import close_async, close_blocking, closer_of

__all__ = ("PROGRAMS", "Estate")

PROGRAMS: Final = 3
_OTHERS: Final = 4
_LEAST_S: Final = 1.0
"""Seconds that each thing has in any case, so that what is only to be closed still can be."""


class Estate:
    """Things with an order of ending. ``own`` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._things: list[tuple[int, Any]] = []
        self._until: float | None = None

    def own(self, thing: Any, rank: int | None = None) -> None:
        """Take ``thing`` in.

        Raises:
            TypeError: It has nothing that closes it.
        """
        if closer_of(thing, awaitable=True) is None:
            msg = f"{type(thing).__qualname__} has neither close nor aclose, so a Runtime can't own it"
            raise TypeError(msg)
        with self._lock:
            if not any(each is thing for _, each in self._things):
                self._things.append((_rank(thing) if rank is None else rank, thing))

    def pools(self) -> list[Any]:
        """Return the pools, in the order in which they end."""
        with self._lock:
            ranked = sorted(enumerate(self._things), key=lambda each: (each[1][0], -each[0]))
        return [thing for _, (rank, thing) in ranked if rank < _OTHERS]

    @property
    def is_empty(self) -> bool:
        """Whether all of it has ended."""
        return not self._things

    def give_time(self, seconds: float) -> None:
        """From now on there are so many seconds for all of it; a bound that is set already stays."""
        if self._until is None:
            self._until = clock.now() + seconds

    def left(self) -> float:
        """Seconds that are left of it."""
        return 0.0 if self._until is None else max(0.0, self._until - clock.now())

    def hurry(self) -> None:
        """There is no time left."""
        self._until = clock.now()

    def _next(self) -> Any:
        """Take out what is to end next; None if there is nothing left."""
        with self._lock:
            if not self._things:
                return None
            place = min(
                range(len(self._things)), key=lambda place: (self._things[place][0], -place)
            )
            return self._things.pop(place)[1]

    # ------------------------------------------------------------ blocking code

    def end(self, *, orderly: bool) -> tuple[list[str], BaseException | None]:
        """End everything; with ``orderly`` what was accepted is finished first, as time allows.

        Returns:
            A line for each thing that could not be ended, and an interrupt that came meanwhile.
        """
        refused: list[str] = []
        interrupt: BaseException | None = None
        while (thing := self._next()) is not None:
            try:
                self._end_one(thing, refused, orderly=orderly)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
                refused.append(_refusal(thing, error))
            except BaseException as stop:  # noqa: BLE001 - Ctrl-C: raised when the rest is closed
                interrupt = interrupt or stop
                orderly = False
                self.hurry()
                with self._lock:
                    self._things.append((0, thing))
        return refused, interrupt

    def _end_one(self, thing: Any, refused: list[str], *, orderly: bool) -> None:
        if not hasattr(thing, "drain"):
            close_blocking(closer_of(thing, awaitable=False) or thing.close)
            return
        ended = thing.drain(self.left()) if orderly else thing.close(self.left())
        if not ended and orderly:
            ended = thing.close(0.0)
        if not ended:
            refused.append(_running(thing))

    # ------------------------------------------------------------ coroutines

    async def aend(self, *, orderly: bool) -> tuple[list[str], BaseException | None]:
        """Do the same without holding the loop."""
        refused: list[str] = []
        cancelled: asyncio.CancelledError | None = None
        # A task of its own, so that no cancellation breaks a closing off.
        closing = asyncio.get_running_loop().create_task(self._aend_all(refused, orderly=orderly))
        while not closing.done():
            try:
                await asyncio.wait({closing})
            except asyncio.CancelledError as again:
                if cancelled is None:
                    # Of its patience; when it has begun, or nothing would be closed at all.
                    asyncio.get_running_loop().call_soon(
                        closing.cancel
                    )  # of the patience: what is closed then is closed
                cancelled = cancelled or again
        if not closing.cancelled():
            closing.result()  # raises what is no Exception, a KeyboardInterrupt
        return refused, cancelled

    async def _aend_all(self, refused: list[str], *, orderly: bool) -> None:
        while (thing := self._next()) is not None:
            try:
                await self._aend_one(thing, refused, orderly=orderly)
            except asyncio.CancelledError:
                orderly = False
                self.hurry()
                with self._lock:
                    self._things.append((0, thing))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
                refused.append(_refusal(thing, error))

    async def _aend_one(self, thing: Any, refused: list[str], *, orderly: bool) -> None:
        if not hasattr(thing, "adrain"):
            async with asyncio.timeout(max(self.left(), _LEAST_S)):
                await close_async(closer_of(thing, awaitable=True) or thing.close)
            return
        ended = await (thing.adrain(self.left()) if orderly else thing.aclose(self.left()))
        if not ended and orderly:
            ended = await thing.aclose(0.0)
        if not ended:
            refused.append(_running(thing))


def _rank(thing: Any) -> int:
    if isinstance(thing, AsyncPool):
        return 0
    if isinstance(thing, ThreadPool):
        return 1
    return 2 if hasattr(thing, "adrain") else _OTHERS


def _refusal(thing: Any, error: BaseException) -> str:
    said = str(error) or "it took too long"
    return f"{thing!r}: {type(error).__name__}: {said}"


def _running(thing: Any) -> str:
    stuck: tuple[object, ...] = getattr(thing, "abandoned", tuple)()
    return "; ".join((f"{thing!r}: calls still run", *(str(call) for call in stuck)))
