"""The right to so many descriptors, and the words for it when there is no room for one."""

from types import TracebackType
from typing import Final, Protocol, Self

from holdfast.errors import UnderPressure

__all__ = ("Draw", "Lender", "LookAgain", "Wanted", "reserve_of", "shortage")

_SHOWN: Final = 5


def reserve_of(limit: int) -> int:
    """Return how many descriptors stay free for logging, name lookups and reports.

    Args:
        limit: The soft limit.

    Example:
        >>> reserve_of(16), reserve_of(64), reserve_of(65_536)
        (8, 16, 32)
    """
    return min(32, max(8, limit // 4))


class Lender(Protocol):
    """Somebody with idle descriptors."""

    def lend(self) -> int:
        """Have one idle thing closed, if there is one to spare, without waiting for it; what that frees."""
        ...


class Supply(Protocol):
    """Where a draw came from."""

    def opened(self, draw: "Draw", /) -> None:
        """Its descriptors are open."""
        ...

    def return_(self, draw: "Draw", /, keep: int = 0) -> None:
        """Its descriptors are closed, but for ``keep`` of them."""
        ...

    def return_later(self, draw: "Draw", /) -> None:
        """The same, from where no lock can be taken."""
        ...

    def look_again(self) -> None:
        """Somebody waits, and others may have closed something."""
        ...


class Draw:
    """The right to so many descriptors. Given back once: by ``give_back``, ``with``, or the collector.

    Made by a supply only: see :meth:`holdfast.track.descriptors.DescriptorSupply.take`.

    Attributes:
        owner: Who asked for it.
        count: How many it is now.
        era: In which process it was granted: a child after a fork counts anew what is being opened.
    """

    __slots__ = ("__weakref__", "_supply", "count", "era", "is_open", "owner")

    def __init__(
        self, supply: "Supply", owner: str, count: int, era: int, *, is_open: bool
    ) -> None:
        self._supply = supply
        self.owner = owner
        self.count = count
        self.era = era
        self.is_open = is_open

    def opened(self) -> None:
        """They are open now: the system counts them from here on."""
        self._supply.opened(self)

    def keep(self, count: int) -> None:
        """Give back all but some of them: the others are closed, or will not be opened.

        Args:
            count: How many are open, or will be; 0 or more. More than there are changes nothing.
        """
        if count < self.count:
            self._supply.return_(self, keep=count)

    def give_back(self) -> None:
        """They are closed, or will not be opened; may be repeated."""
        if self.count:
            self._supply.return_(self)

    def give_back_later(self) -> None:
        """Do the same from where no lock can be taken, as in a finalizer."""
        if self.count:
            self._supply.return_later(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.give_back()

    def __repr__(self) -> str:
        return f"<Draw of {self.count} for {self.owner}>"

    def __del__(self) -> None:
        if self.count:
            self._supply.return_later(self)


class Wanted:
    """What a place in this line waits for."""

    __slots__ = ("is_open", "least", "most", "owner")

    def __init__(self, owner: str, most: int, least: int, *, is_open: bool) -> None:
        self.owner = owner
        self.most = most
        self.least = least
        self.is_open = is_open


class LookAgain:
    """Comes due on the process's timer while somebody waits."""

    __slots__ = ("_supply",)

    def __init__(self, supply: Supply) -> None:
        self._supply = supply

    def expire(self) -> None:
        """On the timer's thread."""
        self._supply.look_again()


def shortage(
    wanted: Wanted,
    *,
    waited_s: float,
    drawn: int,
    bound: int,
    holders: tuple[tuple[str, int], ...],
    read: tuple[int | None, int | None],
) -> UnderPressure:
    """Return the refusal that says who holds what, and what to do."""
    held, limit = read
    told = [f"{owner} {count}" for owner, count in holders]
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    by = f": {', '.join(told[:_SHOWN])}{more}" if told else ""
    system = (
        ""
        if held is None or limit is None
        else f"; {held} of {limit} (soft RLIMIT_NOFILE) are open and {reserve_of(limit)} stay in reserve"
    )
    what = "1 more descriptor" if wanted.least == 1 else f"{wanted.least} more descriptors"
    waited = f" within {waited_s:.3g} s" if waited_s else ""
    msg = (
        f"no room for {what} of {wanted.owner}{waited}: {drawn} of the budget's {bound} are drawn{by}{system}; "
        "close or shrink one of these, or raise the limit with holdfast.raise_fd_limit() and the budget "
        "with holdfast.set_budget()"
    )
    return UnderPressure(msg)
