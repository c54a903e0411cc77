"""A series as a picture: SVG, without a library."""

from collections.abc import Iterator
from html import escape
from typing import Final

from holdfast.watch.report import Series
from holdfast.watch.verdict import amount

__all__ = ("plot",)

_WIDTH, _HEIGHT = 560, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 24
_TICKS: Final = 4
_NICE: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_NEAR_THE_LIMIT: Final = 0.25
"""The bound is drawn once a quarter of it is used: else the line would lie flat at the bottom."""
_MINUTES, _HOURS = 180.0, 10_800.0


def plot(series: Series) -> str:
    """Return the picture, or nothing where there are fewer than two points."""
    points = series.points
    if len(points) < 2:  # noqa: PLR2004 - a line has two ends
        return ""
    begin, end = points[0].at, points[-1].at
    highest = max(point.high for point in points)
    limit = series.limit if series.limit and highest >= _NEAR_THE_LIMIT * series.limit else None
    step = _step(max(highest, limit or 0.0) / _TICKS)
    top = step
    while top < max(highest, limit or 0.0) * 1.02:
        top += step

    def x(at: float) -> float:
        return _LEFT + (at - begin) / (end - begin) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (1 - value / top) * (_HEIGHT - _TOP - _BOTTOM)

    def drawn() -> Iterator[str]:
        last = amount(series.name, points[-1].mean)
        label = f"{series.name}: last {last}, highest {amount(series.name, highest)}"
        yield f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        value = 0.0
        while value <= top * 1.0001:
            yield _across("grid", y(value))
            yield (
                f'<text class="tick" text-anchor="end" x="{_LEFT - 6}" y="{y(value) + 3.5:.1f}">'
                f"{_short(series.name, value)}</text>"
            )
            value += step
        yield from _times(end - begin)
        band = [f"{x(each.at):.1f},{y(each.high):.1f}" for each in points]
        band += [f"{x(each.at):.1f},{y(each.low):.1f}" for each in reversed(points)]
        yield f'<polygon class="band" points="{" ".join(band)}"/>'
        line = " ".join(f"{x(each.at):.1f},{y(each.mean):.1f}" for each in points)
        yield f'<polyline class="line" points="{line}"/>'
        if limit is not None:
            yield _across("limit", y(limit))
            yield (
                f'<text class="limit" x="{_LEFT + 6}" y="{y(limit) - 4:.1f}">'
                f"bound {amount(series.name, limit)}</text>"
            )
        yield "</svg>"

    return "".join(drawn())


def _across(kind: str, y: float) -> str:
    return f'<line class="{kind}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _times(length: float) -> Iterator[str]:
    unit, seconds = (
        ("h", 3600.0) if length >= _HOURS else ("min", 60.0) if length >= _MINUTES else ("s", 1.0)
    )
    for part in range(_TICKS + 1):
        at = _LEFT + part / _TICKS * (_WIDTH - _LEFT - _RIGHT)
        ago = (1 - part / _TICKS) * length / seconds
        anchor = "end" if part == _TICKS else "middle" if part else "start"
        told = "now" if part == _TICKS else f"{ago:.3g} {unit} ago"
        yield f'<text class="tick" text-anchor="{anchor}" x="{at:.1f}" y="{_HEIGHT - 7}">{told}</text>'


def _step(rough: float) -> float:
    if rough <= 0.0:
        return 1.0
    scale = 1.0
    while scale * 10 <= rough:
        scale *= 10
    while scale > rough:
        scale /= 10
    return next(nice * scale for nice in _NICE if nice * scale >= rough * 0.999)


def _short(name: str, value: float) -> str:
    return "0" if not value else amount(name, value)
