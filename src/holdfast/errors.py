"""The errors that holdfast raises. The first branch answers one question: did the work start?

``Rejected`` means never: the call can be repeated safely. ``Failed`` means that it started and may
have had effects. The user's own exceptions pass through unchanged, a bad argument is ``ValueError``
or ``TypeError``, and cancellation is the standard library's.

Every error survives pickling: its message comes first, everything else is an attribute.
"""

from typing import Any

__all__ = (
    "Aborted",
    "CallTimeout",
    "Failed",
    "HoldfastError",
    "Leaked",
    "PoolClosed",
    "ProcessFailed",
    "QueueFull",
    "QueueTimeout",
    "RateLimited",
    "Rejected",
    "ResultLost",
    "UnderPressure",
    "WorkerLost",
    "WouldDeadlock",
)


class HoldfastError(Exception):
    """Root of all errors that holdfast raises by itself."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)


# ---------------------------------------------------------------- never started


class Rejected(HoldfastError):
    """The work never started, and never will: repeating the call is safe.

    It is not a ``TimeoutError``, so that a handler for slow work does not swallow a refusal.

    Attributes:
        reason: One word for logs and metrics, such as ``"full"`` or ``"closed"``.
        retry_after: Seconds after which another try may succeed, or None where nobody knows.
        stats: The pool's statistics at the moment of refusal, or None.
    """

    reason: str = "rejected"

    def __init__(
        self,
        message: str = "",
        *,
        retry_after: float | None = None,
        stats: Any = None,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.stats = stats


class QueueFull(Rejected):
    """Every permit is out and the queue is at its bound."""

    reason = "full"


class QueueTimeout(Rejected):
    """The call waited ``queue_timeout`` seconds in line and was taken out before it started."""

    reason = "queue_timeout"


class RateLimited(Rejected):
    """The pool's rate allows no further start now; ``retry_after`` says when it will."""

    reason = "rate"


class UnderPressure(Rejected):
    """The process is short of a resource (threads, descriptors, memory) and admits nothing now."""

    reason = "pressure"


class PoolClosed(Rejected, RuntimeError):
    """The pool admits nothing any more. Also a ``RuntimeError``, as from any closed executor."""

    reason = "closed"


class WouldDeadlock(Rejected):
    """Waiting would never end, because what is waited for waits for the caller.

    Attributes:
        cycle: The waits that form the ring, one line each, first to last.
    """

    reason = "deadlock"

    def __init__(
        self,
        message: str = "",
        *,
        retry_after: float | None = None,
        stats: Any = None,
        cycle: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, retry_after=retry_after, stats=stats)
        self.cycle = cycle


# ---------------------------------------------------------------- started


class Failed(HoldfastError):
    """The work started, so it may have had effects."""


class CallTimeout(Failed, TimeoutError):
    """The call ran longer than its ``timeout``.

    Attributes:
        stopped: True if the work has ended (a cancelled coroutine, a killed process), False if it
            still runs (a thread can't be stopped): its permit stays held until it returns.
        result: What there is of a result, where the call leaves something: a program's output until
            then. None otherwise.
    """

    def __init__(self, message: str = "", *, stopped: bool = False, result: Any = None) -> None:
        super().__init__(message)
        self.stopped = stopped
        self.result = result


class WorkerLost(Failed):
    """The worker that ran the call died.

    Attributes:
        pid: The worker's process id, or None where it is unknown.
        exitcode: Its exit code, negative for a signal, or None where it is unknown.
        out_of_memory: Whether the system ended it for want of memory; None where nobody knows.
    """

    def __init__(
        self,
        message: str = "",
        *,
        pid: int | None = None,
        exitcode: int | None = None,
        out_of_memory: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.pid = pid
        self.exitcode = exitcode
        self.out_of_memory = out_of_memory


class ProcessFailed(Failed):
    """A program ended with another exit status than 0, and its caller had asked for an error then.

    Attributes:
        result: Its :class:`~holdfast.track.process.result.ProcessResult`: status, output, figures.
    """

    def __init__(self, message: str = "", *, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class ResultLost(Failed):
    """The call ran to its end, but its result could not be sent back."""


class Aborted(Failed):
    """The run that this call shares has ended without an outcome; how far it came, nobody knows."""


# ---------------------------------------------------------------- still open


class Leaked(HoldfastError):
    """Something was still open when its owner closed.

    Attributes:
        held: One line each: what, who opened it, and where.
    """

    def __init__(self, message: str = "", *, held: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.held = held
