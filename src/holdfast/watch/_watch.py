"""What a monitor knows: readings, history, levels and trends, and what of it has changed.

No thread and no lock: the monitor has both. One call of :meth:`Watch.take` is one sample.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from holdfast._core.clock import Clock
from holdfast.watch._levels import Levels, values_of
from holdfast.watch._readings import SERIES, Places, Readings
from holdfast.watch._told import told_level
from holdfast.watch.history import History
from holdfast.watch.snapshot import MonitorStats, PoolReading, Snapshot, assemble, read_pools
from holdfast.watch.thresholds import Level, Threshold
from holdfast.watch.trend import Trend
from holdfast.watch.verdict import Evidence

__all__ = ("Change", "Watch")

_MARKS: Final = (3600.0, 600.0)


@dataclass(frozen=True, slots=True)
class Change:
    """A level, or what a trend says, has changed.

    A trend has changed when its evidence has; and, without that, when an hour, or ten minutes, are left
    for the first time since it began to grow: then ``before`` and ``now`` are the same.

    Attributes:
        kind: ``"level"`` or ``"trend"``.
        name: Of what: ``"descriptors"``, ``"pool db"``, ...
        before: What it was: a level, or how sure the evidence of growth was.
        now: What it is.
        text: A sentence for a person.
        snapshot: Everything, at that moment.
    """

    kind: Literal["level", "trend"]
    name: str
    before: Level | Evidence
    now: Level | Evidence
    text: str
    snapshot: Snapshot


class Watch:
    """All that is known of this process, and how it comes about."""

    def __init__(
        self,
        clock: Clock,
        thresholds: Mapping[str, Threshold],
        places: Places | None,
        failed: Callable[[Exception], None],
    ) -> None:
        self._clock = clock
        self.readings = Readings(clock, places, failed)
        self.history = History(SERIES)
        self.levels = Levels(thresholds)
        self._told: dict[str, tuple[Evidence, int]] = {}

    def take(self, stats: MonitorStats) -> tuple[Snapshot, list[Change]]:
        """Take one sample."""
        at = self._clock.now()
        pools = read_pools({})
        sample, values = self.readings.take(at, [each.stats for each in pools])
        self.history.add(at, values)
        limits = values_of(
            self.readings.bounds, pools, self.readings.loop_lag_s, self.readings.pressure
        )
        changed = self.levels.update(at, limits)
        levels = self.levels.levels
        snapshot = assemble(
            self.readings.bounds,
            fds=sample.fds,
            threads=sample.threads,
            rss_bytes=sample.rss_bytes,
            cpu_s=sample.cpu_s,
            pools=tuple(_levelled(each, levels) for each in pools),
            level=self.levels.worst,
            levels=levels,
            trends=tuple(trend.verdict for trend in self.readings.trends),
            kinds=self.readings.kinds,
            loop_lag_s=self.readings.loop_lag_s,
            pressure=self.readings.pressure,
            monitor=stats,
        )
        changes = [
            Change(
                "level",
                name,
                before,
                now,
                told_level(name, now, limits.get(name), snapshot.bounds),
                snapshot,
            )
            for name, before, now in changed
        ]
        for trend in self.readings.trends:
            changes += self._change_of(trend, snapshot)
        return snapshot, changes

    def _change_of(self, trend: Trend, snapshot: Snapshot) -> list[Change]:
        verdict = trend.verdict
        before, near = self._told.get(trend.name, ("none", 0))
        nearer = max(near, _nearness(verdict.left_s)) if verdict.growing else 0
        if (verdict.evidence, nearer) == (before, near):
            return []
        self._told[trend.name] = verdict.evidence, nearer
        return [Change("trend", trend.name, before, verdict.evidence, str(verdict), snapshot)]


def _nearness(left_s: float | None) -> int:
    """How many of the marks, an hour and ten minutes before the limit, have been passed."""
    return 0 if left_s is None else sum(left_s <= mark for mark in _MARKS)


def _levelled(pool: PoolReading, levels: Mapping[str, Level]) -> PoolReading:
    level = levels.get(f"pool {pool.stats.name}", "ok")
    return pool if level == pool.level else PoolReading(pool.kind, pool.stats, level)
