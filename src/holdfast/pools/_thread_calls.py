"""The calls of a thread pool, and who waits for each: a loop, or blocking code.

A call is in exactly one state, kept by the pool's admission: WAITING, RUNNING, ENDED. Its outcome
goes to its caller exactly once: from the worker that ran it, or, when the caller timed out or left
first (``abandoned``), not at all; the admission's lock decides which.
"""

import threading
from collections.abc import Callable
from concurrent.futures._base import FINISHED
from contextvars import Context
from typing import TYPE_CHECKING, Any, Protocol

from holdfast._core.clock import Clock, Latch
from holdfast._core.future import CallFuture
from holdfast._core.loops import LoopState
from holdfast.errors import Rejected
from holdfast.pools._admission import Admission
from holdfast.pools._deadlock_waits import park
from holdfast.pools._entry import ENDED, Entry

if TYPE_CHECKING:
    import asyncio

__all__ = ("LoopCall", "SubmittedCall", "ThreadCall")


class CallHost(Protocol):
    """What a call asks of its pool."""

    clock: Clock
    admission: Admission

    @property
    def end(self) -> Callable[[Entry, bool], Entry | None]:
        """Gives a call's permit back, with whether it succeeded; returns who got it."""
        ...

    def now(self) -> float:
        """Seconds on the pool's clock."""
        ...

    def ended(
        self,
        call: "ThreadCall",
        value: Any,
        error: BaseException | None,
        wake: list[Latch] | None = None,
    ) -> Entry | None:
        """The call has run; returns what its thread does next."""
        ...

    def finish(
        self,
        call: "ThreadCall",
        value: Any,
        error: BaseException | None,
        wake: list[Latch] | None = None,
    ) -> None:
        """The permit is back: tell whoever waits, unless it was abandoned."""
        ...

    def withdraw(self, call: "ThreadCall") -> bool:
        """Take the call back, if it has not started."""
        ...

    def unwatch(self, call: "ThreadCall") -> None:
        """Nobody need look at the call's deadline any more."""
        ...

    def awaited(self, call: "SubmittedCall") -> None:
        """Somebody blocks until the call ends."""
        ...

    def check_deadline(self, call: "ThreadCall") -> None:
        """A deadline of the call has passed."""
        ...


class LoopCall:
    """A call that a coroutine awaits. Its outcome travels in the loop's mailbox.

    Whoever makes one sets what has no default: a method to do so would cost a tenth of the call.
    """

    # What every call has, and each thread reads; the rest has its defaults on the class, and is set
    # in a dictionary where a call has it at all.
    __slots__ = (
        "__dict__",
        "abandoned",
        "args",
        "context",
        "core",
        "due",
        "error",
        "fn",
        "future",
        "kwargs",
        "mailbox",
        "state",
        "value",
    )
    core: CallHost
    mailbox: LoopState
    future: "asyncio.Future[None]"
    context: Context
    fn: Any  # None when it has been let go
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    state: int
    abandoned: bool
    due: float | None
    value: Any
    error: BaseException | None
    counted = True
    size = 0
    abandoned_at: float | None = None
    timeout: float | None = None
    queue_until: float | None = None
    started: float | None = None

    def work(self, wake: list[Latch]) -> Entry | None:
        """Run on a worker's thread; returns what that worker does next."""
        core, watched = self.core, self.due is not None
        if watched:
            self.started = core.now()
        try:
            if self.kwargs:
                value = self.context.run(self.fn, *self.args, **self.kwargs)
            elif self.args:  # the same, at half the price
                value = self.context.run(self.fn, *self.args)
            else:  # at a third of that
                value = self.context.run(self.fn)
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the caller
            return core.ended(self, None, error, wake)
        then = core.end(self, True)
        if watched or self.abandoned:
            core.finish(self, value, None, wake)
        else:
            self.value = value
            mailbox = self.mailbox
            mailbox.letters.append(self)
            if not mailbox.armed:
                wake.append(mailbox)  # type: ignore[arg-type] # it can be released as well
        return then

    def finish(
        self, value: Any, error: BaseException | None, wake: list[Latch] | None = None
    ) -> None:
        """Send the outcome to the loop; lost only with the loop itself."""
        del wake  # the loop is woken by its mailbox
        self.value = value
        self.error = error
        self.mailbox.post(self)

    def let_go(self) -> None:
        """It has run, or never will: drop what it was called with, which may be large."""
        self.fn = None
        self.args = ()
        self.kwargs = _NOTHING

    def drop_result(self) -> None:
        """Nothing to do: a result that comes too late is never kept here."""

    def deliver(self) -> None:
        """On the loop: wake the coroutine."""
        if not self.future.done():
            self.future.set_result(None)

    def accepted(self) -> None:
        """Nothing to do: the coroutine waits for the outcome anyway."""

    def refuse(self, error: Rejected) -> None:
        """Bring the refusal to the coroutine."""
        self.core.unwatch(self)
        self.let_go()
        self.finish(None, error)

    def expire(self) -> None:
        """On the timer's thread."""
        self.core.check_deadline(self)


class SubmittedCall(CallFuture[Any]):
    """A call that was submitted: its own future.

    Whoever makes one sets what has no default, as for a :class:`LoopCall`. Its pool settles it as the
    admission's lock decides: once it is ENDED or abandoned nobody else can.
    """

    __slots__ = (
        "_began",
        "_exception",
        "_parked",
        "_result",
        "_state",
        "_taken",
        "abandoned",
        "args",
        "context",
        "core",
        "due",
        "fn",
        "kwargs",
        "state",
    )
    core: CallHost
    context: Context
    fn: Any  # None when it has been let go
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    state: int
    abandoned: bool
    due: float | None
    counted = True
    size = 0
    abandoned_at: float | None = None
    timeout: float | None = None
    queue_until: float | None = None
    started: float | None = None
    _is_accepted = False
    _accept_lock: "threading.Lock | None" = None

    def work(self, wake: list[Latch]) -> Entry | None:
        """Run on a worker's thread; returns what that worker does next."""
        core, watched = self.core, self.due is not None
        if watched:
            self.started = core.now()
        self._began = True
        try:
            # Kept in no frame: whoever waits may let go of it before this thread goes on.
            if self.kwargs:
                self._result = self.context.run(self.fn, *self.args, **self.kwargs)
            else:  # the same, at half the price
                self._result = self.context.run(self.fn, *self.args)
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the caller
            then = core.ended(self, None, error, wake)
            del self  # break the cycle with the traceback
            return then
        then = core.end(self, True)
        if watched or self.abandoned or self._taken:
            core.finish(self, None, None, wake)
            return then
        # What finish() comes to, without the calls.
        self.fn = None
        self.args = ()
        self.kwargs = _NOTHING
        self._state = FINISHED
        if self._parked is not None or self._lazy_condition is not None:
            self._announce(wake)
        return then

    def finish(
        self, value: Any, error: BaseException | None, wake: list[Latch] | None = None
    ) -> None:
        """Settle the future: with an error, or with what the call has returned."""
        del value
        if not self._taken:
            self._settle(error, wake)

    def settle_cancelled(self) -> None:
        """The call was taken out of line."""
        if not self._taken:
            self._settle_cancelled()

    def _claim(self) -> bool:
        """Whether somebody who is not the pool may settle the future, before the call has ended."""
        with self.core.admission.lock:
            if self._taken or self.abandoned or self.state == ENDED:
                return False
            self._taken = True
            return True

    def drop_result(self) -> None:
        """It has come too late."""
        self._result = None

    def let_go(self) -> None:
        """It has run, or never will: drop what it was called with, which may be large."""
        self.fn = None
        self.args = ()
        self.kwargs = _NOTHING

    def refuse(self, error: Rejected) -> None:
        """Settle the future with the refusal, and wake a submitter that is still blocked."""
        self.core.unwatch(self)
        self.let_go()
        self.finish(None, error)
        if not self._is_accepted:
            self.accepted()

    def accepted(self) -> None:
        """Let a blocked submitter go on."""
        self._is_accepted = True
        if self._accept_lock is not None:
            self._accept_lock.release()

    def wait_accepted(self, timeout: float | None) -> bool:
        """Block the submitter until there is a place in the queue; False after ``timeout`` seconds."""
        lock = threading.Lock()
        lock.acquire()
        self._accept_lock = lock
        # Entered first, looked second: either we see the flag, or whoever sets it sees the lock.
        return self._is_accepted or park(self.core.clock, self, lock, timeout, place_only=True)

    def expire(self) -> None:
        """On the timer's thread."""
        self.core.check_deadline(self)

    def _awaited(self) -> None:
        self.core.awaited(self)

    def _withdraw(self) -> bool:
        return self.core.withdraw(self)


_NOTHING: dict[str, Any] = {}

ThreadCall = LoopCall | SubmittedCall
