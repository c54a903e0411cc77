"""holdfast keeps AI-agent programs standing under load.

Everything public is here or in a module without an underscore; see ``help(holdfast.stream)``.
"""

from typing import TYPE_CHECKING

from holdfast import errors
from holdfast.errors import (
    Aborted,
    CallTimeout,
    Failed,
    HoldfastError,
    Leaked,
    PoolClosed,
    ProcessFailed,
    QueueFull,
    QueueTimeout,
    RateLimited,
    Rejected,
    ResultLost,
    UnderPressure,
    WorkerLost,
    WouldDeadlock,
)
from holdfast.flow.stream import gather, stream
from holdfast.limits import Rate, Retry
from holdfast.pools import (
    AsyncPool,
    Budget,
    CallFuture,
    Fair,
    Histogram,
    Outcome,
    PoolStats,
    Priority,
    Stream,
    StreamStats,
    ThreadPool,
    current_budget,
    set_budget,
)
from holdfast.pools.deadline import deadline

if TYPE_CHECKING:
    from holdfast.flow.process import process_lines, run_process, run_process_sync
    from holdfast.flow.single_flight import SingleFlight
    from holdfast.pools.process_pool import ProcessPool
    from holdfast.runtime import Runtime
    from holdfast.sense import raise_fd_limit
    from holdfast.track import ResourcePool, scope, track
    from holdfast.track.http import http
    from holdfast.track.process.result import ProcessResult
    from holdfast.track.sqlite import sqlite
    from holdfast.watch.monitor import Monitor
    from holdfast.watch.snapshot import snapshot
    from holdfast.watch.trend import Trend

__version__ = "0.1.0.dev0"

__all__ = (
    "Aborted",
    "AsyncPool",
    "Budget",
    "CallFuture",
    "CallTimeout",
    "Failed",
    "Fair",
    "Histogram",
    "HoldfastError",
    "Leaked",
    "Monitor",
    "Outcome",
    "PoolClosed",
    "PoolStats",
    "Priority",
    "ProcessFailed",
    "ProcessPool",
    "ProcessResult",
    "QueueFull",
    "QueueTimeout",
    "Rate",
    "RateLimited",
    "Rejected",
    "ResourcePool",
    "ResultLost",
    "Retry",
    "Runtime",
    "SingleFlight",
    "Stream",
    "StreamStats",
    "ThreadPool",
    "Trend",
    "UnderPressure",
    "WorkerLost",
    "WouldDeadlock",
    "current_budget",
    "deadline",
    "errors",
    "gather",
    "http",
    "process_lines",
    "raise_fd_limit",
    "run_process",
    "run_process_sync",
    "scope",
    "set_budget",
    "snapshot",
    "sqlite",
    "stream",
    "track",
)


_LATER = {
    "ResourcePool": "holdfast.track.resource_pool",
    "ProcessPool": "holdfast.pools.process_pool",
    "ProcessResult": "holdfast.track.process.result",
    "Runtime": "holdfast.runtime",
    "process_lines": "holdfast.flow.process",
    "run_process": "holdfast.flow.process",
    "run_process_sync": "holdfast.flow.process",
    "Monitor": "holdfast.watch.monitor",
    "SingleFlight": "holdfast.flow.single_flight",
    "Trend": "holdfast.watch.trend",
    "snapshot": "holdfast.watch.snapshot",
    "http": "holdfast.track.http",
    "raise_fd_limit": "holdfast.sense.fd_limit",
    "sqlite": "holdfast.track.sqlite",
    "scope": "holdfast.track.scopes",
    "track": "holdfast.track.tracked",
}
"""What not every program needs is imported when it is asked for."""


def __getattr__(name: str) -> object:
    if name in _LATER:
        from importlib import import_module  # noqa: PLC0415 - see above

        return getattr(import_module(_LATER[name]), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
