"""What a verb shows, before it is drawn: sections of rows, and bars for what has a bound."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from holdfast.sense.reading import Reading
from holdfast.watch._words import figure

__all__ = ("Bar", "Cell", "Row", "Section", "bounded", "counts")

_MOST_ROWS: Final = 10


@dataclass(frozen=True, slots=True)
class Bar:
    """How much of something is taken.

    Attributes:
        used: The part, 0.0 to 1.0 and more; None without a bound.
    """

    used: float | None


Cell = str | Bar
Row = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its rows.

    Attributes:
        title: The heading.
        rows: Each with as many cells as the others.
        right: Which columns hold numbers, and stand on the right.
    """

    title: str
    rows: tuple[Row, ...]
    right: tuple[int, ...] = ()


def bounded(readings: tuple[Reading, ...], title: str) -> Section:
    """Show readings against their bounds: name, value, bar, bound, source."""
    rows = tuple(
        (
            each.name,
            figure(each.value, each.unit),
            Bar(each.used),
            "" if each.bound is None else f"of {figure(each.bound, each.unit)}",
            _source(each),
        )
        for each in readings
    )
    return Section(title, rows, right=(1,))


def _source(reading: Reading) -> str:
    shared = reading.scope not in {"process", "machine"}
    return f"{reading.source}, {reading.scope}" if shared else reading.source or reading.note


def counts(title: str, found: Mapping[str, int], most: int = _MOST_ROWS) -> Section:
    """Show names with their counts, the most frequent first; of many the first."""
    names = list(found.items())
    rows: list[Row] = [(f"{count:,}", name) for name, count in names[:most]]
    if len(names) > most:
        rest = sum(count for _, count in names[most:])
        rows.append((f"{rest:,}", f"in {len(names) - most:,} others"))
    return Section(title, tuple(rows), right=(0,))
