"""Which readings the monitor takes, and how often each: cheap ones at each sample, dear ones now and then.

| reading | every |
|---|---|
| descriptors, threads, memory, CPU; calls of pools; lag of loops | sample |
| threads by name | sample, if their number has changed |
| the memory bound (a control group is shared) | 2 s |
| pressure stall | 5 s |
| all bounds | 15 s |
| descriptors by kind and place | 30 s while they grow, 5 minutes else: :mod:`holdfast.watch._scans` |

A reading that fails keeps the last value and is counted; the others are taken nevertheless.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from holdfast._core.clock import Clock
from holdfast.pools._stats import PoolStats
from holdfast.sense.descriptor_kinds import open_descriptors
from holdfast.sense.memory import memory_bound
from holdfast.sense.other_sampler import OtherSampler
from holdfast.sense.overview import Bounds, bounds
from holdfast.sense.pressure import pressure_readings
from holdfast.sense.sampler import Sample, Sampler
from holdfast.watch._ages import Living
from holdfast.watch._births import Births
from holdfast.watch._places import living_descriptors, living_threads, threads_of
from holdfast.watch._scans import ScanPace
from holdfast.watch.trend import Trend

if TYPE_CHECKING:
    from holdfast.sense.loop_lag import LoopLag
    from holdfast.sense.reading import Reading

__all__ = ("SERIES", "Places", "Readings")

SERIES: Final = (
    "descriptors",
    "threads",
    "memory",
    "cpus",
    "in flight",
    "queued",
    "abandoned",
    "loop lag",
)
"""What the history holds. ``"cpus"`` is how many were busy since the sample before."""

Places = Callable[[], Mapping[int, str]]
"""Tells the line that opened each descriptor, for those of which it is known."""

_MEMORY_EVERY: Final = 2.0
_PRESSURE_EVERY: Final = 5.0
_BOUNDS_EVERY: Final = 15.0


class Readings:
    """The readings of one process, each as new as it has to be. Not for several threads at once.

    Args:
        clock: Tells when they are due.
        places: See :data:`Places`.
        failed: Called with what a reading has raised.
        pid: Another process, read from outside; None is this one.

    Raises:
        ProcessLookupError: There is no process ``pid``; :meth:`take` raises it once it has ended.
    """

    def __init__(
        self,
        clock: Clock,
        places: Places | None,
        failed: Callable[[Exception], None],
        *,
        pid: int | None = None,
    ) -> None:
        self._clock = clock
        self._places = places
        self._failed = failed
        self._whose = () if pid is None else (pid,)
        self._sampler = Sampler() if pid is None else OtherSampler(pid)
        self._done_at: dict[str, float] = {}
        self._cpu: tuple[float, float] | None = None
        self._thread_count: int | None = None
        self.scan_pace = ScanPace()
        self._births = Births()
        self.scans = 0
        self.lags: list[LoopLag] = []
        self.bounds: Bounds = bounds(*self._whose)
        self._done_at["bounds"] = self._done_at["memory"] = clock.now()
        self.pressure: tuple[Reading, ...] = ()
        self.kinds: Mapping[str, int] = {}
        self.loop_lag_s: float | None = None
        self.descriptors = Trend("descriptors")
        self.threads = Trend("threads")
        self.memory = Trend("memory", ages=False)

    @property
    def trends(self) -> tuple[Trend, ...]:
        """The series whose heading is followed."""
        return (self.descriptors, self.threads, self.memory)

    def close(self) -> None:
        """Close what is kept open for samples."""
        self._sampler.close()

    def take(self, at: float, pools: Iterable[PoolStats]) -> tuple[Sample, dict[str, float | None]]:
        """Take every reading that is due, and return the cheap ones and a value for each series."""
        found = self._sampler.sample()
        self._take_if_due("bounds", _BOUNDS_EVERY, at, self._read_bounds)
        self._take_if_due("memory", _MEMORY_EVERY, at, self._read_memory)
        self._take_if_due("pressure", _PRESSURE_EVERY, at, self._read_pressure)
        self._renew_bounds(found)
        self._scan(at, found)
        self._follow(at, found)
        return found, self._values(at, found, pools)

    # ------------------------------------------------------------ one reading each

    def _take_if_due(self, name: str, every: float, at: float, read: Callable[[], None]) -> None:
        if at - self._done_at.get(name, float("-inf")) >= every:
            self._done_at[name] = at
            self._guarded(read)

    def _guarded(self, read: Callable[[], None]) -> None:
        try:
            read()
        except Exception as error:  # noqa: BLE001 - a reading that fails must not end the others
            self._failed(error)

    def _read_bounds(self) -> None:
        self.bounds = bounds(*self._whose)

    def _read_memory(self) -> None:
        self.bounds = replace(self.bounds, memory=memory_bound(*self._whose))

    def _read_pressure(self) -> None:
        self.pressure = pressure_readings(*self._whose)

    def _renew_bounds(self, found: Sample) -> None:
        """The counts of this moment against the bounds of some seconds ago."""
        before = self.bounds
        self.bounds = Bounds(
            _renewed(before.threads, found.threads),
            before.processes,
            _renewed(before.descriptors, found.fds),
            before.memory,
            before.cpus,
        )

    def _scan(self, at: float, found: Sample) -> None:
        limit = self.bounds.descriptors.bound
        if found.fds is not None and self.scan_pace.due(
            at, found.fds, limit, suspected=self.descriptors.suspects
        ):
            self._guarded(lambda: self._read_kinds(at, found.fds or 0))
        if found.threads != self._thread_count:
            self._thread_count = found.threads
            self._guarded(lambda: self.threads.see(at, self._living_threads()))

    def _read_kinds(self, at: float, count: int) -> None:
        begun = self._clock.now()
        try:
            kept = self._sampler.kept()
            every = [each for each in open_descriptors(*self._whose) if each.fd not in kept]
            known: Mapping[int, str] = {} if self._places is None else self._places()
            self.descriptors.see(at, self._births.spread(at, living_descriptors(every, known)))
        finally:
            self.scan_pace.scanned(at, count, self._clock.now() - begun)
        self.scans += 1
        kinds: dict[str, int] = {}
        for each in every:
            kinds[each.kind] = kinds.get(each.kind, 0) + 1
        self.kinds = dict(sorted(kinds.items(), key=lambda item: -item[1]))

    def _living_threads(self) -> Iterable[Living]:
        return threads_of(*self._whose) if self._whose else living_threads()

    # ------------------------------------------------------------ what follows from them

    def _follow(self, at: float, found: Sample) -> None:
        for trend, reading, value in (
            (self.descriptors, self.bounds.descriptors, found.fds),
            (self.threads, self.bounds.threads, found.threads),
            (self.memory, self.bounds.memory, found.rss_bytes),
        ):
            if value is not None:
                # A bound that is shared leaves so much to this process.
                trend.limit = None if reading.left is None else value + reading.left
                trend.add(at, value)

    def _values(
        self, at: float, found: Sample, pools: Iterable[PoolStats]
    ) -> dict[str, float | None]:
        in_flight = queued = abandoned = 0
        for stats in pools:
            in_flight += stats.in_flight
            queued += stats.queued
            abandoned += stats.abandoned
        self.loop_lag_s = self._lag()
        return {
            "descriptors": found.fds,
            "threads": found.threads,
            "memory": found.rss_bytes,
            "cpus": self._busy(at, found.cpu_s),
            "in flight": in_flight,
            "queued": queued,
            "abandoned": abandoned,
            "loop lag": self.loop_lag_s,
        }

    def _busy(self, at: float, cpu_s: float) -> float | None:
        before, self._cpu = self._cpu, (at, cpu_s)
        if before is None or at <= before[0]:
            return None
        return (cpu_s - before[1]) / (at - before[0])

    def _lag(self) -> float | None:
        lags = [lag.take().value for lag in list(self.lags)]
        return max((lag for lag in lags if lag is not None), default=None)


def _renewed(reading: "Reading", value: float | None) -> "Reading":
    """The same with another value; five times as quick as ``dataclasses.replace``."""
    if value is None or value == reading.value:
        return reading
    return type(reading)(
        reading.name,
        value,
        reading.unit,
        reading.bound,
        reading.source,
        reading.scope,
        reading.note,
    )
