"""Choose what the progress line shows in the width there is.

The richest of a few ways to say the same that fits is taken: first words get shorter, then what a
reader misses least goes. The line never wraps, and the width of a figure never makes it jump to
another way and back, as each way is measured with room for growth.
"""

import math
from dataclasses import dataclass

from holdfast.cli.map.view import View
from holdfast.cli.map.words import amount, duration, pace, short_count, size

__all__ = ("Part", "compose")

_GAP = 2
_BAR = {False: ("━", "╸", "─"), True: ("=", "-", ".")}


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the line.

    Attributes:
        text: What it says.
        role: What it is, for its colour: ``bar``, ``rest``, ``done``, ``failed``, ``flight``,
            ``plain``, ``dim`` or ``stop``.
    """

    text: str
    role: str


@dataclass(frozen=True, slots=True)
class Way:
    """One way to fill the line, from the left to the right.

    Attributes:
        bar: Least and most cells of the bar; 0 for none.
        short: Whether counts are cut to thousands and millions.
        queued: ``words``, ``plus`` (behind what is in flight) or ``no``.
        left: Whether the time left is shown.
        held: How threads, descriptors, memory are shown: ``words``, ``units``, ``tight``, ``no``.
        flight: Whether what is in flight is shown.
    """

    bar: tuple[int, int]
    short: bool
    queued: str
    left: bool
    held: str
    flight: bool = True


_WAYS = (
    Way((12, 30), short=False, queued="words", left=True, held="words"),
    Way((8, 20), short=False, queued="words", left=True, held="units"),
    Way((5, 14), short=False, queued="plus", left=True, held="units"),
    Way((3, 12), short=False, queued="plus", left=True, held="tight"),
    Way((3, 12), short=True, queued="plus", left=True, held="tight"),
    Way((0, 0), short=True, queued="plus", left=True, held="tight"),
    Way((5, 10), short=True, queued="plus", left=True, held="no"),
    Way((0, 0), short=True, queued="plus", left=True, held="no"),
    Way((0, 0), short=True, queued="no", left=True, held="no", flight=False),
    Way((0, 0), short=True, queued="no", left=False, held="no", flight=False),
)


def compose(view: View, width: int, *, ascii_only: bool = False) -> list[Part]:
    """Return the parts of the line, at most ``width`` cells in all, gaps included.

    Args:
        view: What there is to show.
        width: Cells of the terminal, from 1.
        ascii_only: Whether the terminal can show nothing but ASCII.
    """
    for way in _WAYS:
        parts = _parts(view, way)
        spare = width - _width(parts)
        least, most = way.bar
        if view.fraction is None or not most:
            if spare >= 0:
                return _joined(parts)
        elif spare >= least + 1:
            bar = _bar(view.fraction, min(most, spare - 1), ascii_only=ascii_only)
            return [*bar, Part(" ", "plain"), *_joined(parts)]
    return _cropped(_joined(_parts(view, _WAYS[-1])), width)


def _parts(view: View, way: Way) -> list[Part]:
    count = short_count if way.short else "{:,}".format
    parts: list[Part] = []
    if view.fraction is not None:
        parts.append(Part(f"{math.floor(view.fraction * 100):2}%", "plain"))
    parts.append(Part(f"{count(view.done)} done", "done"))
    if view.failed or way.held != "no":
        parts.append(Part(f"{count(view.failed)} failed", "failed" if view.failed else "dim"))
    if way.flight:
        parts.extend(_flight(view, way))
    parts.append(Part(pace(view.per_second), "plain"))
    if view.stopping_s is not None:
        parts.append(Part(_stopping(view.stopping_s), "stop"))
    elif way.left and view.left_s is not None:
        parts.append(Part(f"{duration(view.left_s)} left", "plain"))
    parts.extend(_held(view, way.held))
    return parts


def _flight(view: View, way: Way) -> list[Part]:
    if way.queued == "plus" and view.queued:
        return [Part(f"{view.in_flight}+{view.queued} in flight", "flight")]
    parts = [Part(f"{view.in_flight} in flight", "flight")]
    if way.queued == "words":
        parts.append(Part(f"{view.queued} queued", "flight" if view.queued else "dim"))
    return parts


def _held(view: View, style: str) -> list[Part]:
    if style == "no":
        return []
    own, said = view.own, list[str]()
    if own.threads is not None:
        said.append(_with_unit(own.threads, style, ("thread", "thr", "t")))
    if own.fds is not None:
        said.append(_with_unit(own.fds, style, ("descriptor", "fd", "fd")))
    if own.rss_bytes is not None:
        said.append(size(own.rss_bytes).replace(" ", "" if style == "tight" else " "))
    return [Part(" ".join(said), "dim")]


def _with_unit(count: int, style: str, units: tuple[str, str, str]) -> str:
    if style == "words":
        return amount(count, units[0])
    return f"{count:,} {units[1]}" if style == "units" else f"{count:,}{units[2]}"


def _stopping(seconds: float) -> str:
    return "stopping" if seconds == math.inf else f"stopping, {duration(seconds)} at most"


def _bar(fraction: float, cells: int, *, ascii_only: bool) -> list[Part]:
    full, half, empty = _BAR[ascii_only]
    halves = min(2 * cells, math.floor(fraction * 2 * cells))
    done = full * (halves // 2) + half * (halves % 2)
    return [Part(done, "bar"), Part(empty * (cells - len(done)), "rest")]


def _width(parts: list[Part]) -> int:
    return sum(len(part.text) for part in parts) + _GAP * (len(parts) - 1)


def _joined(parts: list[Part]) -> list[Part]:
    gap = Part(" " * _GAP, "plain")
    joined = [parts[0]]
    for part in parts[1:]:
        joined += [gap, part]
    return joined


def _cropped(parts: list[Part], width: int) -> list[Part]:
    kept: list[Part] = []
    for part in parts:
        kept.append(Part(part.text[:width], part.role))
        width -= len(kept[-1].text)
    return kept
