"""One figure with its bound, and the arithmetic that finds the tightest of several bounds."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

__all__ = ("Reading", "narrowest", "tightest")


@dataclass(frozen=True, slots=True)
class Reading:
    """What is held of something, how much of it may be held, and who says so.

    Attributes:
        name: What is counted, such as ``"threads"``.
        value: How much of it is held within ``scope``; None where that can't be read here, and
            ``note`` says why.
        unit: The unit of ``value`` and ``bound``.
        bound: The most that ``scope`` may hold; None where nothing sets a bound.
        source: Where the bound comes from: the limit, the file, the control group.
        scope: Who holds ``value`` and shares ``bound``: ``"process"``, ``"user 1000"``,
            ``"cgroup /a/b"``, ``"machine"``.
        note: Why a figure is None, or what it leaves out; empty if there is nothing to say.
    """

    name: str
    value: float | None
    unit: str
    bound: float | None = None
    source: str = ""
    scope: str = "process"
    note: str = ""

    @property
    def left(self) -> float | None:
        """How much may still be taken, never below 0; None without a value or without a bound."""
        if self.value is None or self.bound is None:
            return None
        return max(self.bound - self.value, 0)

    @property
    def used(self) -> float | None:
        """The part of the bound that is taken, 1.0 for all of it; None where ``left`` is None."""
        if self.value is None or self.bound is None:
            return None
        return self.value / self.bound if self.bound > 0 else 1.0


def tightest(readings: Iterable[Reading]) -> Reading | None:
    """Return the reading of which least is left, or None if none has a bound.

    Args:
        readings: In the same unit. One with a bound but no value counts as if nothing of it were
            used; of those with equal room the one with the lowest bound is the tightest.
    """
    return _least(readings, 0)


def narrowest(own: Reading, constraints: Iterable[Reading]) -> Reading:
    """Say how much of ``own`` this process may have, by the tightest of ``constraints``.

    A constraint may be shared: if a user may have 100 threads, of which other programs hold 60,
    a process with 10 may have 10 + 30 in all. The result has that as its bound, so that its
    ``left`` is what the process may still take.

    Args:
        own: What the process itself holds; its own bound, if any, is one more constraint.
        constraints: In the same unit, each within a scope of its own.

    Returns:
        ``own`` with the bound and the source of the tightest constraint; without a bound if there
        is none.
    """
    held = own.value or 0
    limit = _least((own, *constraints), held)
    if limit is None:
        return own
    note = own.note or limit.note
    if limit.scope == "process":
        return replace(own, bound=limit.bound, source=limit.source, note=note)
    return replace(own, bound=held + _room(limit, held), source=_told(limit), note=note)


def _least(readings: Iterable[Reading], held: float) -> Reading | None:
    bounded = [reading for reading in readings if reading.bound is not None]
    return min(bounded, key=lambda each: (_room(each, held), each.bound), default=None)


def _room(reading: Reading, held: float) -> float:
    """What is left; what the process holds is used, also where the scope's value can't be read."""
    return max((reading.bound or 0) - max(reading.value or 0, held), 0)


def _told(limit: Reading) -> str:
    if limit.value is None:
        return f"{limit.source}: {limit.bound:,.0f} for {limit.scope}"
    return f"{limit.source}: {limit.value:,.0f} of {limit.bound:,.0f} held by {limit.scope}"
