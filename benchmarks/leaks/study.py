"""The study: healthy days without false alarms, and leaks that are found in time."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.leaks.day import LIMIT, TICK, Day, Stop, live
from benchmarks.leaks.shapes import MINUTE, healthy, leak
from holdfast.watch.verdict import Verdict

__all__ = (
    "RATES",
    "Calm",
    "Found",
    "calm",
    "calm_lines",
    "forecast_lines",
    "found",
    "found_lines",
)

RATES = (1.0, 10.0, 60.0)
LOOKED_AT_AFTER = 30 * MINUTE
"""How long after a leak was told its forecast is compared with what comes."""


@dataclass(frozen=True, slots=True)
class Calm:
    """Healthy days of one shape.

    Attributes:
        shape: Which.
        days: How many.
        alarms: False alarms in all of them.
        above_weak: Those that were graded above weak.
    """

    shape: str
    days: int
    alarms: int
    above_weak: int


@dataclass(frozen=True, slots=True)
class Found:
    """Leaks of one rate in one shape.

    Attributes:
        shape: What they hide in.
        per_minute: How fast they are.
        after_s: How long each took to be told; infinite if the day, or the limit, came first.
        strong_after_s: How long until it was told to be strong; likewise.
        in_time: In how many days it was told before half of what was left was gone.
        before_half: In how many before half of the limit was, whatever the load held already.
        alarms_before: False alarms before the leaks began.
        forecasts: In how many days there was a forecast to compare.
        held: In how many of these the limit was reached within its interval.
        paces: In how many of them the interval of the pace held the true pace.
    """

    shape: str
    per_minute: float
    after_s: Sequence[float]
    strong_after_s: Sequence[float]
    in_time: int
    before_half: int
    alarms_before: int
    forecasts: int
    held: int
    paces: int

    @property
    def missed(self) -> int:
        """Leaks that were not told before the limit was reached, or the day over."""
        return sum(after == math.inf for after in self.after_s)


def calm(shape: str, seeds: Iterable[int | str], *, ages: bool = True) -> Calm:
    """Live through healthy days.

    Args:
        shape: Their shape.
        seeds: One for each day.
        ages: Whether ages are known, or counts alone.
    """
    days = [live(healthy(shape, seed), ages=ages) for seed in seeds]
    alarms = [told for day in days for told in day.alarms]
    above = sum(told.evidence != "weak" for told in alarms)
    return Calm(shape, len(days), len(alarms), above)


def found(
    shape: str,
    per_minute: float,
    seeds: Iterable[int | str],
    *,
    place: str = "leak",
    forecasts: bool = False,
    ages: bool = True,
) -> Found:
    """Live through days with a leak.

    Args:
        shape: The healthy load that it hides in.
        per_minute: How fast it is.
        seeds: One for each day.
        place: Who leaks.
        forecasts: Whether to live until the limit is reached, and compare.
        ages: Whether ages are known, or counts alone; these can't say who leaks.
    """
    after: list[float] = []
    strong: list[float] = []
    in_time = before_half = before = told_of = held = paces = 0
    for seed in seeds:
        begins, leaked = leak(shape, seed, per_minute, place=place)
        said: list[Verdict] = []
        day = live(
            [*healthy(shape, seed), *leaked],
            ages=ages,
            stop=_stop(place if ages else "", begins, said, whole=forecasts),
        )
        before += sum(told.at < begins for told in day.alarms)
        first = day.blamed.get(place, math.inf)
        if not ages:
            first = next((told.at for told in day.alarms if told.at >= begins), math.inf)
        after.append(first - begins if first < day.exhausted else math.inf)
        strong.append(day.strongly_blamed.get(place, math.inf) - begins)
        before_half += first < day.halfway
        in_time += first < begins + _half_of_what_is_left(day, begins)
        if said and day.exhausted < math.inf:
            (verdict,) = said
            told_of += 1
            left = day.exhausted - verdict.at
            held += (verdict.left_low_s or 0) <= left <= (verdict.left_high_s or math.inf)
            paces += verdict.per_minute_low <= per_minute <= verdict.per_minute_high
    return Found(
        shape, per_minute, after, strong, in_time, before_half, before, told_of, held, paces
    )


def _half_of_what_is_left(day: Day, begins: float) -> float:
    """Seconds from the beginning of a leak until the count has gone half of the way to the limit."""
    first = int(begins / TICK)
    middle = (LIMIT + day.counts[first]) / 2
    return next(
        (n * TICK for n, count in enumerate(day.counts[first:]) if count >= middle), math.inf
    )


def _stop(place: str, begins: float, said: list[Verdict], *, whole: bool) -> Stop:
    """End a day once the leak is told with more than weak evidence; or live on until the limit."""

    def stop(at: float, day: Day, verdict: Verdict) -> bool:
        first = day.blamed.get(place, math.inf)
        if not said and at >= first + LOOKED_AT_AFTER and verdict.left_s is not None:
            said.append(verdict)
        if whole or not place:
            return day.exhausted < math.inf or (
                not place and day.alarms and day.alarms[-1].at >= begins
            )
        return at >= begins and place in day.strongly_blamed

    return stop


def calm_lines(results: Sequence[Calm]) -> list[str]:
    """The table of healthy days."""
    lines = ["| load | days | false alarms a day | above weak |", "|---|---|---|---|"]
    lines += [
        f"| {one.shape} | {one.days} | {one.alarms / one.days:.2f} | {one.above_weak} |"
        for one in results
    ]
    days, alarms = sum(one.days for one in results), sum(one.alarms for one in results)
    above = sum(one.above_weak for one in results)
    return [*lines, f"| **mean** | {days} | **{alarms / days:.2f}** | {above} |"]


def found_lines(results: Sequence[Found]) -> list[str]:
    """The table of leaks: minutes until they were told, the median and nine in ten."""
    lines = [
        (
            "| load | leak a minute | told after, median / 9 in 10 | strong after | "
            "before half of what was left | before half of the limit | missed |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    return lines + [_found_line(one) for one in results]


def _found_line(one: Found) -> str:
    days = len(one.after_s)
    return (
        f"| {one.shape} | {one.per_minute:g} | {_minutes(one.after_s)} | "
        f"{_minutes(one.strong_after_s)} | {one.in_time} of {days} | {one.before_half} of {days} | "
        f"{one.missed} |"
    )


def forecast_lines(results: Sequence[Found]) -> list[str]:
    """The table of forecasts: how often the intervals held what came."""
    lines = [
        "| load | leak a minute | days | limit within the interval | pace within the interval |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.shape} | {one.per_minute:g} | {one.forecasts} | {one.held} | {one.paces} |"
        for one in results
    ]
    days = sum(one.forecasts for one in results)
    held, paces = sum(one.held for one in results), sum(one.paces for one in results)
    return [*lines, f"| **all** | | {days} | {held / days:.0%} | {paces / days:.0%} |"]


def _minutes(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    most = ordered[math.ceil(0.9 * len(ordered)) - 1]
    return f"{statistics.median(ordered) / MINUTE:.0f} / {most / MINUTE:.0f} min"
