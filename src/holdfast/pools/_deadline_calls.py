"""Calls that have inherited a deadline: bounded by it in line as well as while they run.

They differ from other calls in three points. They say which bound it was that ended them, if the
deadline was nearer than the pool's own. One whose deadline has passed when its permit comes is
refused and never runs. And since a deadline is a moment, what it leaves for running is computed when
the run begins.
"""

import math
from typing import TYPE_CHECKING, Any, cast

from holdfast._core.clock import Latch
from holdfast.errors import CallTimeout
from holdfast.pools._async_submit import AsyncCall
from holdfast.pools._deadline_left import (
    Left,
    came_late,
    check_time,
    ran_longer,
    tighter,
    waited_longer,
)
from holdfast.pools._deadline_run import run_within
from holdfast.pools._entry import ENDED, Entry
from holdfast.pools._thread_calls import LoopCall, SubmittedCall

if TYPE_CHECKING:
    from holdfast.pools._async_core import AsyncCore
    from holdfast.pools._thread_core import ThreadCore

__all__ = ("DeadlineAsyncCall", "DeadlineLoopCall", "DeadlineSubmittedCall", "inherit")


# ---------------------------------------------------------------- blocking calls


class DeadlineLoopCall(LoopCall):
    """One that a coroutine awaits."""

    until = math.inf

    def work(self, wake: list[Latch]) -> Entry | None:
        """Run on a worker's thread, if there is time left."""
        return super().work(wake) if _cut(self) else _refuse_at_start(self)

    def finish(
        self, value: Any, error: BaseException | None, wake: list[Latch] | None = None
    ) -> None:
        """Send the outcome to the loop."""
        super().finish(value, _named(self, error), wake)

    def expire(self) -> None:
        """On the timer's thread."""
        if not _leave_line(self):
            super().expire()


class DeadlineSubmittedCall(SubmittedCall):
    """One that was submitted."""

    until = math.inf

    def work(self, wake: list[Latch]) -> Entry | None:
        """Run on a worker's thread, if there is time left."""
        return super().work(wake) if _cut(self) else _refuse_at_start(self)

    def finish(
        self, value: Any, error: BaseException | None, wake: list[Latch] | None = None
    ) -> None:
        """Settle the future."""
        super().finish(value, _named(self, error), wake)

    def expire(self) -> None:
        """On the timer's thread."""
        if not _leave_line(self):
            super().expire()

    def wait_accepted(self, timeout: float | None) -> bool:
        """Block the submitter; when the deadline comes first, the future says so."""
        return super().wait_accepted(timeout) or _leave_line(self)


_BlockingCall = DeadlineLoopCall | DeadlineSubmittedCall


def inherit(call: _BlockingCall, until: float) -> None:
    """Bound a call that has no place yet by a deadline, besides its own bounds.

    Raises:
        Rejected: There is no time left for it.
    """
    core = _core(call)
    now = core.now()
    check_time(core.admission, until - now, now)
    call.until = until
    call.timeout = tighter(call.timeout, until - now)
    if call.queue_until is None or call.queue_until > until:
        call.queue_until = until


def _core(call: _BlockingCall) -> "ThreadCore":
    return cast("ThreadCore", call.core)


def _cut(call: _BlockingCall) -> bool:
    """As the run begins: bound it by what is left now; whether anything is."""
    left = call.until - call.core.now()
    call.timeout = tighter(call.timeout, left)
    return left > 0.0


def _refuse_at_start(call: _BlockingCall) -> Entry | None:
    """The permit came too late: give it back unused; returns who got it."""
    core = _core(call)
    admission = core.admission
    error = came_late(admission)
    with admission.lock:
        if not call.abandoned:
            call.state = ENDED  # from here on nobody can abandon it
    if call.state != ENDED:
        return core.ended(call, None, error)
    then = admission.give_back_unused(call)
    core.finish(call, None, error)
    return then


def _leave_line(call: _BlockingCall) -> bool:
    """If it is the deadline that has come, and the call still waits: refuse it."""
    core = _core(call)
    if call.queue_until != call.until or core.now() < call.until or not core.withdraw(call):
        return False
    call.refuse(waited_longer(core.admission))
    return True


def _named(call: _BlockingCall, error: BaseException | None) -> BaseException | None:
    """The error, but that a timeout which is the deadline's says so."""
    seconds = call.timeout
    # An abandoned call is told once what became of it, by its pool: that it ran for too long.
    if not call.abandoned or not isinstance(seconds, Left):
        return error
    admission = _core(call).admission
    return CallTimeout(
        f"{ran_longer(admission.name, seconds)}; a thread can't be stopped, so it still runs and keeps "
        f"its permit ({admission.abandoned} abandoned)",
        stopped=False,
    )


# ---------------------------------------------------------------- coroutines


class DeadlineAsyncCall(AsyncCall):
    """A coroutine that was submitted."""

    def __init__(
        self,
        core: "AsyncCore",
        *call: Any,
        timeout: float | None,
        queue_timeout: float | None,
        until: float,
    ) -> None:
        now = core.clock.now()
        check_time(core.admission, until - now, now)
        patience = tighter(queue_timeout, until - now)
        super().__init__(core, *call, timeout=timeout, queue_timeout=patience)
        self._until = until

    def expire(self) -> None:
        """On the timer's thread: it has waited for as long as it may."""
        if not isinstance(self._queue_timeout, Left):
            super().expire()
        elif self._core.admission.withdraw(self):
            self.refuse(waited_longer(self._core.admission))

    def _start(self) -> bool:
        left = self._until - self._core.clock.now()
        if left <= 0.0 and not self.done():
            self._unwatch()
            self.settle(None, came_late(self._core.admission))
        self._timeout = tighter(self._timeout, left)
        return super()._start()  # False if there is an outcome already

    async def _run(self) -> Any:
        self._entered = True
        assert self._timeout is not None  # noqa: S101 - set as it starts
        return await run_within(self._core, self._timeout, self._fn, self._args, self._kwargs)
