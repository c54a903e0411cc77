"""holdfast keeps AI-agent programs standing under load.

Everything public is here or in a module without an underscore; see ``help(holdfast.stream)``.
"""

from typing import TYPE_CHECKING

from holdfast import errors
from holdfast.errors import (
    CallTimeout,
    Failed,
    HoldfastError,
    Leaked,
    PoolClosed,
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
    from holdfast.sense import raise_fd_limit

__version__ = "0.1.0.dev0"

__all__ = (
    "AsyncPool",
    "Budget",
    "CallFuture",
    "CallTimeout",
    "Failed",
    "Fair",
    "Histogram",
    "HoldfastError",
    "Leaked",
    "Outcome",
    "PoolClosed",
    "PoolStats",
    "Priority",
    "QueueFull",
    "QueueTimeout",
    "Rate",
    "RateLimited",
    "Rejected",
    "ResultLost",
    "Retry",
    "Stream",
    "StreamStats",
    "ThreadPool",
    "UnderPressure",
    "WorkerLost",
    "WouldDeadlock",
    "current_budget",
    "deadline",
    "errors",
    "gather",
    "raise_fd_limit",
    "set_budget",
    "stream",
)


def __getattr__(name: str) -> object:
    if name == "raise_fd_limit":  # what reads the machine is imported when it is asked for
        from holdfast.sense import raise_fd_limit  # noqa: PLC0415

        return raise_fd_limit
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
