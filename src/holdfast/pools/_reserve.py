"""Permits that are kept for clean-up work: a small pool inside of a pool.

Purpose: what has to be undone (a lock to give back, a job to cancel, a record to close) finds a permit
also when every other one is out, and even when those who hold them wait for that very clean-up.

Guarantees
- ``reserved`` of a pool's permits go to calls that ask for them with ``options(reserved=True)``, and to no
  others; all permits together are never more than the pool's limit;
- such a call takes any permit of the pool that is free and that nobody waits for; else one of those that
  are kept, for which it waits in a line of its own, as long as the pool's, first come first served;
- while a pool drains or closes, the kept permits serve until the calls before them have ended.

The kept permits are an admission of their own, so that nothing is asked of a call that has no need of
them, and so that the search for deadlocks takes them for what they are: another pool.
"""

from dataclasses import replace
from typing import Protocol, TypeVar

from holdfast._core import check
from holdfast._core.clock import Clock
from holdfast.pools._admission import Admission
from holdfast.pools._stats import PoolStats

__all__ = ("kept_or_raise", "reserve_of", "share", "with_reserve")

C = TypeVar("C")


def share(limit: int, reserved: int, name: str) -> int:
    """Return how many permits are left to all calls when so many of ``limit`` are kept.

    Raises:
        ValueError: None would be.
    """
    if check.count("reserved", reserved) >= limit:
        msg = f"reserved must be less than {name} ({limit}), not {reserved}: other calls need a permit too"
        raise ValueError(msg)
    return limit - reserved


def reserve_of(admission: Admission, reserved: int, clock: Clock) -> Admission:
    """Make the admission of the kept permits of a pool.

    It has the pool's bounds, but neither its rate, as clean-up does not wait for that, nor its order.
    """
    return Admission(
        f"{admission.name}/reserved",
        reserved,
        max_queue=admission.max_queue,
        overflow=admission.overflow,
        max_abandoned=min(reserved, admission.max_abandoned),
        gate=None,
        clock=clock,
    )


def kept_or_raise(kept: C | None, name: str) -> C:
    """Return what hands out the kept permits of a pool.

    Raises:
        ValueError: The pool keeps none.
    """
    if kept is None:
        msg = (
            f"reserved=True would mean nothing: pool {name!r} keeps no permits for clean-up; make it with "
            "reserved=1 or more, or leave it out"
        )
        raise ValueError(msg)
    return kept


class HasStats(Protocol):
    """Something with figures: one of the two halves of a pool."""

    def stats(self) -> PoolStats:
        """Return one consistent reading."""
        ...


def with_reserve(own: HasStats, kept: HasStats | None) -> PoolStats:
    """Return the figures of a pool, with those of the permits that it keeps as a part of them."""
    if kept is None or kept is own:
        return own.stats()
    return replace(own.stats(), reserved=kept.stats())
