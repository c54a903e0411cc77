"""A timer wheel: deadlines in buckets, so that a hundred thousand of them need one timer.

Purpose: remember which entries are due when; add and discard in O(1), a few dozen bytes each.
Guarantees: an entry is due never early, and late by at most 1/32 of its delay plus one millisecond.
Assumes: the caller holds whatever lock it needs; the wheel reads no clock and wakes nobody.
"""

import heapq
from typing import Generic, TypeVar

__all__ = ("Wheel",)

E = TypeVar("E")

_FINEST = 0.001


class _Bucket(set[E]):
    """Entries that are due at the same moment."""

    __slots__ = ("when",)
    when: float


class Wheel(Generic[E]):
    """Entries by the moment at which they are due, in seconds of whoever's clock."""

    __slots__ = ("_buckets", "_order")

    def __init__(self) -> None:
        self._buckets: dict[float, _Bucket[E]] = {}
        self._order: list[float] = []

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def __bool__(self) -> bool:
        return bool(self._buckets)

    def add(self, entry: E, now: float, delay: float) -> float:
        """Remember ``entry`` for ``now + delay``; returns its bucket, which :meth:`discard` takes."""
        width = _FINEST
        while width * 64 < delay:
            width *= 2
        when = (int((now + delay) / width) + 1) * width
        bucket = self._buckets.get(when)
        if bucket is None:
            bucket = self._buckets[when] = _Bucket()
            bucket.when = when
            heapq.heappush(self._order, when)
        bucket.add(entry)
        return bucket.when  # one float for all of them, where each may be kept by its entry

    def discard(self, entry: E, when: float) -> None:
        """Forget ``entry``; does nothing if it has come due already."""
        bucket = self._buckets.get(when)
        if bucket is not None:
            bucket.discard(entry)
            if not bucket:
                del self._buckets[when]
                if len(self._order) > 2 * len(self._buckets) + 64:
                    self._order = sorted(self._buckets)

    def next_due(self) -> float | None:
        """The moment of the earliest bucket, or None when nothing is remembered."""
        order = self._order
        while order and order[0] not in self._buckets:
            heapq.heappop(order)
        return order[0] if order else None

    def pop_due(self, now: float) -> list[E]:
        """Take out and return every entry whose moment has come."""
        due: list[E] = []
        while (when := self.next_due()) is not None and when <= now:
            heapq.heappop(self._order)
            due.extend(self._buckets.pop(when))
        return due
