"""holdfast keeps AI-agent programs standing under load.

Everything public is here or in a module without an underscore; see ``help(holdfast.stream)``.
"""

from typing import TYPE_CHECKING

from holdfast import errors
from holdfast._core.late_import import import_late
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
    from holdfast.limits.adaptive import Adaptive
    from holdfast.limits.fallback import Fallback
    from holdfast.limits.retry_budget import RetryBudget
    from holdfast.pools._retries import set_retry_budget
    from holdfast.pools.process_pool import ProcessPool
    from holdfast.sense import raise_fd_limit
    from holdfast.track import ResourcePool, scope, track
    from holdfast.track.http import http
    from holdfast.track.process.result import ProcessResult
    from holdfast.track.sqlite import sqlite
    from holdfast.watch.audit import audit
    from holdfast.watch.explain import explain
    from holdfast.watch.governor import Governor, Weight
    from holdfast.watch.monitor import Monitor
    from holdfast.watch.recommend import recommend
    from holdfast.watch.snapshot import snapshot
    from holdfast.watch.trend import Trend

__version__ = "0.1.0.dev0"

__all__ = (
    "Aborted",
    "Adaptive",
    "AsyncPool",
    "Budget",
    "CallFuture",
    "CallTimeout",
    "Failed",
    "Fair",
    "Fallback",
    "Governor",
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
    "RetryBudget",
    "SingleFlight",
    "Stream",
    "StreamStats",
    "ThreadPool",
    "Trend",
    "UnderPressure",
    "Weight",
    "WorkerLost",
    "WouldDeadlock",
    "audit",
    "current_budget",
    "deadline",
    "errors",
    "explain",
    "gather",
    "http",
    "process_lines",
    "raise_fd_limit",
    "recommend",
    "run_process",
    "run_process_sync",
    "scope",
    "set_budget",
    "set_retry_budget",
    "snapshot",
    "sqlite",
    "stream",
    "track",
)


_LATER = {
    "Adaptive": "holdfast.limits.adaptive",
    "Fallback": "holdfast.limits.fallback",
    "Governor": "holdfast.watch.governor",
    "Monitor": "holdfast.watch.monitor",
    "ProcessPool": "holdfast.pools.process_pool",
    "ProcessResult": "holdfast.track.process.result",
    "ResourcePool": "holdfast.track.resource_pool",
    "RetryBudget": "holdfast.limits.retry_budget",
    "SingleFlight": "holdfast.flow.single_flight",
    "Trend": "holdfast.watch.trend",
    "Weight": "holdfast.watch.governor",
    "audit": "holdfast.watch.audit",
    "explain": "holdfast.watch.explain",
    "http": "holdfast.track.http",
    "process_lines": "holdfast.flow.process",
    "raise_fd_limit": "holdfast.sense.fd_limit",
    "recommend": "holdfast.watch.recommend",
    "run_process": "holdfast.flow.process",
    "run_process_sync": "holdfast.flow.process",
    "scope": "holdfast.track.scopes",
    "set_retry_budget": "holdfast.pools._retries",
    "snapshot": "holdfast.watch.snapshot",
    "sqlite": "holdfast.track.sqlite",
    "track": "holdfast.track.tracked",
}
"""What not every program needs is imported when it is asked for."""


def __getattr__(name: str) -> object:
    if name in _LATER:
        return import_late(_LATER[name], name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
