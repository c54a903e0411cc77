"""The figure of the docs: a leak under noise, what the monitor said of it, and what came."""

from benchmarks.leaks.day import LIMIT, TICK, Day, live
from benchmarks.leaks.shapes import HOUR, MINUTE, Descriptor, healthy, poisson
from holdfast.watch.verdict import Verdict

__all__ = ("figure",)

WIDTH, HEIGHT = 860, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 20, 34, 44
BEGINS = 3.5 * HOUR
ENDS = 10 * HOUR
PER_MINUTE = 3.0
SEED = "day"
LATER = (0.0, 75 * MINUTE)
"""After the first word: when a forecast is drawn."""

INK, SOFT, BLUE, RED = "#1f2933", "#7b8794", "#2b6cb0", "#c53030"
BANDS = ("#dd6b20", "#2f855a")


def x_of(at: float) -> float:
    """Where a moment is."""
    return LEFT + at / ENDS * (WIDTH - LEFT - RIGHT)


def y_of(value: float) -> float:
    """Where a count is."""
    return HEIGHT - BOTTOM - value / 1150 * (HEIGHT - TOP - BOTTOM)


def figure() -> str:
    """Return the figure as SVG; it is the same each time."""
    day, said = _live()
    parts = [_ground(), *(_band(said[n], BANDS[n]) for n in range(len(said))), _line(day)]
    parts += [_mark(said[n], BANDS[n], n) for n in range(len(said))]
    parts.append(_event(BEGINS, 290, "the leak begins: 3 a minute", RED))
    parts.append(_event(day.exhausted, 1024, "", RED))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{INK}">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _live() -> tuple[Day, list[Verdict]]:
    import random  # noqa: PLC0415 - a simulation's own

    rng = random.Random(SEED)  # noqa: S311 - a simulation
    leaked = [Descriptor("leak", at, float("inf")) for at in poisson(rng, PER_MINUTE, BEGINS, ENDS)]
    said: list[Verdict] = []

    def stop(at: float, day: Day, verdict: Verdict) -> bool:
        first = day.blamed.get("leak")
        if first is not None and len(said) < len(LATER) and at >= first + LATER[len(said)]:
            said.append(verdict)
        return day.exhausted < float("inf")

    day = live([*healthy("hourly wave", SEED), *leaked], until=ENDS, stop=stop)
    return day, said


def _ground() -> str:
    bottom, right = y_of(0), x_of(ENDS)
    lines = [
        f'<text x="{LEFT}" y="18" font-weight="600">Open descriptors of a simulated program</text>',
        f'<line x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}" stroke="{SOFT}"/>',
        (
            f'<line x1="{LEFT}" x2="{right}" y1="{y_of(LIMIT):.1f}" y2="{y_of(LIMIT):.1f}" '
            f'stroke="{RED}" stroke-dasharray="5 4"/>'
        ),
        f'<text x="{LEFT + 6}" y="{y_of(LIMIT) - 6:.1f}" fill="{RED}">limit: 1,024</text>',
    ]
    lines += [
        f'<text x="{LEFT - 8}" y="{y_of(value) + 4:.1f}" text-anchor="end" fill="{SOFT}">{value}</text>'
        for value in (0, 250, 500, 750, 1000)
    ]
    lines += [
        f'<text x="{x_of(hour * HOUR):.1f}" y="{bottom + 18:.1f}" text-anchor="middle" fill="{SOFT}">'
        f"{hour} h</text>"
        for hour in range(int(ENDS / HOUR) + 1)
    ]
    return "\n".join(lines)


def _line(day: Day) -> str:
    step = 6
    points = " ".join(
        f"{x_of(n * TICK):.1f},{y_of(day.counts[n]):.1f}" for n in range(0, len(day.counts), step)
    )
    return f'<polyline points="{points}" fill="none" stroke="{BLUE}" stroke-width="1.4"/>'


def _band(verdict: Verdict, colour: str) -> str:
    start = f"{x_of(verdict.at):.1f},{y_of(verdict.value):.1f}"
    left = verdict.left_s or 0.0
    soon = x_of(verdict.at + (verdict.left_low_s or left))
    late = x_of(min(ENDS, verdict.at + (verdict.left_high_s or ENDS)))
    top, about = y_of(LIMIT), x_of(verdict.at + left)
    return (
        f'<polygon points="{start} {soon:.1f},{top:.1f} {late:.1f},{top:.1f}" '
        f'fill="{colour}" fill-opacity="0.16"/>\n'
        f'<line x1="{x_of(verdict.at):.1f}" y1="{y_of(verdict.value):.1f}" x2="{about:.1f}" '
        f'y2="{top:.1f}" stroke="{colour}" stroke-dasharray="3 3"/>'
    )


def _mark(verdict: Verdict, colour: str, nth: int) -> str:
    x, y = x_of(verdict.at), y_of(verdict.value)
    told = [
        f"after {(verdict.at - BEGINS) / MINUTE:.0f} minutes:",
        (
            f"{verdict.per_minute:.1f} a minute ({verdict.per_minute_low:.1f} to "
            f"{verdict.per_minute_high:.1f}), {verdict.evidence}"
        ),
        (
            f"limit in {_hours(verdict.left_s)} hours ({_hours(verdict.left_low_s)} to "
            f"{_hours(verdict.left_high_s)})"
        ),
    ]
    below = y_of(120 if nth == 0 else 330)
    text = "".join(
        f'<tspan x="{x + 10:.1f}" dy="{0 if n == 0 else 15}">{line}</tspan>'
        for n, line in enumerate(told)
    )
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y:.1f}" y2="{below:.1f}" stroke="{colour}"/>\n'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>\n'
        f'<text x="{x + 10:.1f}" y="{below:.1f}" fill="{colour}">{text}</text>'
    )


def _event(at: float, value: float, text: str, colour: str) -> str:
    x, y = x_of(at), y_of(value)
    return (
        f'<path d="M {x:.1f} {y:.1f} l -5 -9 h 10 z" fill="{colour}"/>\n'
        f'<text x="{x - 10:.1f}" y="{y - 2:.1f}" text-anchor="end" fill="{colour}">{text}</text>'
    )


def _hours(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds / HOUR:.1f}"
