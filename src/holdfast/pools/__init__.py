"""Where work runs: at most so many calls in flight, at most so many queued."""

from holdfast._core.future import CallFuture
from holdfast._core.outcome import Outcome
from holdfast.pools._abandoned import AbandonedCall
from holdfast.pools._async_view import AsyncCalls
from holdfast.pools._stats import PoolStats
from holdfast.pools._thread_view import ThreadCalls
from holdfast.pools.async_pool import AsyncPool
from holdfast.pools.budget import Budget, current_budget, set_budget
from holdfast.pools.histogram import Histogram
from holdfast.pools.order import Fair, Order, Priority
from holdfast.pools.stream import Stream, StreamStats
from holdfast.pools.thread_pool import ThreadPool

__all__ = (
    "AbandonedCall",
    "AsyncCalls",
    "AsyncPool",
    "Budget",
    "CallFuture",
    "Fair",
    "Histogram",
    "Order",
    "Outcome",
    "PoolStats",
    "Priority",
    "Stream",
    "StreamStats",
    "ThreadCalls",
    "ThreadPool",
    "current_budget",
    "set_budget",
)
