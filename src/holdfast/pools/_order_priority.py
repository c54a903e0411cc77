"""The line of a pool that serves by priority, with ageing: nobody starves.

An entry of priority ``p`` that came at ``t`` is due at ``t + p * ageing``, and who is due earliest goes
first. All age alike, so the order of two entries never changes and is computed once. It also says how
long one can be overtaken: by an entry that is ``d`` levels more urgent, if that one comes less than
``d * ageing`` seconds later.

Guarantees
- within a priority, and where two are due at once, first come first served;
- nobody starves: see above;
- to come and to be taken is O(log n). To leave is O(1): the place in the heap stays behind as a mark,
  and when more than half of the heap are marks it is made anew, so that they are bounded.

Source: J. R. Jackson, "Some Problems in Queueing with Dynamic Priorities", Naval Research Logistics
Quarterly 7 (1960), where the priorities are called urgency numbers.
"""

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any

from holdfast.pools._entry import Entry
from holdfast.pools._order_line import FirstCome, OrderedLine, rank_of

__all__ = ("PriorityLine",)

_SLACK = 16
"""Marks that a heap may have, over and above one for each entry."""


class PriorityLine(OrderedLine):
    """Takes the entry that is due first.

    Args:
        ageing: Seconds of waiting that outweigh one level of priority.
        now: Reads the pool's clock.
    """

    __slots__ = ("_ageing", "_arrived", "_heap", "_now", "_waiting")

    def __init__(self, ageing: float, now: Callable[[], float]) -> None:
        self._ageing = ageing
        self._now = now
        self._arrived = FirstCome()
        self._waiting: dict[int, Entry] = {}  # by the numbers of their arrival
        self._heap: list[tuple[float, int]] = []  # of these, those that have left are not waiting

    @property
    def marks(self) -> int:
        """Places of entries that have left, which the heap still holds."""
        return len(self._heap) - len(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, entry: object, /) -> bool:
        return entry in self._arrived

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._arrived)

    def __setitem__(self, entry: Entry, came: float | None, /) -> None:
        due = came
        if due is None:
            priority: float | None = rank_of(entry)
            due = self._now() + (0.0 if priority is None else priority * self._ageing)
        number = self._arrived.add(entry)
        self._waiting[number] = entry
        heappush(self._heap, (due, number))

    def __delitem__(self, entry: Entry, /) -> None:
        waiting = self._waiting
        del waiting[self._arrived.remove(entry)]
        if len(self._heap) > 2 * len(waiting) + _SLACK:
            self._heap = [place for place in self._heap if place[1] in waiting]
            heapify(self._heap)

    def popitem(self, last: bool = True) -> tuple[Entry, Any]:
        """Take the entry whose turn it is, with the moment at which it was due."""
        entry = self.first()
        due, number = heappop(self._heap)
        del self._waiting[number]
        del self._arrived[entry]
        return entry, due

    def clear(self) -> None:
        """Let everybody go."""
        self._arrived.clear()
        self._waiting.clear()
        self._heap.clear()

    def first(self) -> Entry:
        """The entry whose turn it is."""
        heap, waiting = self._heap, self._waiting
        while (entry := waiting.get(heap[0][1])) is None:
            heappop(heap)
        return entry

    def to_drop(self) -> Entry:
        """The call that came first, whatever its priority."""
        return self._arrived.to_drop()

    def beside(self) -> "PriorityLine":
        """Return an empty line of the same kind."""
        return PriorityLine(self._ageing, self._now)
