"""The options of a resource pool, checked."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, cast

from holdfast._core import check

__all__ = ("PoolOptions", "checked_options", "leak_thresholds", "sizes")

_SPREAD = 0.05
"""By how much a life may be shorter than ``max_lifetime``, and a pause than its length, at most."""


@dataclass(slots=True, kw_only=True)
class PoolOptions:
    """See :class:`ResourcePool`, which tells each of them. Only the sizes change, by ``resize``."""

    name: str
    min_size: int
    max_size: int
    max_waiting: int
    max_opening: int
    timeout: float | None
    open_timeout: float
    close_timeout: float
    max_lifetime: float | None
    idle_timeout: float | None
    check_after: float
    slow_after: float | None
    leak_after: float | None
    descriptors: int
    resets: bool
    keep_after: Callable[[BaseException], bool]

    @property
    def owner(self) -> str:
        """How the pool reads in reports."""
        return f"pool {self.name!r}"

    def expiry(self, now: float) -> float:
        """When the life of what is opened now will be over."""
        return inf if self.max_lifetime is None else now + self.jittered(self.max_lifetime)

    @staticmethod
    def jittered(seconds: float) -> float:
        """Return a little less than ``seconds``, each time another length."""
        return seconds * random.uniform(1.0 - _SPREAD, 1.0)  # noqa: S311 - spreading load, not keeping secrets


def sizes(min_size: int, max_size: int) -> tuple[int, int]:
    """Check the two together."""
    most = check.count("max_size", max_size, least=1)
    if check.count("min_size", min_size) > most:
        msg = f"min_size must be at most max_size ({most}), not {min_size}"
        raise ValueError(msg)
    return min_size, most


def leak_thresholds(leak_after: object) -> tuple[float | None, float | None]:
    """Return after how many seconds a loan is slow, and leaked."""
    if not isinstance(leak_after, tuple):
        return None, check.seconds("leak_after", leak_after)
    pair = cast("tuple[object, ...]", leak_after)
    if len(pair) != 2:  # noqa: PLR2004 - a pair
        msg = f"leak_after must be seconds, or a pair of them (slow, leaked), not {leak_after!r}"
        raise ValueError(msg)
    slow, leaked = (check.seconds("leak_after", one) for one in pair)
    if slow is not None and leaked is not None and slow >= leaked:
        msg = f"leak_after must have slow before leaked, not {leak_after!r}"
        raise ValueError(msg)
    return slow, leaked


def _finite(name: str, value: object) -> float:
    seconds = check.seconds(name, value)
    if seconds is None:
        msg = f"{name} must be seconds: without a bound a place could be taken for ever"
        raise TypeError(msg)
    return seconds


def checked_options(
    *,
    name: str,
    min_size: int,
    max_size: int,
    max_waiting: int,
    max_opening: int,
    timeout: float | None,
    open_timeout: float,
    close_timeout: float,
    max_lifetime: float | None,
    idle_timeout: float | None,
    check_after: float,
    leak_after: Any,
    descriptors: int,
    resets: bool,
    keep_after: Callable[[BaseException], bool],
) -> PoolOptions:
    """Check every option, with one wording."""
    fewest, most = sizes(min_size, max_size)
    slow, leaked = leak_thresholds(leak_after)
    return PoolOptions(
        name=name,
        min_size=fewest,
        max_size=most,
        max_waiting=check.count("max_waiting", max_waiting),
        max_opening=check.count("max_opening", max_opening, least=1),
        timeout=check.seconds("timeout", timeout, zero=True),
        open_timeout=_finite("open_timeout", open_timeout),
        close_timeout=_finite("close_timeout", close_timeout),
        max_lifetime=check.seconds("max_lifetime", max_lifetime),
        idle_timeout=check.seconds("idle_timeout", idle_timeout),
        check_after=check.seconds("check_after", check_after, zero=True) or 0.0,
        slow_after=slow,
        leak_after=leaked,
        descriptors=check.count("descriptors", descriptors),
        resets=resets,
        keep_after=keep_after,
    )
