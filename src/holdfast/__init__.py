"""holdfast keeps AI-agent programs standing under load.

Everything public is here or in a module without an underscore; see ``help(holdfast.stream)``.
"""

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
    CallFuture,
    Outcome,
    PoolStats,
    Stream,
    StreamStats,
    ThreadPool,
)

__version__ = "0.1.0.dev0"

__all__ = (
    "AsyncPool",
    "CallFuture",
    "CallTimeout",
    "Failed",
    "HoldfastError",
    "Leaked",
    "Outcome",
    "PoolClosed",
    "PoolStats",
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
    "errors",
    "gather",
    "stream",
)
