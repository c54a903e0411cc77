"""A ``concurrent.futures.Future`` that costs a fifth of one, and that can be awaited.

Purpose: what ``submit`` returns. The standard future makes a condition, and takes it for every
question; this one makes it only when something asks for it (``futures.wait``, ``as_completed``, a
callback), and otherwise lets each waiter park on a lock of its own.

Guarantees: the whole protocol of the standard class; settled at most once; an interrupt (Ctrl-C)
during ``result`` leaves nothing locked, because a waiter owns its lock alone.

Why no wake-up is lost: who settles writes the state first and looks for waiters second; who waits
enters itself first and looks at the state second. One of them sees the other.
"""

import threading
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures._base import (  # the states that futures.wait() and as_completed() compare with
    CANCELLED_AND_NOTIFIED,
    FINISHED,
    PENDING,
    RUNNING,
)
from typing import Any, Generic, TypeVar

from holdfast._core import clock
from holdfast._core.clock import Latch
from holdfast._core.latch import borrow_latch, closed_lock, give_back_latch

__all__ = ("CallFuture", "Waits", "watch_waits")

R = TypeVar("R")

_making = threading.Lock()


class Waits:
    """What is done when somebody waits for a call. The pools put theirs in place, to find deadlocks."""

    def park(self, future: "CallFuture[Any]", latch: Latch, timeout: float | None) -> bool:
        """Wait for ``latch``, which ``future`` releases; False after ``timeout`` seconds."""
        del future
        return clock.current().acquire(latch, timeout)

    def called_back(self, future: "CallFuture[Any]") -> None:
        """Somebody is to be called when ``future`` is settled."""

    def collected(self, waiter: object) -> None:
        """``concurrent.futures`` waits for one more call with ``waiter``."""


_waits = Waits()


def watch_waits(waits: Waits) -> None:
    """Have ``waits`` hear of every wait for a call in this process."""
    global _waits  # noqa: PLW0603 - the one place where the process keeps it
    _waits = waits


class _Waiters(list[Any]):
    """The waiters of ``concurrent.futures`` on one call."""

    def append(self, waiter: object) -> None:
        super().append(waiter)
        _waits.collected(waiter)


class CallFuture(Future[R], Generic[R]):
    """The result of a submitted call, for blocking code (``result()``) and for ``await``."""

    # Defaults live on the class: a call that nobody waits for in a special way sets none of them.
    _state: str = PENDING
    _began = False
    _taken = False
    _result: R | None = None
    _exception: BaseException | None = None
    _parked: list[Latch] | None = None
    _lazy_condition: "threading.Condition | None" = None
    _waiters: list[Any]
    _done_callbacks: list[Any]

    __init__ = object.__init__  # the standard one makes the condition that we put off

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override] # made when first asked for
        condition = self._lazy_condition
        if condition is None:
            with _making:
                condition = self._lazy_condition
                if condition is None:
                    self._waiters = _Waiters()
                    self._done_callbacks = []
                    condition = self._lazy_condition = threading.Condition()
            self.watched()
        return condition

    def watched(self) -> None:
        """Somebody waits, or is to be called, in a way of the standard class; for those who must know."""

    # ------------------------------------------------------------ for whoever runs the call

    def settle(self, value: R | None, error: BaseException | None) -> None:
        """Set the outcome; the first one counts, what comes later is ignored.

        Args:
            value: What the call returned, if ``error`` is None.
            error: What it raised.
        """
        if self._claim():
            self._result = value
            self._settle(error)

    def _settle(self, error: BaseException | None, wake: list[Latch] | None = None) -> None:
        """Announce the outcome, which is claimed and, without an error, in ``_result`` already.

        Those that wait are woken, or their latches are put into ``wake``, to be released when the
        caller has let go of this future: who is woken may expect that nobody else holds its result.
        """
        self._exception = error
        self._state = FINISHED
        if self._parked is not None or self._lazy_condition is not None:
            self._announce(wake)

    def settle_cancelled(self) -> None:
        """Mark the call as cancelled, unless it has an outcome."""
        if self._claim():
            self._settle_cancelled()

    def _settle_cancelled(self) -> None:
        self._state = CANCELLED_AND_NOTIFIED
        if self._parked is not None or self._lazy_condition is not None:
            self._announce()

    def _claim(self) -> bool:
        """Whether it is for the caller to settle this future; True for one of all who ask."""
        with _making:
            if self._taken:
                return False
            self._taken = True
            return True

    def set_result(self, result: R) -> None:
        """Set the outcome, as the standard class does."""
        if self.done():
            msg = f"{self._state}: {self!r}"
            raise InvalidStateError(msg)
        self.settle(result, None)

    def set_exception(self, exception: BaseException | None) -> None:
        """Set the outcome, as the standard class does."""
        if self.done():
            msg = f"{self._state}: {self!r}"
            raise InvalidStateError(msg)
        self.settle(None, exception)

    @property
    def began(self) -> bool:
        """Whether the call has started."""
        return self._began

    def mark_running(self) -> None:
        """Show the call as running; an outcome that came first, from a deadline, stays."""
        self._began = True

    def _announce(self, wake: list[Latch] | None = None) -> None:
        if self._parked is not None:
            if wake is None:
                for latch in tuple(self._parked):
                    latch.release()
            else:
                wake += self._parked
        if self._lazy_condition is None:
            return
        with self._lazy_condition:
            for waiter in self._waiters:
                if self._state == CANCELLED_AND_NOTIFIED:
                    waiter.add_cancelled(self)
                elif self._exception is not None:
                    waiter.add_exception(self)
                else:
                    waiter.add_result(self)
            self._lazy_condition.notify_all()
        self._invoke_callbacks()  # type: ignore[attr-defined] # the standard class has it

    # ------------------------------------------------------------ for whoever waits

    def cancel(self) -> bool:
        """Take the call out of line; False if it has started. See :meth:`_withdraw`."""
        if self._state == CANCELLED_AND_NOTIFIED:
            return True
        if self._state != PENDING or self._began or not self._withdraw():
            return False
        self.settle_cancelled()
        return True

    def _withdraw(self) -> bool:
        """Whether the call could be taken back; its pool decides."""
        return False

    def cancelled(self) -> bool:
        """Whether the call was taken back before it started."""
        return self._state == CANCELLED_AND_NOTIFIED

    def running(self) -> bool:
        """Whether the call has started and has not ended."""
        return self._state == RUNNING or (self._began and self._state == PENDING)

    def done(self) -> bool:
        """Whether there is an outcome, or the call was taken back."""
        return self._state in _SETTLED

    def result(self, timeout: float | None = None) -> R:
        """Return what the call returned, or raise what it raised, waiting up to ``timeout`` seconds.

        Raises:
            TimeoutError: There is no outcome yet; the call goes on.
            concurrent.futures.CancelledError: The call was taken back before it started.
        """
        if self._state != FINISHED:
            self._wait(timeout)
        if self._exception is not None:
            try:
                raise self._exception
            finally:
                del self  # break the cycle with the traceback
        return self._result  # type: ignore[return-value] # settled without an error

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the call raised, or None, waiting up to ``timeout`` seconds."""
        if self._state != FINISHED:
            self._wait(timeout)
        return self._exception

    def _awaited(self) -> None:
        """Somebody is about to wait."""

    def _wait(self, timeout: float | None) -> None:
        self._awaited()
        latch = borrow_latch()
        waiter: Latch = closed_lock() if latch is None else latch
        parked = self._parked
        if parked is None:
            with _making:
                parked = self._parked
                if parked is None:
                    parked = self._parked = []
        parked.append(waiter)
        in_time = False
        try:
            # Entered first, looked second: whoever settles the future releases us, or we see it.
            if timeout is not None:
                timeout = max(0.0, timeout)
            in_time = _waits.park(self, waiter, 0.0 if self._state in _SETTLED else timeout)
        finally:
            parked.remove(waiter)
            if latch is not None:
                give_back_latch(latch, broken_off=not in_time)
            del waiter, latch  # an error that is kept must not keep a descriptor
        if not in_time and self._state not in _SETTLED:
            raise TimeoutError
        if self._state == CANCELLED_AND_NOTIFIED:
            raise CancelledError

    def add_done_callback(self, fn: Callable[[Future[R]], object]) -> None:
        """Call ``fn`` with this future when it is settled, as the standard class does."""
        super().add_done_callback(fn)
        if self._state not in _SETTLED:
            _waits.called_back(self)

    def __repr__(self) -> str:
        if self.running():
            return f"<{type(self).__name__} at {id(self):#x} state=running>"
        return super().__repr__()

    def __await__(self) -> Generator[Any, None, R]:
        """Wait for the outcome without holding the loop; cancelling the waiter cancels the call."""
        import asyncio  # noqa: PLC0415 - blocking programs need not load it

        return asyncio.wrap_future(self).__await__()


_SETTLED = frozenset({FINISHED, CANCELLED_AND_NOTIFIED})
