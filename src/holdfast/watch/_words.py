"""Amounts in words, and lists that end in time."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ("counted", "figure", "listed", "size", "tallied")

_KB: Final = 1024
_UNITS: Final = ("KB", "MB", "GB", "TB")
_FEW: Final = 10
_MOST_LISTED: Final = 5


def counted(number: float, one: str, many: str | None = None) -> str:
    """Say how many: ``1 thread``, ``1,200 threads``."""
    return f"{number:,.0f} {one if number == 1 else many or f'{one}s'}"


def size(held: float) -> str:
    """Say bytes in the unit that fits; a KB is 1024 bytes."""
    if held < _KB:
        return f"{held:,.0f} bytes"
    for unit in _UNITS:
        held /= _KB
        if held < _KB or unit == _UNITS[-1]:
            return f"{held:,.1f} {unit}" if held < _FEW else f"{held:,.0f} {unit}"
    raise AssertionError  # the last unit fits all


def figure(value: float | None, unit: str) -> str:
    """Say a reading in its unit, without the unit's name; ``?`` for what is not known."""
    if value is None:
        return "?"
    if unit == "bytes":
        return size(value)
    return f"{value:,.0f}" if value == int(value) or value >= _FEW else f"{value:,.1f}"


def tallied(names: Iterable[str]) -> dict[str, int]:
    """Count the names, the most frequent first."""
    return dict(Counter(names).most_common())


def listed(counts: Mapping[str, int], most: int = _MOST_LISTED) -> tuple[str, ...]:
    """Say each name with its count; of a long list the first, and how many more there are."""
    told = [f"{name} ({count:,})" for name, count in list(counts.items())[:most]]
    if len(counts) > most:
        told.append(f"and {counted(len(counts) - most, 'other')}")
    return tuple(told)
