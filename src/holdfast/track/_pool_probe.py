"""A blocking ``check`` on behalf of a coroutine, on a helper's thread.

A thread can't be stopped. So when the coroutine leaves while the check runs, the resource is not given
back behind the check's back, but by the check itself, when it has ended.

States: those of the place that the coroutine waits in. WAITING -> SERVED (the check has ended: the
coroutine answers for the loan) | GONE (the coroutine has left: the check does).
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from holdfast.track._place import GONE, SERVED, WAITING, LoopPlace, Place
from holdfast.track._pool_core import PoolCore
from holdfast.track._pool_slot import Slot

__all__ = ("Probe",)

T = TypeVar("T")


class Probe(Generic[T]):
    """One check of one lent slot."""

    def __init__(self, core: PoolCore[T], slot: Slot[T], check: Callable[[T], bool]) -> None:
        self._core = core
        self._slot = slot
        self._check = check
        self._lock = threading.Lock()
        self._place: LoopPlace[bool] = LoopPlace(0.0, asyncio.get_running_loop(), self)

    async def passed(self, submit: Callable[[Callable[[], None]], Any]) -> bool:
        """Run the check by ``submit``; False if it has failed, or could not be run.

        A coroutine that is cancelled here does not hold the slot any more.
        """
        try:
            submit(self._run)
        except Exception:  # noqa: BLE001 - no thread to be had for a check: as good as a failed one
            return False
        return await self._place.wait(None)

    def _run(self) -> None:
        try:
            fit = self._check(self._slot.resource)  # type: ignore[arg-type] # a lent slot has one
        except BaseException:  # noqa: BLE001 - what a check raises means that it has failed
            fit = False
        with self._lock:
            left = self._place.state != WAITING
            if not left:
                self._place.state, self._place.thing = SERVED, fit
        if left or not self._place.wake():
            self._give_back()

    def _give_back(self) -> None:
        self._core.give_back(self._slot, spoilt="discarded")

    # ------------------------------------------------------------ see holdfast.track._place.Host

    def leave(self, place: Place[Any]) -> None:
        """The coroutine has left."""
        with self._lock:
            served = place.state == SERVED
            place.state = GONE
        if served:
            self._give_back()

    unheard = leave

    def leave_later(self, place: Place[Any]) -> None:
        """The coroutine was thrown away."""
        self._core.later.put(lambda: self._leave_under_lock(place))

    def _leave_under_lock(self, place: Place[Any]) -> None:
        with self._lock:
            served = place.state == SERVED
            place.state = GONE
        if served:
            self._core.end_loan(self._slot, "discarded")

    def expire(self, place: Place[Any]) -> None:
        """There is no timeout: the wait ends with the check."""
