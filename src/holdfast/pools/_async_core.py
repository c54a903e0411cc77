"""The hand-over of permits to coroutines, in whichever loop and thread they wait."""

import asyncio
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections.abc import Callable
from typing import Any, Protocol

from holdfast._core.clock import Clock
from holdfast._core.loops import LoopState, at_loop_end, loop_state
from holdfast.errors import QueueTimeout, Rejected
from holdfast.pools._admission import Admission
from holdfast.pools._deadlock_notes import Level, note
from holdfast.pools._entry import RUNNING, WAITING, Entry
from holdfast.pools._pressure import LISTENERS, tell_of
from holdfast.pools._stats import PoolStats
from holdfast.pools._threads import finalize
from holdfast.pools._timer import TIMER

__all__ = ("AsyncCore", "Grantable")


class Grantable(Entry, Protocol):
    """An entry to which a permit can be handed."""

    def granted(self) -> bool:
        """Take the permit; False if whoever waited has gone, and the permit must go on."""
        ...


class Waiter:
    """A coroutine that waits in line for a permit.

    The hand-over has three steps: claimed (under the admission's lock), in transit (a letter to the
    loop, if the permit comes from another thread), received. A coroutine that leaves before the first
    withdraws; before the third it cancels its future, and the permit is passed on by whoever delivers;
    after the third, which sets the future's result, it gives the permit back itself, or its loop does,
    which closes before it goes on.

    A hundred thousand of them may wait, so it has no more attributes than it needs.
    """

    __slots__ = (
        "core",
        "due",
        "error",
        "future",
        "mailbox",
        "state",
    )
    counted = True
    size = 0
    abandoned = False  # a coroutine can be cancelled, so it never is
    abandoned_at: float | None = None

    def __init__(self, core: "AsyncCore", loop: asyncio.AbstractEventLoop) -> None:
        self.core = core
        self.mailbox: LoopState = loop_state(loop)
        self.future: asyncio.Future[None] = loop.create_future()
        self.state = WAITING
        self.error: Rejected | None = None
        self.due: float | None = None
        fresh = core.fresh
        if fresh is not None and fresh.armed and fresh.mailbox is self.mailbox:
            fresh.waits.append(self)
        else:
            core.fresh = note(self, core.admission)

    def leave_line(self) -> None:
        """Whoever waited will not go on: to leave the line, or let the permit go to the next."""
        if not self.core.admission.withdraw(self) and self._has_permit():
            self.core.pass_on_unused(self)

    def _has_permit(self) -> bool:
        """On the loop: whether the permit has come, and nobody has gone on with it or passed it on."""
        return self.state == RUNNING and self.future.done() and not self.future.cancelled()

    def granted(self) -> bool:
        """Bring the permit to the loop."""
        future = self.future
        if future.get_loop() is not _get_running_loop():
            return self.mailbox.post(self)
        if future.done() or self.mailbox.closing:  # as _receive() does, without the call
            return False
        future.set_result(None)
        return True

    def deliver(self) -> None:
        """On the loop: the permit, or the refusal, has come."""
        if self.error is not None:
            if not self.future.done():
                self.future.set_result(None)
        elif not self._receive():
            self.core.pass_on_unused(self)

    def _receive(self) -> bool:
        if self.future.done() or self.mailbox.closing:
            return False
        self.future.set_result(None)
        return True

    def broken_off(self, error: BaseException) -> None:
        """On the loop: ``error`` ends the wait."""
        self.core.safely(error, self.leave_line)
        if self.due is not None:
            self.mailbox.unwatch(self, self.due)

    def come(self) -> None:
        """On the loop: the wait has ended, with the permit; or with a refusal, which is raised."""
        if self.due is not None:
            self.mailbox.unwatch(self, self.due)
        if self.error is not None:
            raise self.error

    def accepted(self) -> None:
        """Nothing to do: it waits for the permit anyway."""

    def refuse(self, error: Rejected) -> None:
        """Bring the refusal to the loop."""
        self.error = error
        self.mailbox.post(self)

    def expire(self) -> None:
        """On the loop: it has waited for its whole ``queue_timeout``."""
        if self.core.admission.withdraw(self):
            self.error = self.core.admission.refusal(
                QueueTimeout,
                "it waited in line for its whole queue_timeout; raise the limit, or send less",
            )
            if not self.future.done():
                self.future.set_result(None)


class _GateOpens:
    """Passes permits on when the pool's rate allows the next start."""

    __slots__ = ("core",)

    def __init__(self, core: "AsyncCore") -> None:
        self.core = core

    def expire(self) -> None:
        self.core.gate_opened()


class AsyncCore:
    """A pool's admission, and the passing on of its permits. Any method, from any thread."""

    __slots__ = (
        "_gate_armed",
        "admission",
        "clock",
        "fresh",
    )

    def __init__(self, admission: Admission, *, clock: Clock) -> None:
        self.admission = admission
        self.clock = clock
        self._gate_armed = False
        self.fresh: Level | None = None  # where the last coroutine that waits was noted

    def stats(self) -> PoolStats:
        """Return one consistent reading."""
        return self.admission.stats()

    async def wait_for_permit(self, queue_timeout: float | None) -> None:
        """Stand in line; returns with a permit, or raises without one."""
        # A frame of this is kept for as long as it waits: the fewer names, the less a session holds.
        waiter = Waiter(self, asyncio.get_running_loop())
        self.admission.line_up(waiter, may_block=True)
        if queue_timeout is not None:
            waiter.due = waiter.mailbox.watch(waiter, queue_timeout)
        # A permit may have come free since the caller looked; one that comes free from now on goes to the
        # line by itself. And a rate always goes this way.
        if self.admission.in_flight < self.admission.ceiling or self.admission.gate is not None:
            self.pump()
        try:
            await waiter.future
        except BaseException as error:
            waiter.broken_off(error)
            raise
        waiter.come()

    def safely(self, error: BaseException, fn: Callable[[], None]) -> None:
        """Run ``fn`` in a coroutine that ``error`` ends.

        One that is thrown away with its loop is ended by whoever lets go of it last: by the collector,
        perhaps, in a thread that holds a lock of ours.
        """
        if LISTENERS:
            tell_of(error)
        if isinstance(error, GeneratorExit):
            finalize(fn, self.admission.lock, TIMER.lock)
        else:
            fn()

    def fail(self) -> None:
        """Give the permit back of a call that raised."""
        self.leave(ok=False)

    def leave(self, *, ok: bool) -> None:
        """Give one call's permit back, to whoever is next."""
        then = self.admission.leave(ok=ok)
        if then is not None:
            self.pass_on(then)
        elif self.admission.gate is not None:
            self.arm_gate()

    def give_back(self) -> None:
        """Give a borrowed permit back, to whoever is next."""
        self.pass_on(self.admission.give_back())
        if self.admission.gate is not None:
            self.arm_gate()

    def pump(self) -> None:
        """Hand out whatever permits are free."""
        while (entry := self.admission.claim()) is not None:
            self.pass_on(entry)
        if self.admission.gate is not None:
            self.arm_gate()

    def pass_on(self, entry: Entry | None) -> None:
        """Hand a claimed permit over; if whoever waited has gone, to the next in line."""
        waiter: Any = entry  # Grantable, every one; a cast would be a call for each
        while waiter is not None:
            if waiter.granted():
                return
            waiter = self.admission.give_back_unused(waiter)

    def pass_on_unused(self, entry: Entry) -> None:
        """Pass on a permit that reached its loop too late."""
        self.pass_on(self.admission.give_back_unused(entry))
        if self.admission.gate is not None:
            self.arm_gate()

    def arm_gate(self) -> None:
        """Come back when the rate allows the next start, if it is what somebody waits for."""
        admission = self.admission
        if not self._gate_armed and admission.gate_opens_in > 0.0 and admission.has_work():
            self._gate_armed = True
            TIMER.remind(_GateOpens(self), admission.gate_opens_in)

    def gate_opened(self) -> None:
        """The rate allows the next start."""
        self._gate_armed = False
        self.admission.gate_opens_in = 0.0
        self.pump()


class RunDeadline:
    """Cancels the task of a call that runs longer than its timeout, and tells that apart.

    The rules are those of ``asyncio.timeout``: a cancellation that came from elsewhere as well wins.
    """

    __slots__ = ("_cancelling", "_due", "_mailbox", "_task", "expired")

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it is what runs this coroutine
        self._task = task
        self._cancelling = task.cancelling()
        self._mailbox = loop_state(loop)
        self.expired = False
        self._due = self._mailbox.watch(self, timeout)

    def when(self) -> float:
        """The moment at which the time is up, by the loop's clock."""
        return self._due

    def expire(self) -> None:
        """On the loop: the time is up."""
        self.expired = True
        self._task.cancel()

    def turn(self, error: BaseException | None) -> bool:
        """The call has ended, with ``error`` or without: whether that is this deadline's doing.

        Takes back the deadline's own cancellation, whatever became of it.
        """
        self._mailbox.unwatch(self, self._due)
        if not self.expired:
            return False
        ours = self._task.uncancel() <= self._cancelling
        return ours and isinstance(error, asyncio.CancelledError)


def _let_calls_go(loop: asyncio.AbstractEventLoop) -> None:
    if asyncio.all_tasks(loop):
        from holdfast.pools._loop_end import let_calls_go  # noqa: PLC0415 - most loops leave nothing

        let_calls_go(loop)


at_loop_end.append(_let_calls_go)
