"""A deadline for everything that is done inside a ``with`` block, in whichever pool and thread.

The deadline is a context variable: it goes where the context goes, into tasks, into worker threads
and into the items of streams, and nobody has to hand it on.
"""

import math
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, Self

from holdfast._core import clock

__all__ = ("Deadline", "deadline", "remaining")

INHERITED: Final[ContextVar[float | None]] = ContextVar("holdfast_deadline", default=None)
"""When everything here has to be over, on the clock in use; None is never."""

inherited: Final = INHERITED.get
"""Asked by every call: bound once, which halves the price of asking."""


def deadline(seconds: float | None, *, shield: bool = False) -> "Deadline":
    """Give every call of a pool inside the ``with`` block ``seconds`` from its beginning, no longer.

    The block itself is not interrupted, only what it asks of pools: a call may neither wait nor run
    beyond the deadline. One that waits for a permit then leaves the line; a coroutine that runs is
    cancelled; a blocking call that runs is abandoned; a stream ends. A call that comes too late, or
    that the pool's rate lets start too late, is refused at once and never runs.

    The pool's own ``queue_timeout`` and ``timeout`` hold as well: the earlier one counts, and the
    error says which it was. Of nested deadlines too the earlier one counts.

    Used with plain ``with``, in a coroutine as in blocking code. Tasks and calls that were begun
    outside are not touched.

    Args:
        seconds: From the moment at which the block is entered. What is left of a budget may be 0 or
            less: then it has passed. None sets no deadline of its own.
        shield: Ignore the deadlines around this block: for cleaning up after one has passed.

    Returns:
        A context manager, to be entered once; it tells what is :meth:`~Deadline.remaining`.

    Raises:
        ValueError: ``seconds`` is not finite.

    Example:
        >>> from holdfast.pools import ThreadPool
        >>> with ThreadPool(2) as pool, deadline(5.0):
        ...     pool.submit(pow, 2, 10).result()
        1024
    """
    return Deadline(seconds, shield=shield)


class Deadline:
    """What :func:`deadline` returns.

    Args:
        seconds: See :func:`deadline`.
        shield: See :func:`deadline`.
    """

    __slots__ = ("_seconds", "_shield", "_token", "_until")

    def __init__(self, seconds: float | None, *, shield: bool = False) -> None:
        self._seconds = _checked(seconds)
        self._shield = shield
        self._token: Token[float | None] | None = None
        self._until: float | None = None

    def __enter__(self) -> Self:
        if self._token is not None:
            msg = "a deadline can be entered once; make another one"
            raise RuntimeError(msg)
        outer = None if self._shield else inherited()
        own = None if self._seconds is None else clock.now() + self._seconds
        self._until = own if outer is None else outer if own is None else min(own, outer)
        self._token = INHERITED.set(self._until)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is not None:
            # A generator may be closed in another context than that in which it began: there the
            # deadline was never set.
            with suppress(ValueError):
                INHERITED.reset(self._token)

    def remaining(self) -> float | None:
        """Seconds until the deadline that counts here, 0.0 when it has passed; None if there is none."""
        return _left(self._until)

    def __repr__(self) -> str:
        if self._token is None:
            return f"<deadline of {self._seconds} s, not entered>"
        left = self.remaining()
        return "<no deadline>" if left is None else f"<deadline in {left:.3f} s>"


def remaining() -> float | None:
    """Seconds until the deadline that counts here, 0.0 when it has passed; None if there is none.

    For what knows nothing of it, such as the timeout of a driver or a client.

    Example:
        >>> with deadline(5.0):
        ...     remaining() <= 5.0
        True
    """
    return _left(inherited())


def _left(until: float | None) -> float | None:
    return None if until is None else max(0.0, until - clock.now())


def _checked(seconds: object) -> float | None:
    if seconds is None:
        return None
    msg = f"a deadline is seconds from now as a finite number, or None for none, not {seconds!r}"
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(msg)
    if not math.isfinite(seconds):
        raise ValueError(msg)
    return float(seconds)
