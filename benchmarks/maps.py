"""The ways to run a coroutine function over many items, at most so many at once.

Each is written as its library's documentation has it, delivers every value to the caller, and is
given the same items and the same bound.
"""

import asyncio
from collections.abc import Awaitable, Callable

from benchmarks.meter import Meter
from benchmarks.peers import load
from holdfast import AsyncPool

__all__ = (
    "WIDTH",
    "Work",
    "aiometer_amap",
    "anyio_limiter",
    "at_once",
    "bare_workers",
    "holdfast_stream",
    "semaphore_gather",
    "semaphore_task_group",
    "streamable_map",
    "suspends",
)

Work = Callable[[int], Awaitable[int]]

WIDTH = 100


async def suspends(item: int) -> int:
    """The least that a model call does: let the loop go round once."""
    await asyncio.sleep(0)
    return item


async def at_once(item: int) -> int:
    """A call that finds its answer in a cache."""
    return item


async def holdfast_stream(
    meter: Meter, n: int, work: Work, *, deadline_s: float | None = None
) -> None:
    async with AsyncPool(WIDTH, name="bench", timeout=deadline_s) as pool:
        with meter.measure():
            results = [value async for value in pool.stream(work, range(n))]
    assert len(results) == n


async def bare_workers(meter: Meter, n: int, work: Work) -> None:
    """What one would write by hand: no order, no errors, no bound on what is held."""
    results: list[int] = []

    async def worker() -> None:
        for item in items:
            results.append(await work(item))  # noqa: PERF401 - all workers share the list

    with meter.measure():
        items = iter(range(n))
        await asyncio.gather(*[worker() for _ in range(WIDTH)])
    assert len(results) == n


async def semaphore_gather(meter: Meter, n: int, work: Work) -> None:
    async def bounded(item: int) -> int:
        async with semaphore:
            return await work(item)

    with meter.measure():
        semaphore = asyncio.Semaphore(WIDTH)
        results = await asyncio.gather(*[bounded(item) for item in range(n)])
    assert len(results) == n


async def semaphore_task_group(meter: Meter, n: int, work: Work) -> None:
    async def bounded(item: int) -> int:
        async with semaphore:
            return await work(item)

    with meter.measure():
        semaphore = asyncio.Semaphore(WIDTH)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(bounded(item)) for item in range(n)]
        results = [task.result() for task in tasks]
    assert len(results) == n


async def aiometer_amap(meter: Meter, n: int, work: Work) -> None:
    aiometer = load("aiometer")
    items = range(n)
    with meter.measure():
        async with aiometer.amap(work, items, max_at_once=WIDTH) as values:
            results = [value async for value in values]
    assert len(results) == n


async def anyio_limiter(meter: Meter, n: int, work: Work) -> None:
    anyio = load("anyio")
    results: list[int] = []

    async def bounded(item: int) -> None:
        async with limiter:
            results.append(await work(item))

    with meter.measure():
        limiter = anyio.CapacityLimiter(WIDTH)
        async with anyio.create_task_group() as group:
            for item in range(n):
                group.start_soon(bounded, item)
    assert len(results) == n


async def streamable_map(meter: Meter, n: int, work: Work) -> None:
    streamable = load("streamable")
    with meter.measure():
        values = streamable.stream(range(n)).map(work, concurrency=WIDTH)
        results = [value async for value in values]
    assert len(results) == n
