"""The level of every reading: which value is held against which threshold."""

from collections.abc import Iterable, Mapping
from typing import Final

from holdfast.sense.overview import Bounds
from holdfast.sense.reading import Reading
from holdfast.watch.snapshot import PoolReading
from holdfast.watch.thresholds import LEVELS, Gauge, Level, Threshold

__all__ = ("USUAL", "Levels", "merged", "values_of")

_SHARE: Final = Threshold(0.75, 0.9)
USUAL: Final[Mapping[str, Threshold]] = {
    "descriptors": _SHARE,
    "threads": _SHARE,
    "processes": _SHARE,
    "memory": Threshold(0.8, 0.92),
    "pools": _SHARE,
    "loop lag": Threshold(0.25, 1.0),
    "memory pressure": Threshold(10.0, 40.0),
    "io pressure": Threshold(30.0, 70.0),
}
"""Used parts of bounds, seconds of lag, per cent of the last ten seconds."""

_POOLS: Final = "pools"
_CPU_PRESSURE: Final = "cpu pressure"
"""Not among the usual ones: a machine whose CPUs are all in use is not in danger."""


def merged(own: Mapping[str, Threshold | None]) -> dict[str, Threshold]:
    """Return the usual thresholds with ``own`` in their place.

    Raises:
        ValueError: There is no reading of such a name.
    """
    known = (*USUAL, _CPU_PRESSURE)
    for name in own:
        if name not in known:
            msg = f"there is no reading {name!r} with a threshold; there are {', '.join(known)}"
            raise ValueError(msg)
    every: dict[str, Threshold | None] = {**USUAL, **own}
    return {name: threshold for name, threshold in every.items() if threshold is not None}


class Levels:
    """A gauge for each reading. A pool has its own, for as long as it is there."""

    def __init__(self, thresholds: Mapping[str, Threshold]) -> None:
        self._thresholds = thresholds
        self._gauges: dict[str, Gauge] = {}

    @property
    def levels(self) -> dict[str, Level]:
        """The level of each."""
        return {name: gauge.level for name, gauge in self._gauges.items()}

    @property
    def worst(self) -> Level:
        """The worst of all."""
        found: Level = "ok"
        for level in self.levels.values():
            if LEVELS.index(level) > LEVELS.index(found):
                found = level
        return found

    def update(self, at: float, values: Mapping[str, float]) -> list[tuple[str, Level, Level]]:
        """Take in a value for each, and return what has changed: its name, from which level, to which."""
        changed: list[tuple[str, Level, Level]] = []
        for name, value in values.items():
            gauge = self._gauges.get(name) or self._begin(name)
            if gauge is None:
                continue
            before, now = gauge.level, gauge.update(at, value)
            if now != before:
                changed.append((name, before, now))
        for name in [name for name in self._gauges if name not in values]:
            before = self._gauges.pop(
                name
            ).level  # a pool that is gone, a loop that is watched no more
            if before != "ok":
                changed.append((name, before, "ok"))
        return changed

    def _begin(self, name: str) -> Gauge | None:
        threshold = self._thresholds.get(_POOLS if name.startswith("pool ") else name)
        if threshold is None:
            return None
        gauge = self._gauges[name] = Gauge(threshold)
        return gauge


def values_of(
    bounds: Bounds,
    pools: Iterable[PoolReading],
    lag_s: float | None,
    pressure: Iterable[Reading],
) -> dict[str, float]:
    """Return what is held against the thresholds."""
    found = {reading.name: reading.used for reading in bounds if reading.name != "cpus"}
    for each in pools:
        name = f"pool {each.stats.name}"  # of two with the same name the fuller one
        found[name] = max(found.get(name) or 0.0, _fullness(each))
    found["loop lag"] = lag_s
    for reading in pressure:
        resource, _, word = reading.name.partition(" pressure, ")
        if word == "some" and reading.value is not None:
            name = f"{resource} pressure"
            found[name] = max(found.get(name) or 0.0, reading.value)
    return {name: value for name, value in found.items() if value is not None}


def _fullness(pool: PoolReading) -> float:
    """The part of the queue that is taken, and all of it once the pool holds nothing but abandoned work."""
    stats = pool.stats
    if stats.abandoned and stats.abandoned >= stats.limit:
        return 1.0
    return stats.queued / stats.max_queue if stats.max_queue else 0.0
