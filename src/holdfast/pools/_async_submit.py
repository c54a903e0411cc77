"""A coroutine that was submitted: from blocking code, or to be awaited later."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any

from holdfast._core.future import CallFuture
from holdfast._core.loops import LoopState, loop_state
from holdfast.errors import CallTimeout, QueueTimeout, Rejected, UnderPressure
from holdfast.pools._async_core import AsyncCore, RunDeadline
from holdfast.pools._entry import WAITING
from holdfast.pools._timer import TIMER, patient

__all__ = ("AsyncCall",)


class AsyncCall(CallFuture[Any]):
    """The call, its future and its place in line.

    WAITING until a permit is handed to it; then a task on its loop runs it and gives the permit back
    when the coroutine has ended, which for a cancelled future is later than ``cancel()``. A permit comes
    to the loop as a letter: a call that was cancelled meanwhile, or whose loop closes, lets it go on. If
    the loop closes before the task has ended, the call is cancelled: the task will never run again.

    A task that is cancelled before its first step never calls the function: by whoever cancels the call
    between its start and the making of the task, or cancels every task of the loop. Such a call counts
    as withdrawn, not as failed: ``_entered`` tells which it was.
    """

    counted = True
    _entered = False  # the task has taken its first step
    size = 0
    abandoned_at: float | None = None

    def __init__(
        self,
        core: AsyncCore,
        loop: asyncio.AbstractEventLoop,
        fn: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        timeout: float | None,
        queue_timeout: float | None,
    ) -> None:
        super().__init__()
        self.state = WAITING
        self.abandoned = False
        self._core = core
        self._loop = loop
        self._mailbox: LoopState = loop_state(loop)
        self._fn = fn
        self._args = args
        self._kwargs = kwargs
        self._timeout = timeout
        self._queue_timeout = queue_timeout
        self._context = copy_context()
        admission = core.admission
        self._timing = admission.timings.begin(core.clock.now, admission.in_line())
        self._task: asyncio.Task[None] | None = None
        self._due: float | None = None
        self._accept_lock: threading.Lock | None = None
        self._is_accepted = False

    def line_up(self, *, may_block: bool) -> None:
        """Take a place in line, blocking while the queue is full, where that is allowed."""
        admission = self._core.admission
        queued = admission.line_up(self, may_block=may_block)
        if self._queue_timeout is not None:
            self._watch(self._queue_timeout)
        self._core.pump()
        if queued or self._is_accepted:
            return
        self._accept_lock = lock = threading.Lock()
        lock.acquire()
        try:
            # Entered first, looked second: either we see the flag, or whoever sets it sees the lock.
            if not self._is_accepted:
                patient(self._core.clock, lock, None)
        except BaseException:  # an interrupt: the caller will never see the future
            admission.withdraw(self)
            raise
        if not self.began and self.done() and isinstance(error := self.exception(), Rejected):
            raise error

    def line_up_if_free(self, core: AsyncCore) -> bool:
        """Take a permit of another core, if one is free that nobody waits for; else nothing is changed."""
        own, self._core = self._core, core
        if core.admission.line_up_if_free(self):
            core.pump()
            return True
        self._core = own
        return False

    def _watch(self, queue_timeout: float) -> None:
        try:
            self._due = TIMER.watch(self, queue_timeout)
        except RuntimeError as error:
            if self._core.admission.withdraw(self):  # else it has started, and waits no more
                raise self._core.admission.refusal(
                    UnderPressure,
                    f"the system refused the thread that watches deadlines ({error}); raise the limit "
                    "on threads (ulimit -u, pids.max), or run fewer",
                ) from error

    # ------------------------------------------------------------ as an entry

    def granted(self) -> bool:
        """Start on the loop."""
        if self._mailbox.is_here():
            return self._start()
        if self._mailbox.post(self):
            return True
        self._lose()
        return False

    def deliver(self) -> None:
        """On the loop: the permit has come."""
        if not self._start():
            self._core.pass_on_unused(self)

    def accepted(self) -> None:
        """Let a blocked submitter go on."""
        if not self._is_accepted:
            self._is_accepted = True
            if self._accept_lock is not None:
                self._accept_lock.release()

    def refuse(self, error: Rejected) -> None:
        """Settle the future with the refusal."""
        self._unwatch()
        self.settle(None, error)
        self.accepted()

    def expire(self) -> None:
        """On the timer's thread: it has waited for its whole ``queue_timeout``."""
        if self._core.admission.withdraw(self):
            self.refuse(
                self._core.admission.refusal(
                    QueueTimeout,
                    "it waited in line for its whole queue_timeout; raise the limit, or send less",
                )
            )

    # ------------------------------------------------------------ running

    def _unwatch(self) -> None:
        if self._due is not None:
            TIMER.unwatch(self, self._due)
            self._due = None

    def _start(self) -> bool:
        """On the loop: run; False if the permit must go on, as nobody wants the call any more."""
        self._unwatch()
        if self._mailbox.closing:
            self._lose()
        if self.done():  # cancelled on the way
            return False
        self.mark_running()
        if self._timing is not None:
            self._timing.start()
        self._task = asyncio.Task(self._run(), loop=self._loop, context=self._context)
        self._task.add_done_callback(self._ended)
        self._mailbox.kept.add(self)
        return True

    def _lose(self) -> None:
        """Its loop has closed: nobody can run it."""
        self._unwatch()
        self.settle_cancelled()

    def loop_ended(self) -> None:
        """Its loop is about to close, and its task has not ended."""
        task = self._task
        assert task is not None  # noqa: S101 - it is of a task that the loop has
        task.remove_done_callback(self._ended)
        self._mailbox.kept.discard(self)
        self._let_permit_go(ok=False)
        self._lose()

    def _let_permit_go(self, *, ok: bool) -> None:
        if self._entered:
            self._core.leave(ok=ok)
        else:
            self._core.pass_on_unused(self)

    async def _run(self) -> Any:
        self._entered = True
        if self._timeout is None:
            return await self._fn(*self._args, **self._kwargs)
        deadline = RunDeadline(self._loop, self._timeout)
        try:
            value = await self._fn(*self._args, **self._kwargs)
        except BaseException as error:
            if not deadline.turn(error):
                raise
            self._core.admission.count_timeout()
            msg = (
                f"pool {self._core.admission.name!r}: the call ran longer than its timeout of "
                f"{self._timeout:g} s and was cancelled"
            )
            raise CallTimeout(msg, stopped=True) from None
        deadline.turn(None)
        return value

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._mailbox.kept.discard(self)
        self._args = ()
        self._kwargs = {}
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._let_permit_go(ok=error is None)
        if self._timing is not None:
            self._timing.end()
        if self.done():
            return
        if task.cancelled():
            self.settle_cancelled()
        else:
            self.settle(None if error is not None else task.result(), error)

    def cancel(self) -> bool:
        """Take the call out of line, or cancel its coroutine; False if it has ended."""
        if super().cancel():
            return True
        if self.done():
            return False
        # Its permit is on the way to the loop, or it runs: there it is told in any case. First settled,
        # then told: it starts no more, or has a task by then.
        self.settle_cancelled()
        with contextlib.suppress(RuntimeError):  # the loop has closed, and took the task with it
            self._loop.call_soon_threadsafe(self._cancel_task)
        return self.cancelled()

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _withdraw(self) -> bool:
        if not self._core.admission.withdraw(self):
            return False
        self._unwatch()
        return True
