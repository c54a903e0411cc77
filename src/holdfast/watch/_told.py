"""Changes in words, for a person: the same for this process and for others."""

from collections.abc import Iterable

from holdfast.sense.reading import Reading
from holdfast.watch.thresholds import Level
from holdfast.watch.verdict import Verdict, amount

__all__ = ("told_level", "told_trend")


def told_level(name: str, now: Level, value: float | None, bounds: Iterable[Reading]) -> str:
    """Say that a reading has come to a level."""
    told = f"{name}: {now}"
    if value is None:
        return f"{told}, no longer there"
    reading = next((each for each in bounds if each.name == name), None)
    if reading is not None and reading.value is not None and reading.bound is not None:
        held, most = amount(name, reading.value), amount(name, reading.bound)
        return f"{told}, {held} of {most} ({reading.source})"
    if name.startswith("pool "):
        return f"{told}, {value * 100:.0f} per cent of its queue is taken, or it is stuck"
    if name.endswith("pressure"):
        return f"{told}, some task stood still for {value:.0f} per cent of the last ten seconds"
    return f"{told}, {value:.3g} seconds"


def told_trend(verdict: Verdict) -> str:
    """Say what a trend says, and how sure it is."""
    return f"{verdict} [{verdict.evidence} evidence]" if verdict.growing else str(verdict)
