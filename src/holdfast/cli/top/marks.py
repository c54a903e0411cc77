"""Bars, sparklines and short figures."""

from collections.abc import Sequence
from typing import Final

from rich.text import Text

__all__ = ("bar", "clipped", "figure", "lasting", "sparkline")

_CAUTION, _CRITICAL = 0.8, 0.9
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS: Final = "_.-=+*#@"
_SIZES: Final = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_TIMES: Final = ((86400.0 * 3, 86400.0, "d"), (3600.0 * 3, 3600.0, "h"), (180.0, 60.0, "min"))


def bar(used: float | None, width: int, *, ascii_only: bool = False) -> Text:
    """Draw how much of a bound is taken; nothing without one."""
    if used is None:
        return Text(" " * width)
    full, empty = ("#", ".") if ascii_only else ("━", "─")
    filled = min(width, max(1 if used > 0 else 0, round(used * width)))
    colour = "red" if used >= _CRITICAL else "yellow" if used >= _CAUTION else "green"
    return Text(full * filled, colour) + Text(empty * (width - filled), "bright_black")


def sparkline(values: Sequence[float], width: int, *, ascii_only: bool = False) -> Text:
    """Draw the last values as blocks: the lowest of them is the lowest block, if they differ."""
    blocks = _ASCII_BLOCKS if ascii_only else _BLOCKS
    shown = list(values)[-width:]
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    spread = high - low
    drawn = "".join(
        blocks[int((value - low) / spread * (len(blocks) - 1))] if spread else blocks[0]
        for value in shown
    )
    return Text(drawn.rjust(width), "cyan")


def figure(name: str, value: float | None) -> str:
    """Say a figure shortly: bytes in their unit, CPUs with a decimal, all else whole."""
    if value is None:
        return "?"
    if name == "memory":
        for size, unit in _SIZES:
            if value >= size:
                return f"{value / size:.3g} {unit}"
        return f"{value:.0f} B"
    if name == "cpus":
        return f"{value:.1f}"
    return f"{value / 1e6:.3g}M" if value >= 1e6 else f"{value:,.0f}"  # noqa: PLR2004 - a million


def lasting(seconds: float | None) -> str:
    """Say a duration shortly: ``850 us``, ``12 ms``, ``1.3 s``, ``15 h``."""
    if seconds is None:
        return "-"
    for least, unit, name in _TIMES:
        if seconds >= least:
            return f"{seconds / unit:.0f} {name}"
    if seconds >= 1.0:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} us"  # noqa: PLR2004 - a millisecond


def clipped(text: str, width: int) -> str:
    """Cut ``text`` to ``width`` columns, with a mark where it goes on; what can't be printed is a ``?``.

    Names come from programs, and must not steer the terminal.
    """
    shown = text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= width else f"{shown[: max(0, width - 1)]}~"
