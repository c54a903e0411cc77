"""What the lines of all orders know: who came first, besides whose turn it is.

Purpose: a full queue that drops its oldest call, and a pool that closes, go by arrival, whatever the
order in which calls are served. An ``OrderedDict`` serves who came first and needs none of this; it
is the line of every pool that neither has an order nor drops calls that wait behind streams.

Guarantees: to come, to be taken, to be withdrawn and to be found as the oldest are O(1) each; those
that have gone leave nothing behind.

An entry that goes from one line to another, from those who are blocked into the queue, may take
something with it, such as its age: ``popitem`` returns that, ``__setitem__`` takes it.

Not safe from several threads: the admission's lock is held.
"""

import heapq
import itertools
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from holdfast.pools._entry import Entry

__all__ = ("FirstCome", "OrderedLine", "rank_of")


def rank_of(entry: Entry) -> Any:
    """What ``entry`` says of itself, or None; a stream's turn speaks for its stream."""
    who = entry if entry.counted else getattr(entry, "engine", entry)
    return getattr(who, "rank", None)


class OrderedLine(ABC):
    """A ``Line`` that also tells whose turn it is without serving it, and whom a full queue drops."""

    __slots__ = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __contains__(self, entry: object, /) -> bool: ...

    @abstractmethod
    def __iter__(self) -> Iterator[Entry]:
        """All that wait, those that came first first."""

    @abstractmethod
    def __setitem__(self, entry: Entry, came: Any, /) -> None:
        """Let ``entry`` wait; ``came`` is what another line's ``popitem`` said of it, or None."""

    @abstractmethod
    def __delitem__(self, entry: Entry, /) -> None:
        """Let ``entry`` go."""

    @abstractmethod
    def popitem(self, last: bool = True) -> tuple[Entry, Any]:
        """Take whose turn it is, with what it takes with it; ``last`` is a dict's, and not used."""

    @abstractmethod
    def clear(self) -> None:
        """Let everybody go."""

    @abstractmethod
    def first(self) -> Entry:
        """Whose turn it is."""

    @abstractmethod
    def to_drop(self) -> Entry:
        """The call that goes when a newer one needs its place; there is one."""

    @abstractmethod
    def beside(self) -> "OrderedLine":
        """Return an empty line of the same order, for those who are blocked before this one."""


class FirstCome(OrderedLine):
    """First come, first served, with calls and the turns of streams apart.

    Args:
        number: Gives each arrival its number; lines whose entries are merged share it.
    """

    __slots__ = ("_calls", "_number", "_turns")

    def __init__(self, number: Callable[[], int] | None = None) -> None:
        self._calls: OrderedDict[Entry, int] = OrderedDict()
        self._turns: OrderedDict[Entry, int] = OrderedDict()
        self._number = number if number is not None else itertools.count().__next__

    @classmethod
    def of(cls, waiting: Iterable[Entry]) -> "FirstCome":
        """Return a line of those who wait, in their order."""
        line = cls()
        for entry in waiting:
            line[entry] = None
        return line

    @property
    def calls(self) -> int:
        """How many calls wait, streams not counted."""
        return len(self._calls)

    def __len__(self) -> int:
        return len(self._calls) + len(self._turns)

    def __contains__(self, entry: object, /) -> bool:
        return entry in self._calls or entry in self._turns

    def __iter__(self) -> Iterator[Entry]:
        return (entry for _, entry in self.numbered())

    def numbered(self) -> Iterator[tuple[int, Entry]]:
        """All that wait with the numbers of their arrival, lowest first."""
        parts = (((number, entry) for entry, number in part.items()) for part in self._parts())
        return heapq.merge(*parts)  # no two numbers are equal, so no two entries are compared

    def __setitem__(self, entry: Entry, came: None, /) -> None:
        self.add(entry)

    def add(self, entry: Entry) -> int:
        """Let ``entry`` wait; returns its number."""
        part = self._calls if entry.counted else self._turns
        part[entry] = number = self._number()
        return number

    def __delitem__(self, entry: Entry, /) -> None:
        self.remove(entry)

    def remove(self, entry: Entry) -> int:
        """Let ``entry`` go; returns its number."""
        return (self._calls if entry.counted else self._turns).pop(entry)

    def popitem(self, last: bool = True) -> tuple[Entry, None]:
        """Take who came first."""
        entry, _ = self._first_part().popitem(last=False)
        return entry, None

    def clear(self) -> None:
        """Let everybody go."""
        self._calls.clear()
        self._turns.clear()

    def first(self) -> Entry:
        """Who came first."""
        return next(iter(self._first_part()))

    def to_drop(self) -> Entry:
        """The call that came first."""
        return next(iter(self._calls))

    def beside(self) -> "FirstCome":
        """Return an empty line of the same kind."""
        return FirstCome()

    def _parts(self) -> tuple[OrderedDict[Entry, int], OrderedDict[Entry, int]]:
        return self._calls, self._turns

    def _first_part(self) -> OrderedDict[Entry, int]:
        calls, turns = self._calls, self._turns
        if not turns:
            return calls
        if not calls:
            return turns
        return calls if calls[next(iter(calls))] < turns[next(iter(turns))] else turns
