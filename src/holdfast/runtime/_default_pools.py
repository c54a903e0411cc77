"""The default pools: how large each is, and why."""

import logging
from typing import TYPE_CHECKING

from holdfast.config.settings import PoolConfig
from holdfast.limits import Rate
from holdfast.limits.sizing import Kind, Load, Machine, recommended
from holdfast.pools.async_pool import AsyncPool
from holdfast.pools.thread_pool import ThreadPool

if TYPE_CHECKING:
    from holdfast.pools.process_pool import ProcessPool

__all__ = ("make_cpu", "make_db", "make_io", "make_llm", "make_programs")

log = logging.getLogger("holdfast.runtime")


def make_llm(config: PoolConfig, machine: Machine) -> AsyncPool:
    """Coroutines that call models."""
    return AsyncPool(
        _size("llm", "llm", config, machine),
        name="llm",
        max_queue=config.max_queue,
        queue_timeout=config.queue_timeout,
        timeout=config.timeout,
        rate=_rate(config),
    )


def make_db(config: PoolConfig, machine: Machine) -> ThreadPool:
    """Threads for a database."""
    return _threads("db", "db", config, machine)


def make_io(config: PoolConfig, machine: Machine) -> ThreadPool:
    """Threads for files, and whatever else blocks."""
    return _threads("io", "files", config, machine)


def make_cpu(config: PoolConfig, machine: Machine) -> "ProcessPool":
    """Processes that compute."""
    from holdfast.pools.process_pool import ProcessPool  # noqa: PLC0415 - not every program computes

    return ProcessPool(
        _size("cpu", "cpu", config, machine),
        name="cpu",
        max_queue=config.max_queue,
        queue_timeout=config.queue_timeout,
        timeout=config.timeout,
        rate=_rate(config),
    )


def make_programs(most: int) -> AsyncPool:
    """Where programs run."""
    return AsyncPool(most, name="subprocess")


def _threads(name: str, kind: Kind, config: PoolConfig, machine: Machine) -> ThreadPool:
    return ThreadPool(
        _size(name, kind, config, machine),
        name=name,
        max_queue=config.max_queue,
        queue_timeout=config.queue_timeout,
        timeout=config.timeout,
        rate=_rate(config),
    )


def _size(name: str, kind: Kind, config: PoolConfig, machine: Machine) -> int:
    if config.size is not None:
        log.info("pool %r: %d calls at once, as the settings say", name, config.size)
        return config.size
    load = Load(rate=config.rate, response_s=config.response_s, connections=config.connections)
    found = recommended(kind, load, machine)
    log.info("pool %r: %d calls at once: %s", name, found.size, found.reason)
    return found.size


def _rate(config: PoolConfig) -> Rate | None:
    """So many starts per second, which need not be a whole number."""
    if config.rate is None:
        return None
    return Rate(1, per=1.0 / config.rate, burst=max(1, int(config.rate)))
