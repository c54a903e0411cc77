"""Figures for people: times, sizes, ratios."""

import math

__all__ = ("duration", "quantity", "ratio", "size")


def quantity(name: str, value: float) -> str:
    """Show a figure in the unit that its name carries."""
    if name.endswith("_s"):
        return duration(value)
    if name.endswith("_bytes"):
        return size(value)
    return f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Three digits, in the unit that suits."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= scale:
            return f"{_three_digits(seconds / scale)} {unit}"
    return f"{seconds / 1e-9:.0f} ns"


def size(count: float) -> str:
    """Bytes, KB and MB of 1024."""
    for unit, scale in (("MB", 1 << 20), ("KB", 1 << 10)):
        if abs(count) >= scale:
            return f"{_three_digits(count / scale)} {unit}"
    return f"{count:.0f} B"


def ratio(value: float) -> str:
    """So many times."""
    return "over 1000" if math.isinf(value) or value > 1000 else _three_digits(value)


def _three_digits(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
