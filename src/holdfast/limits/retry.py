"""How often to try again, and after how long."""

import math
import random
from dataclasses import dataclass
from typing import cast

from holdfast._core import check

__all__ = ("Retry",)


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after an error, waiting longer each time.

    The wait before attempt *n + 1* is ``wait * 2 ** (n - 1)`` seconds, at most ``wait_max``; with
    ``jitter`` a random share between half and all of it. An error that carries ``retry_after``
    seconds (a number) waits at least that long, however large it is.

    Args:
        attempts: Calls in all, the first included; at least 1.
        on: Exception types that are worth another try; anything else is final.
        wait: Seconds before the second attempt, 0 or more.
        wait_max: Longest wait in seconds.
        jitter: Spread the waits, so that calls which failed together do not return together.

    Example:
        >>> Retry(3, wait=1.0, jitter=False).delay(1, ValueError())
        1.0
        >>> Retry(3).delay(3, ValueError()) is None
        True
    """

    attempts: int = 3
    on: tuple[type[BaseException], ...] = (Exception,)
    wait: float = 0.5
    wait_max: float = 30.0
    jitter: bool = True

    def __post_init__(self) -> None:
        check.count("attempts", self.attempts, least=1)
        kinds = cast("object", self.on)
        if not (
            isinstance(kinds, tuple) and all(map(_is_error_type, cast("tuple[object, ...]", kinds)))
        ):
            msg = f"on must be a tuple of exception types, not {self.on!r}"
            raise TypeError(msg)
        for name in ("wait", "wait_max"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                msg = f"{name} must be 0 or more seconds, not {value!r}"
                raise ValueError(msg)

    def delay(self, attempt: int, error: BaseException) -> float | None:
        """Seconds to wait after ``attempt`` (from 1) failed with ``error``; None if that was the last."""
        if attempt >= self.attempts or not isinstance(error, self.on):
            return None
        wait = min(self.wait * 2.0 ** min(attempt - 1, 64), self.wait_max)
        if self.jitter:
            wait *= random.uniform(0.5, 1.0)  # noqa: S311 - spreading load, not keeping secrets
        asked = getattr(error, "retry_after", None)
        if isinstance(asked, (int, float)) and math.isfinite(asked):
            wait = max(wait, float(asked))
        return wait


def _is_error_type(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)
