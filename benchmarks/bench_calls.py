"""One coroutine through a pool: ``await AsyncPool.run``, alone, in a crowd, and given up."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from benchmarks.claim import Case, Claim
from benchmarks.command import main
from benchmarks.meter import Meter
from benchmarks.peers import load
from holdfast import AsyncPool

CLAIM = Claim("calls", "A call through a pool costs about as much as a bare semaphore.")

WIDTH = 100
ENDLESS = 1_000_000
"""A queue that takes all callers of these cases."""

Call = Callable[[], Awaitable[object]]
Through = Callable[[Call], Awaitable[object]]
Bound = Callable[[int], AbstractAsyncContextManager[Through]]
"""``bound(width)``: opens something that lets so many calls through at once."""


async def no_op() -> None:
    """The smallest call."""


async def suspends() -> None:
    """A call that lets the loop go round once."""
    await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def holdfast_pool(width: int) -> AsyncGenerator[Through]:
    async with AsyncPool(width, name="bench", max_queue=ENDLESS) as pool:
        yield pool.run


@contextlib.asynccontextmanager
async def semaphore(width: int) -> AsyncGenerator[Through]:
    gate = asyncio.Semaphore(width)

    async def through(call: Call) -> None:
        async with gate:
            await call()

    yield through


@contextlib.asynccontextmanager
async def anyio_limiter(width: int) -> AsyncGenerator[Through]:
    gate = load("anyio").CapacityLimiter(width)

    async def through(call: Call) -> None:
        async with gate:
            await call()

    yield through


@contextlib.asynccontextmanager
async def nothing(width: int) -> AsyncGenerator[Through]:
    del width

    async def through(call: Call) -> None:
        await call()

    yield through


async def alone(meter: Meter, n: int, *, bound: Bound) -> None:
    async with bound(WIDTH) as through:
        with meter.measure():
            for _ in range(n):
                await through(no_op)


async def crowd(meter: Meter, n: int, *, bound: Bound) -> None:
    async with bound(WIDTH) as through:
        with meter.measure():
            await asyncio.gather(*[through(suspends) for _ in range(n)])


async def given_up(meter: Meter, n: int, *, bound: Bound) -> None:
    """``n`` wait behind one that holds the only permit, and are cancelled in no order."""
    async with bound(1) as through:
        release = asyncio.Event()
        holder = asyncio.ensure_future(through(release.wait))
        await asyncio.sleep(0)
        waiting = [asyncio.ensure_future(through(no_op)) for _ in range(n)]
        await asyncio.sleep(0.01)
        stride = _coprime(n)
        with meter.measure():
            for i in range(n):
                waiting[i * stride % n].cancel()
            ended = await asyncio.gather(*waiting, return_exceptions=True)
        release.set()
        await holder
    assert all(isinstance(end, asyncio.CancelledError) for end in ended)


def _coprime(n: int) -> int:
    """A stride that meets each of ``n`` places once, in an order that is no order."""
    prime = 7919
    return prime if n % prime else 1


def _add_all(case: Case, run: Callable[..., Awaitable[None]]) -> None:
    case.add("AsyncPool.run", run, ours=True, bound=holdfast_pool)
    case.add("asyncio.Semaphore", run, bound=semaphore)
    case.add("anyio.CapacityLimiter", run, bound=anyio_limiter)


ALONE = CLAIM.case(
    "alone", "no-ops, one after the other", n=20_000, quick_n=10_000, unit="call", repeats=3
)
_add_all(ALONE, alone)
ALONE.add("no bound", alone, bound=nothing)

CROWD = CLAIM.case(
    "crowd",
    "10,000 tasks through 100 permits, each `await asyncio.sleep(0)`",
    n=10_000,
    quick_n=10_000,
    unit="call",
    repeats=3,
)
_add_all(CROWD, crowd)
CROWD.add("no bound", crowd, bound=nothing)

GIVEN_UP = CLAIM.case(
    "given-up",
    "10,000 tasks that wait, cancelled in no order",
    n=10_000,
    quick_n=10_000,
    unit="call",
)
_add_all(GIVEN_UP, given_up)

if __name__ == "__main__":
    raise SystemExit(main(["calls", *sys.argv[1:]]))
