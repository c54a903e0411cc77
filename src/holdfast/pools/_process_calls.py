"""The calls of a process pool, and who waits for each: a loop, or blocking code.

Its states are those of any call; beyond these it has a worker while it runs, or none while it waits for
another one, because its worker has died and it may be run again.
"""

import threading
from typing import TYPE_CHECKING, Any

from holdfast._core.future import CallFuture
from holdfast.pools._deadlock_waits import park
from holdfast.pools._entry import WAITING
from holdfast.pools._process_payload import Payload

if TYPE_CHECKING:
    import asyncio

    from holdfast._core.clock import Latch
    from holdfast._core.loops import LoopState
    from holdfast.errors import Rejected
    from holdfast.limits.rates import Weights
    from holdfast.pools._pace import Pace

__all__ = ("ProcessCall", "ProcessEntry", "ProcessLoopCall", "ProcessSubmittedCall")


class ProcessEntry:
    """What a process pool keeps of everything that holds one of its permits."""

    worker: Any = None  # a WorkerProcess, while it has one
    kind = 0
    payload: Payload = None
    idempotent = False
    weights: "Weights | None" = None  # in the pool's rates
    pace: "Pace | None" = None  # what learns from its error
    attempts = 1
    until: float | None = None  # an inherited deadline
    told = False  # it has its outcome, though its permit is still out
    waits_since = -1.0  # where it is timed
    fn: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    timeout: float | None = None
    due: float | None = None
    core: Any  # a ProcessCore, which imports this
    counted = True
    size = 0
    state = WAITING
    abandoned = False
    abandoned_at: float | None = None
    queue_until: float | None = None

    def let_go(self) -> None:
        """It has run, or never will: drop what it was called with, which may be large."""
        self.fn = self.payload = None
        self.args = ()
        self.kwargs = {}

    def expire(self) -> None:
        """On the timer's thread."""
        self.core.check_deadline(self)

    def finish(
        self, value: Any, error: BaseException | None, wake: "list[Latch] | None" = None
    ) -> None:
        """Bring the outcome to whoever waits."""
        raise AssertionError("abstract")  # noqa: EM101 - every kind has its own


class ProcessLoopCall(ProcessEntry):
    """A call that a coroutine awaits. Its outcome travels in the loop's mailbox."""

    def __init__(
        self,
        core: Any,
        mailbox: "LoopState",
        future: "asyncio.Future[None]",
        call: tuple[Any, tuple[Any, ...], dict[str, Any]],
    ) -> None:
        self.core = core
        self.mailbox = mailbox
        self.future = future
        self.fn, self.args, self.kwargs = call
        self.value: Any = None
        self.error: BaseException | None = None

    def finish(
        self, value: Any, error: BaseException | None, wake: "list[Latch] | None" = None
    ) -> None:
        """Send the outcome to the loop; lost only with the loop itself."""
        del wake  # the loop is woken by its mailbox
        self.value = value
        self.error = error
        self.mailbox.post(self)

    def deliver(self) -> None:
        """On the loop: wake the coroutine."""
        if not self.future.done():
            self.future.set_result(None)

    def accepted(self) -> None:
        """Nothing to do: the coroutine waits for the outcome anyway."""

    def refuse(self, error: "Rejected") -> None:
        """Bring the refusal to the coroutine."""
        self.let_go()
        self.finish(None, error)

    def drop_result(self) -> None:
        """Nothing to do: a result that comes too late is never kept here."""


class ProcessSubmittedCall(ProcessEntry, CallFuture[Any]):
    """A call that was submitted: its own future."""

    _is_accepted = False
    _accept_lock: "threading.Lock | None" = None

    def __init__(self, core: Any, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.core = core
        self.fn = fn
        self.args = args
        self.kwargs = kwargs

    def finish(
        self, value: Any, error: BaseException | None, wake: "list[Latch] | None" = None
    ) -> None:
        """Settle the future."""
        if self._claim():
            self._result = value
            self._settle(error, wake)

    def drop_result(self) -> None:
        """It has come too late."""
        self._result = None

    def refuse(self, error: "Rejected") -> None:
        """Settle the future with the refusal, and wake a submitter that is still blocked."""
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

    def cancel(self) -> bool:
        """Take the call out of line; if it runs, end its process with all that it has started.

        Returns:
            False only if it has an outcome already.
        """
        if super().cancel():
            return True
        if self.done() or not self.core.abort(self):
            return False
        self.settle_cancelled()
        return self.cancelled()

    def watched(self) -> None:
        """Somebody waits in a way that does not read: ``futures.wait``, a callback."""
        self.core.attend(self)

    def _withdraw(self) -> bool:
        taken: bool = self.core.withdraw(self)
        return taken

    def _wait(self, timeout: float | None) -> None:
        if not self.core.wait_directly(self, timeout):
            self.core.attend(self)
            super()._wait(timeout)


ProcessCall = ProcessLoopCall | ProcessSubmittedCall
