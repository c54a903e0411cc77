"""The calls of a process pool, and who waits for each: a loop, or blocking code.

Its states are those of any call; beyond these it has a worker while it runs, or none while it waits for
another one, because its worker has died and it may be run again.
"""

from typing import TYPE_CHECKING, Any

from holdfast.pools._process_payload import Payload
from holdfast.pools._thread_calls import LoopCall, SubmittedCall

if TYPE_CHECKING:
    from holdfast._core.clock import Latch

__all__ = ("ProcessCall", "ProcessEntry", "ProcessLoopCall", "ProcessSubmittedCall")


class ProcessEntry:
    """What a process pool keeps of everything that holds one of its permits."""

    worker: Any = None  # a WorkerProcess, while it has one
    kind = 0
    payload: Payload = None
    idempotent = False
    attempts = 1
    until: float | None = None  # an inherited deadline
    told = False  # it has its outcome, though its permit is still out
    waits_since = -1.0  # where it is timed
    fn: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    timeout: float | None
    state: int
    abandoned: bool

    def finish(
        self, value: Any, error: BaseException | None, wake: "list[Latch] | None" = None
    ) -> None:
        """Bring the outcome to whoever waits."""
        raise AssertionError("abstract")  # noqa: EM101 - every kind has its own


class ProcessLoopCall(ProcessEntry, LoopCall):
    """A call that a coroutine awaits."""

    def finish(
        self, value: Any, error: BaseException | None, wake: "list[Latch] | None" = None
    ) -> None:
        """Send the outcome to the loop."""
        LoopCall.finish(self, value, error, wake)

    def let_go(self) -> None:
        """Drop what it was called with, which may be large."""
        self.payload = None
        super().let_go()


class ProcessSubmittedCall(ProcessEntry, SubmittedCall):
    """A call that was submitted: its own future."""

    def finish(
        self, value: Any, error: BaseException | None, wake: "list[Latch] | None" = None
    ) -> None:
        """Settle the future."""
        if self._claim():
            self._result = value
            self._settle(error, wake)

    def let_go(self) -> None:
        """Drop what it was called with, which may be large."""
        self.payload = None
        super().let_go()

    def cancel(self) -> bool:
        """Take the call out of line; if it runs, end its process with all that it has started.

        Returns:
            False only if it has an outcome already.
        """
        if super().cancel():
            return True
        if self.done() or not self._host.abort(self):
            return False
        self.settle_cancelled()
        return self.cancelled()

    @property
    def _host(self) -> Any:  # a ProcessCore, which imports this
        return self.core

    def watched(self) -> None:
        """Somebody waits in a way that does not read: ``futures.wait``, a callback."""
        self._host.attend(self)

    def _wait(self, timeout: float | None) -> None:
        if not self._host.wait_directly(self, timeout):
            super()._wait(timeout)


ProcessCall = ProcessLoopCall | ProcessSubmittedCall
