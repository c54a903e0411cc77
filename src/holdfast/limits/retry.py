"""How often to try again, and after how long."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from holdfast._core import check
from holdfast.errors import Rejected

__all__ = ("Backoff", "Retry", "tenacity_backoff")

Backoff = Callable[[int], float]
"""Called with how many attempts have failed, from 1; returns the seconds until the next."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after an error, waiting longer each time.

    By default only what is safe is tried again: a call that never started (:class:`Rejected`), and,
    where ``idempotent`` says that running it twice does no harm, one that raised any exception.

    The wait before attempt *n + 1* is ``wait * 2 ** (n - 1)`` seconds, at most ``wait_max``; with
    ``jitter`` a random share between half and all of it. An error that carries ``retry_after``
    seconds (a number) waits at least that long, however large it is.

    Args:
        attempts: Calls in all, the first included; at least 1.
        on: Exception types that are worth another try; anything else is final. None: those of a call
            that never started, and with ``idempotent`` all.
        wait: Seconds before the second attempt, 0 or more.
        wait_max: Longest wait in seconds.
        jitter: Spread the waits, so that calls which failed together do not return together.
        idempotent: Running the call twice does no harm.
        backoff: How long to wait, in place of ``wait``, ``wait_max`` and ``jitter``; such as
            :func:`tenacity_backoff` makes of any strategy of that library.

    Example:
        >>> Retry(3, wait=1.0, jitter=False, idempotent=True).delay(1, ValueError())
        1.0
        >>> Retry(3).delay(1, ValueError()) is None
        True
    """

    attempts: int = 3
    on: tuple[type[BaseException], ...] | None = None
    wait: float = 0.5
    wait_max: float = 30.0
    jitter: bool = True
    idempotent: bool = False
    backoff: Backoff | None = None

    def __post_init__(self) -> None:
        check.count("attempts", self.attempts, least=1)
        kinds = cast("object", self.on)
        if kinds is not None and not (
            isinstance(kinds, tuple) and all(map(_is_error_type, cast("tuple[object, ...]", kinds)))
        ):
            msg = f"on must be a tuple of exception types, not {self.on!r}"
            raise TypeError(msg)
        for name in ("wait", "wait_max"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                msg = f"{name} must be 0 or more seconds, not {value!r}"
                raise ValueError(msg)
        if self.backoff is not None:
            check.callable_("backoff", self.backoff)

    def is_worth(self, error: BaseException) -> bool:
        """Whether a call that ended with ``error`` may be tried again at all."""
        if self.on is not None:
            return isinstance(error, self.on)
        return isinstance(error, Exception if self.idempotent else Rejected)

    def delay(self, attempt: int, error: BaseException) -> float | None:
        """Seconds to wait after ``attempt`` (from 1) failed with ``error``; None if that was the last."""
        if attempt >= self.attempts or not self.is_worth(error):
            return None
        wait = self._backoff(attempt)
        asked = getattr(error, "retry_after", None)
        if isinstance(asked, (int, float)) and math.isfinite(asked):
            wait = max(wait, float(asked))
        return wait

    def _backoff(self, attempt: int) -> float:
        if self.backoff is not None:
            wait = float(self.backoff(attempt))
            if not (math.isfinite(wait) and wait >= 0):
                msg = f"backoff must return 0 or more seconds, not {wait!r}"
                raise ValueError(msg)
            return wait
        wait = min(self.wait * 2.0 ** min(attempt - 1, 64), self.wait_max)
        if self.jitter:
            import random  # noqa: PLC0415 - milliseconds, for those who do wait

            wait *= random.uniform(0.5, 1.0)  # noqa: S311 - spreading load, not keeping secrets
        return wait


def tenacity_backoff(strategy: Callable[..., float]) -> Backoff:
    """Return a back-off that waits as a strategy of the library tenacity says.

    Args:
        strategy: Such as ``tenacity.wait_random_exponential(max=60)``; anything that goes by the number of
            the attempt.

    Raises:
        ImportError: tenacity is not installed: ``pip install 'holdfast[retry]'``.

    Example:
        ``Retry(5, backoff=tenacity_backoff(tenacity.wait_exponential_jitter(initial=1)))``
    """
    from tenacity import RetryCallState, Retrying  # noqa: PLC0415 - an extra

    retrying = Retrying()

    def wait(attempt: int) -> float:
        state = RetryCallState(retrying, None, (), {})
        state.attempt_number = attempt
        return strategy(state)

    return wait


def _is_error_type(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)
