"""One call on its way through a pool, and the line that calls wait in, as the admission sees them."""

from collections.abc import Iterator
from typing import Final, Literal, Protocol

from holdfast.errors import Rejected

__all__ = ("ENDED", "NOBODY", "RUNNING", "WAITING", "Entry", "Line", "Overflow", "Rivals")

Overflow = Literal["wait", "reject", "drop_oldest"]

WAITING: Final = 0
RUNNING: Final = 1
ENDED: Final = 2


class Entry(Protocol):
    """One call on its way through a pool."""

    state: int
    abandoned: bool
    abandoned_at: float | None  # when, on the pool's clock
    counted: bool  # False for a stream's turn, whose items are counted in a tally
    size: int  # in bytes, where the pool's queue is bounded in bytes; else 0

    def accepted(self) -> None:
        """It had been blocked before a full queue and now has its place in the queue."""
        ...

    def refuse(self, error: Rejected) -> None:
        """It was taken out of the line and will never start; called without the lock."""
        ...


class Line(Protocol):
    """Who waits, and who is next. An ``OrderedDict`` is one; others are made by an order."""

    def __len__(self) -> int: ...

    def __contains__(self, entry: object, /) -> bool: ...

    def __iter__(self) -> Iterator[Entry]:
        """All that wait, those that came first first."""
        ...

    def __setitem__(self, entry: Entry, nothing: None, /) -> None:
        """Let ``entry`` wait."""
        ...

    def __delitem__(self, entry: Entry, /) -> None:
        """Let ``entry`` go, in O(1)."""
        ...

    def popitem(self, last: bool = True) -> tuple[Entry, None]:
        """With ``last=False``: whose turn it is."""
        ...

    def clear(self) -> None:
        """Let everybody go."""
        ...


class Rivals(Protocol):
    """Other pools that need what this one's calls run on."""

    starved: int
    """How many of them have work and nothing to run it on: then an ended call is followed by none."""


class _Nobody:
    starved = 0


NOBODY: Final[Rivals] = _Nobody()
