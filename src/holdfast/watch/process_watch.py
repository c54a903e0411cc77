"""Another process, watched from outside: its readings, levels and trends.

No thread and no timer: one call of :meth:`ProcessWatch.take` is one sample. Memory is bounded as a
monitor's is, however long it is watched.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from holdfast._core import check, clock
from holdfast.sense.overview import Bounds
from holdfast.sense.reading import Reading
from holdfast.watch._levels import Levels, merged, values_of
from holdfast.watch._plain import plain
from holdfast.watch._readings import Readings
from holdfast.watch._told import told_level, told_trend
from holdfast.watch.thresholds import Level, Threshold
from holdfast.watch.verdict import Evidence, Verdict

__all__ = ("ProcessReading", "ProcessWatch")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessReading:
    """What a process holds, as it is seen from outside. Fields have the names of a snapshot's.

    Attributes:
        version: Of this record's form.
        at: When, in seconds since 1970.
        pid: The process.
        level: The worst of all levels.
        levels: Each reading's level, by name.
        fds: Open descriptors; None if they may not be read.
        threads: Threads.
        rss_bytes: Resident memory.
        cpu_s: CPU seconds since the process began.
        cpus: How many CPUs were busy with it since the sample before; None at the first.
        bounds: For each resource the tightest limit, what is left of it, and who sets it.
        trends: Where descriptors, threads and memory are heading.
        kinds: Descriptors by kind when they were last looked at.
        pressure: Shares of the last ten seconds in which tasks stood still.
        changes: Sentences: which levels, and what of the trends, has changed with this sample.
    """

    at: float
    pid: int
    level: Level
    levels: Mapping[str, Level]
    fds: int | None
    threads: int | None
    rss_bytes: int | None
    cpu_s: float
    cpus: float | None
    bounds: Bounds
    trends: tuple[Verdict, ...]
    kinds: Mapping[str, int]
    pressure: tuple[Reading, ...]
    changes: tuple[str, ...]
    version: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold, as :meth:`holdfast.watch.Snapshot.to_dict` does."""
        return {field.name: plain(getattr(self, field.name)) for field in fields(self)}


class ProcessWatch:
    """Watches a process from outside. Not for several threads at once.

    Time is read from the clock in use when it is made.

    Args:
        pid: The process.
        thresholds: As those of a :class:`holdfast.watch.Monitor`.

    Raises:
        ProcessLookupError: There is no process ``pid``, or it can't be seen.
        PermissionError: It hides itself from this user.
        NotImplementedError: This is not Linux, and psutil is not installed.

    Example:
        >>> import os
        >>> found = ProcessWatch(os.getppid()).take()
        >>> found.pid == os.getppid(), [trend.name for trend in found.trends]
        (True, ['descriptors', 'threads', 'memory'])
    """

    def __init__(
        self, pid: int, *, thresholds: Mapping[str, Threshold | None] | None = None
    ) -> None:
        self.pid = check.count("pid", pid, least=1)
        self.failures = 0
        self.last_failure = ""
        self._clock = clock.current()
        self._readings = Readings(self._clock, None, self._fail, pid=pid)
        self._levels = Levels(merged(thresholds or {}))
        self._told: dict[str, Evidence] = {}

    def take(self) -> ProcessReading:
        """Take one sample.

        Raises:
            ProcessLookupError: The process has ended.
        """
        readings = self._readings
        at = self._clock.now()
        sample, values = readings.take(at, ())
        limits = values_of(readings.bounds, (), None, readings.pressure)
        changed = [
            told_level(name, now, limits.get(name), readings.bounds)
            for name, _, now in self._levels.update(at, limits)
        ]
        trends = tuple(trend.verdict for trend in readings.trends)
        for verdict in trends:
            if verdict.evidence != self._told.get(verdict.name, "none"):
                self._told[verdict.name] = verdict.evidence
                changed.append(told_trend(verdict))
        return ProcessReading(
            at=clock.wall(),
            pid=self.pid,
            level=self._levels.worst,
            levels=self._levels.levels,
            fds=sample.fds,
            threads=sample.threads,
            rss_bytes=sample.rss_bytes,
            cpu_s=sample.cpu_s,
            cpus=values["cpus"],
            bounds=readings.bounds,
            trends=trends,
            kinds=readings.kinds,
            pressure=readings.pressure,
            changes=tuple(changed),
        )

    def _fail(self, error: Exception) -> None:
        """A reading that fails: the process may be ending, and the next sample says so."""
        self.failures += 1
        self.last_failure = f"{type(error).__name__}: {error}"
