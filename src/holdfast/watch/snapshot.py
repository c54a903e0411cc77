"""What the process holds and does now, as one frozen record that everything prints."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Protocol

from holdfast._core import clock
from holdfast.pools._living import Kind, living_pools
from holdfast.pools._stats import PoolStats
from holdfast.pools._supply import SUPPLY
from holdfast.pools.budget import Budget, current_budget
from holdfast.sense._rusage import own_cpu_s
from holdfast.sense.overview import Bounds, bounds
from holdfast.sense.own import read_own
from holdfast.sense.reading import Reading
from holdfast.watch._plain import plain
from holdfast.watch.decisions import Decision, decisions
from holdfast.watch.thresholds import Level
from holdfast.watch.verdict import Verdict, amount

__all__ = (
    "SOURCES",
    "VERSION",
    "MonitorStats",
    "PoolReading",
    "Snapshot",
    "Source",
    "assemble",
    "read_pools",
    "snapshot",
)

VERSION: Final = 1
"""Of the record: a field that goes or changes its meaning raises it, a new one does not."""

_PYTHON: Final = platform.python_version()
_DECISIONS: Final = 32


@dataclass(frozen=True, slots=True)
class PoolReading:
    """One pool.

    Attributes:
        kind: What it runs: ``"coroutines"``, ``"threads"`` or ``"processes"``.
        stats: Its figures, read together under its own lock.
        level: How near it is to refusing work, if a monitor runs.
    """

    kind: Kind
    stats: PoolStats
    level: Level = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorStats:
    """What a monitor has done.

    Attributes:
        samples: Samples it has taken.
        scans: How often it has looked at what every descriptor is.
        changes: Changes of level or of a trend that it has told.
        held_back: Log records that it has not written, so as not to flood.
        failures: How often a reading, a callback or the sampling itself has raised.
        last_failure: What the last of these said; empty if there was none.
    """

    samples: int
    scans: int
    changes: int
    held_back: int
    failures: int
    last_failure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One reading of everything.

    Each pool's figures are consistent in themselves; the parts are read one after the other, within
    some milliseconds. What can't be read here is None.

    Attributes:
        version: Of this record's form.
        at: When, in seconds since 1970.
        pid: The process.
        python: Its interpreter.
        level: The worst of all levels; ``"ok"`` if no monitor runs.
        levels: Each reading's level, by name; empty if no monitor runs.
        fds: Open descriptors.
        threads: Threads.
        rss_bytes: Resident memory.
        cpu_s: CPU seconds since the process began.
        bounds: For each resource the tightest limit, what is left of it, and who sets it.
        budget: What the pools may use of that.
        worker_threads: Threads that pools hold of the budget's.
        pools: All pools that there are, in the order in which they were made.
        trends: Where things are heading; empty if no monitor runs.
        kinds: Descriptors by kind when they were last looked at; empty if no monitor has.
        loop_lag_s: The longest lag of a loop since the last sample; None if none is watched.
        pressure: Shares of the last ten seconds in which tasks stood still; empty if no monitor runs.
        monitor: What the monitor has done; None if none runs.
        decisions: What governors that run have done lately, the oldest first, at most 32 of them.
    """

    at: float
    pid: int
    python: str
    fds: int | None
    threads: int | None
    rss_bytes: int | None
    cpu_s: float
    bounds: Bounds
    budget: Budget
    worker_threads: int
    pools: tuple[PoolReading, ...]
    level: Level = "ok"
    levels: Mapping[str, Level]
    trends: tuple[Verdict, ...] = ()
    kinds: Mapping[str, int]
    loop_lag_s: float | None = None
    pressure: tuple[Reading, ...] = ()
    monitor: MonitorStats | None = None
    decisions: tuple[Decision, ...] = ()
    version: int = VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold: dictionaries, lists, strings, numbers, None.

        A reading has ``left`` and ``used`` beside its fields, a trend its sentence as ``text``, and a
        histogram is its count, its sum and three quantiles. A figure that is no number (infinite) is
        None.
        """
        found: dict[str, Any] = {"version": self.version}
        for field in fields(self):
            found[field.name] = plain(getattr(self, field.name))
        return found

    def to_json(self, *, indent: int | None = None) -> str:
        """Return it as JSON, on one line.

        Args:
            indent: Spaces for each level of nesting, and lines; None is one line.
        """
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def __str__(self) -> str:
        lines = [_told(reading) for reading in self.bounds]
        lines += [
            f"pool {each.stats.name}: {each.stats.in_flight} of {each.stats.limit} {each.kind} in flight, "
            f"{each.stats.queued} queued, {each.stats.abandoned} abandoned, "
            f"{sum(each.stats.rejected.values())} rejected"
            for each in self.pools
        ]
        lines += [str(verdict) for verdict in self.trends if verdict.growing]
        lines += [f"governor: {self.decisions[-1].reason}"] if self.decisions else []
        return "\n".join(lines)


class Source(Protocol):
    """Who knows more than can be read at one moment: a monitor that runs."""

    def sample(self) -> Snapshot:
        """What there is now."""
        ...


SOURCES: Final[list[Source]] = []
"""Monitors that run, the one started first in front."""


def snapshot() -> Snapshot:
    """Return what the process holds and does now: threads, descriptors, memory, pools, all bounds.

    If a monitor runs, its levels and trends are in it. May be called from any thread. Some milliseconds,
    as every limit is read (``benchmarks/bench_watch.py``); a running monitor's samples cost microseconds.

    Returns:
        One frozen record. What can't be read here is None.

    Example:
        >>> now = snapshot()
        >>> now.version, now.bounds.threads.name
        (1, 'threads')
    """
    source = next(iter(SOURCES), None)
    if source is not None:
        return source.sample()
    own = read_own()
    return assemble(
        bounds(),
        fds=own.fds,
        threads=own.threads,
        rss_bytes=own.rss_bytes,
        cpu_s=own_cpu_s(),
        pools=read_pools({}),
    )


def assemble(limits: Bounds, **known: Any) -> Snapshot:
    """Make the record, with what is the same for everybody filled in."""
    empty: dict[str, Any] = {"levels": {}, "kinds": {}}
    return Snapshot(
        at=clock.wall(),
        pid=os.getpid(),
        python=_PYTHON,
        bounds=limits,
        budget=current_budget(),
        worker_threads=SUPPLY.threads,
        decisions=decisions()[-_DECISIONS:],
        **(empty | known),
    )


def read_pools(levels: Mapping[str, Level]) -> tuple[PoolReading, ...]:
    """Return the figures of all pools; ``levels`` are by ``"pool NAME"``."""
    found: list[PoolReading] = []
    for kind, pool in living_pools():
        stats = pool.stats()
        found.append(PoolReading(kind, stats, levels.get(f"pool {stats.name}", "ok")))
    return tuple(found)


def _told(reading: Reading) -> str:
    if reading.value is None:
        return f"{reading.name}: {reading.note}"
    value = amount(reading.name, reading.value)
    if reading.bound is None:
        return f"{reading.name}: {value}"
    return f"{reading.name}: {value} of {amount(reading.name, reading.bound)} ({reading.source})"
