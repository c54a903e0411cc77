"""Which run waits for which, so that a ring of them is refused and not waited for.

Purpose: the code of a run carries its mark in a context variable, into tasks and into the threads
that context variables travel to. A call from inside a run that would wait for another run is an edge
from mark to mark; one that would close a ring never waits.

Guarantees: of the waits that would close a ring, the last one is refused, over any number of keys,
flights, loops and threads. A mark whose run is over takes part in nothing and keeps nothing alive.

Assumes: a run needs whatever the code inside it waits for. A task that a run has started and does
not await is taken for a part of it, for as long as the run lasts.
"""

import threading
from collections.abc import Hashable
from contextvars import ContextVar

__all__ = ("INSIDE", "Mark", "renew_lock", "ring_lock", "tie", "untie")


class Mark:
    """Stands for a run in the context of its code.

    Attributes:
        live: Whether the run is in flight.
        flight: Name of its flight.
        key: Its key; dropped with the end of the run, as contexts live long.
        waits: The runs that code inside this one waits for, and how many times.
    """

    __slots__ = ("flight", "key", "live", "waits")

    def __init__(self, flight: str, key: Hashable) -> None:
        self.live = True
        self.flight = flight
        self.key: Hashable = key
        self.waits: dict[Mark, int] = {}

    def end(self) -> None:
        """The run is over."""
        self.live = False
        self.key = None

    def __str__(self) -> str:
        return f"run {shown(self.key)} of {self.flight!r}"


INSIDE: ContextVar[Mark | None] = ContextVar("holdfast_inside_run", default=None)
"""The mark of the innermost run that this code belongs to."""

_lock = threading.Lock()


def tie(inside: Mark, target: Mark) -> tuple[str, ...]:
    """Note that code of ``inside`` waits for ``target``; or return the ring that this would close."""
    with _lock:
        ring = _way(target, inside)
        if not ring:
            inside.waits[target] = inside.waits.get(target, 0) + 1
            return ()
    return tuple(
        f"{one} waits for {other}" for one, other in zip([inside, *ring], ring, strict=False)
    )


def untie(inside: Mark, target: Mark) -> None:
    """Note that one wait is over."""
    with _lock:
        left = inside.waits.pop(target, 1) - 1
        if left:
            inside.waits[target] = left


def _way(start: Mark, goal: Mark) -> list[Mark]:
    """The marks on a way of waits from ``start`` to ``goal``, both among them; empty if there is none."""
    reached_from: dict[Mark, Mark | None] = {start: None}
    look_at = [start]
    while look_at:
        mark = look_at.pop()
        if mark is goal:
            return _back(mark, reached_from)
        for step in mark.waits:
            if step.live and step not in reached_from:
                reached_from[step] = mark
                look_at.append(step)
    return []


def _back(mark: Mark | None, reached_from: dict[Mark, Mark | None]) -> list[Mark]:
    way: list[Mark] = []
    while mark is not None:
        way.append(mark)
        mark = reached_from[mark]
    return way[::-1]


def ring_lock() -> threading.Lock:
    """The lock of all marks, for who must know that this thread does not hold it."""
    return _lock


def renew_lock() -> None:
    """In the child of a fork: another thread of the parent may have held the lock."""
    global _lock  # noqa: PLW0603 - the one lock of all marks
    _lock = threading.Lock()


def shown(key: Hashable) -> str:
    """The key for messages, not longer than one can read."""
    text = repr(key)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


_LONGEST = 200
