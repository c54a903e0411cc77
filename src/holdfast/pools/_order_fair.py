"""The line of a fair pool: round robin over keys, and first come first served within a key.

Guarantees
- between two turns of a key that waits, every other key gets at most one; so a key with a single
  call waits for as many calls as there are keys, however many calls the others have;
- a key exists only while something of it waits;
- everything is O(1), but for listing all that wait.

The ring holds the keys in the order of their next turns. A key that was served goes to the end of it,
and so does one that is new, or new again: nobody gains by leaving and coming back.
"""

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import cast

from holdfast.pools._entry import Entry
from holdfast.pools._order_crowd import Crowd
from holdfast.pools._order_line import FirstCome, OrderedLine, rank_of

__all__ = ("FairLine",)


class FairLine(OrderedLine):
    """Takes one entry of each key in turn."""

    __slots__ = ("_crowd", "_length", "_number", "_ring")

    def __init__(self) -> None:
        self._number = itertools.count().__next__
        self._ring: OrderedDict[Hashable, FirstCome] = OrderedDict()
        self._length = 0
        self._crowd: Crowd | None = None  # counted from the first call on that is dropped

    @property
    def keys(self) -> int:
        """How many keys wait."""
        return len(self._ring)

    def __len__(self) -> int:
        return self._length

    def __contains__(self, entry: object, /) -> bool:
        line = self._ring.get(rank_of(cast("Entry", entry)))
        return line is not None and entry in line

    def __iter__(self) -> Iterator[Entry]:
        merged = heapq.merge(*(line.numbered() for line in self._ring.values()))
        return (entry for _, entry in merged)

    def __setitem__(self, entry: Entry, came: None, /) -> None:
        key: Hashable = rank_of(entry)
        line = self._ring.get(key)
        if line is None:
            line = self._ring[key] = FirstCome(self._number)
        line.add(entry)
        self._length += 1
        if self._crowd is not None and entry.counted:
            self._crowd.more(key)

    def __delitem__(self, entry: Entry, /) -> None:
        key: Hashable = rank_of(entry)
        line = self._ring[key]
        del line[entry]
        if not line:
            del self._ring[key]
        self._gone(key, entry)

    def popitem(self, last: bool = True) -> tuple[Entry, None]:
        """Take the first entry of the key whose turn it is."""
        ring = self._ring
        key = next(iter(ring))
        line = ring[key]
        entry, _ = line.popitem()
        if line:
            ring.move_to_end(key)
        else:
            del ring[key]
        self._gone(key, entry)
        return entry, None

    def clear(self) -> None:
        """Let everybody go."""
        self._ring.clear()
        self._length = 0
        self._crowd = None

    def first(self) -> Entry:
        """The first entry of the key whose turn it is."""
        return next(iter(self._ring.values())).first()

    def to_drop(self) -> Entry:
        """The oldest call of the key that has most of them: whoever crowds the queue makes room."""
        if self._crowd is None:
            self._crowd = Crowd({key: line.calls for key, line in self._ring.items()})
        return self._ring[self._crowd.most()].to_drop()

    def beside(self) -> "FairLine":
        """Return an empty line of the same kind."""
        return FairLine()

    def _gone(self, key: Hashable, entry: Entry) -> None:
        self._length -= 1
        if self._crowd is not None and entry.counted:
            self._crowd.fewer(key)
