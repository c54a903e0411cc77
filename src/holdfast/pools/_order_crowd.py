"""Which key has most calls waiting, at O(1) for each call that comes or goes.

Keys stand in groups by how many of their calls wait. A call that comes or goes moves its key to the
next group, so the largest group in use changes by one at most.
"""

from collections import OrderedDict
from collections.abc import Hashable, Mapping

__all__ = ("Crowd",)


class Crowd:
    """How many calls of each key wait; a key is known only while some do.

    Args:
        counts: How it is at first.
    """

    __slots__ = ("_counts", "_groups", "_most")

    def __init__(self, counts: Mapping[Hashable, int]) -> None:
        self._counts: dict[Hashable, int] = {}
        self._groups: dict[int, OrderedDict[Hashable, None]] = {}
        self._most = 0
        for key, count in counts.items():
            if count:
                self._join(key, count)

    def more(self, key: Hashable) -> None:
        """One more call of ``key`` waits."""
        count = self._leave(key)
        self._join(key, count + 1)

    def fewer(self, key: Hashable) -> None:
        """One call of ``key`` less waits."""
        count = self._leave(key)
        if count > 1:
            self._join(key, count - 1)

    def most(self) -> Hashable:
        """The key with most calls; of several, the one that has had so many for longest."""
        return next(iter(self._groups[self._most]))

    def _join(self, key: Hashable, count: int) -> None:
        self._counts[key] = count
        self._groups.setdefault(count, OrderedDict())[key] = None
        self._most = max(self._most, count)

    def _leave(self, key: Hashable) -> int:
        count = self._counts.pop(key, 0)
        if count:
            group = self._groups[count]
            del group[key]
            if not group:
                del self._groups[count]
                if count == self._most:
                    self._most = count - 1  # where the key goes now, unless it goes further up
        return count
