"""``python -m benchmarks.leaks [PART ...] [--seeds N] [--first SEED] [--figure FILE]``: the study, as tables."""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.leaks.figure import figure
from benchmarks.leaks.shapes import SHAPES
from benchmarks.leaks.study import (
    RATES,
    Found,
    calm,
    calm_lines,
    forecast_lines,
    found,
    found_lines,
)

SEEDS = 30

MOST_FALSE_ALARMS = 0.3
LATEST = {1.0: 60 * 60.0, 10.0: 25 * 60.0}
"""The bars: false alarms a day, and the median delay for each rate in seconds."""

PLACES = {
    "flat": "request",
    "saw-tooth, 8 minutes": "batch",
    "saw-tooth, 45 minutes": "batch",
    "sessions": "session",
    "warm-up, 40 minutes": "cache",
    "warm-up, 3 hours": "cache",
    "daily wave": "visit",
    "hourly wave": "visit",
    "steps": "tenant",
    "cron": "job",
    "records": "pool",
}
"""The place of each shape that is not the ground's."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; 0 if every bar is met, 1 if not."""
    options = _parse(arguments)
    if options.figure is not None:
        options.figure.write_text(figure(), encoding="utf-8")
        return 0
    seeds = [f"{options.first}/{n}" for n in range(options.seeds)]
    missed: list[str] = []
    for part in options.parts or PARTS:
        missed += PARTS[part](seeds)
    for bar in missed:
        print(f"missed: {bar}")
    return 1 if missed else 0


def _healthy(seeds: Sequence[str]) -> list[str]:
    found_of = [calm(shape, seeds) for shape in SHAPES]
    _print("Healthy days", calm_lines(found_of))
    missed: list[str] = []
    if sum(one.alarms for one in found_of) > MOST_FALSE_ALARMS * sum(one.days for one in found_of):
        missed.append("false alarms")
    if any(one.above_weak for one in found_of):
        missed.append("a false alarm above weak")
    return missed


def _leaks(seeds: Sequence[str]) -> list[str]:
    found_of = [found(shape, rate, seeds) for rate in RATES for shape in SHAPES]
    _print("Leaks at a place of their own", found_lines(found_of))
    return [bar for one in found_of for bar in _missed_bars(one)]


def _shared(seeds: Sequence[str]) -> list[str]:
    found_of = [found(shape, 1.0, seeds, place=place) for shape, place in PLACES.items()]
    _print("Leaks at a place that has healthy load, too", found_lines(found_of))
    return []


def _forecasts(seeds: Sequence[str]) -> list[str]:
    found_of = [found(s, rate, seeds, forecasts=True) for rate in (3.0, 10.0) for s in SHAPES]
    _print("Forecasts, half an hour after the first word", forecast_lines(found_of))
    return []


def _counts(seeds: Sequence[str]) -> list[str]:
    quiet = [calm(shape, seeds, ages=False) for shape in SHAPES]
    _print("Healthy days, by counts alone", calm_lines(quiet))
    told = [found(shape, rate, seeds, ages=False) for rate in RATES for shape in SHAPES]
    _print("Leaks, by counts alone", found_lines(told))
    return []


PARTS: dict[str, Callable[[Sequence[str]], list[str]]] = {
    "healthy": _healthy,
    "leaks": _leaks,
    "shared": _shared,
    "forecasts": _forecasts,
    "counts": _counts,
}


def _missed_bars(one: Found) -> Iterable[str]:
    name = f"{one.per_minute:g} a minute, {one.shape}"
    if statistics.median(one.after_s) > LATEST.get(one.per_minute, float("inf")):
        yield f"the delay of {name}"
    if one.missed:
        yield f"{one.missed} leaks of {name}"
    if one.per_minute not in LATEST and one.in_time < len(one.after_s):
        yield f"half of what was left, {name}: {one.in_time} of {len(one.after_s)} in time"


def _print(title: str, lines: Iterable[str]) -> None:
    print("\n".join([f"### {title}", "", *lines, ""]), flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all of them")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help="days of each shape")
    parser.add_argument("--first", default="study", metavar="WORD", help="other seeds")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the figure instead")
    options = parser.parse_args(arguments)
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
