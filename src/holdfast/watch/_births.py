"""When what a look has found was made: at some time since the look before, and not all at once.

Purpose: looks are seconds apart. If all that is new had been made at the moment of the look, an even pace
would come in lumps that seem to fall off before each look, and a leak would pass for a warm-up.
"""

from collections.abc import Hashable, Iterable, Iterator
from typing import Final

from holdfast.watch._ages import Living

__all__ = ("Births",)

_LONGEST: Final = 30.0
"""Seconds: what came in a jump, some minutes ago, must not look as if it had come bit by bit."""


class Births:
    """Spreads what is new over the time since the last look, half a minute at most."""

    def __init__(self) -> None:
        self._known: frozenset[Hashable] = frozenset()
        self._at: float | None = None

    def spread(self, at: float, living: Iterable[Living]) -> Iterator[Living]:
        """Yield all that lives, and of what is new when it was made; at the first look nothing is known."""
        every = list(living)
        new = sum(each.identity not in self._known for each in every)
        begun = None if self._at is None else max(self._at, at - _LONGEST)
        nth = 0
        for each in every:
            if begun is None or each.identity in self._known:
                yield each
            else:
                yield each._replace(born=begun + (nth + 0.5) * (at - begun) / new)
                nth += 1
        self._known, self._at = frozenset(each.identity for each in every), at
