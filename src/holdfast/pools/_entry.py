"""One call on its way through a pool, as the admission sees it."""

from typing import Final, Literal, Protocol

from holdfast.errors import Rejected

__all__ = ("ENDED", "RUNNING", "WAITING", "Entry", "Overflow")

Overflow = Literal["wait", "reject", "drop_oldest"]

WAITING: Final = 0
RUNNING: Final = 1
ENDED: Final = 2


class Entry(Protocol):
    """One call on its way through a pool."""

    state: int
    abandoned: bool
    counted: bool  # False for a stream's turn, whose items are counted in a tally

    def accepted(self) -> None:
        """It had been blocked before a full queue and now has its place in the queue."""
        ...

    def refuse(self, error: Rejected) -> None:
        """It was taken out of the line and will never start; called without the lock."""
        ...
