"""Blocking calls from a coroutine: ``await ThreadPool.run``."""

import asyncio
import contextlib
import functools
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.bare import BareLoopThreads
from benchmarks.claim import Claim
from benchmarks.command import main
from benchmarks.meter import Meter
from benchmarks.peers import load
from holdfast import ThreadPool

CLAIM = Claim("threads", "A blocking call from the loop costs a fraction of asyncio.to_thread.")

Blocking = Callable[[], None]
Dispatch = Callable[[Blocking], Awaitable[None]]


def no_op() -> None:
    """The smallest call: what is measured is the way there and back."""


def one_millisecond() -> None:
    """A quick query."""
    time.sleep(0.001)


async def _drive(dispatch: Dispatch, call: Blocking, callers: int, n: int) -> None:
    """``n`` calls in all, by so many coroutines, each of which awaits one after the other."""

    async def caller(share: int) -> None:
        for _ in range(share):
            await dispatch(call)

    shares = [n // callers + (i < n % callers) for i in range(callers)]
    await asyncio.gather(*[caller(share) for share in shares])


async def _measure(
    meter: Meter, n: int, dispatch: Dispatch, *, call: Blocking, callers: int
) -> None:
    await _drive(dispatch, call, callers, 4 * callers)  # threads start once; that is not the point
    with meter.measure():
        await _drive(dispatch, call, callers, n)


async def holdfast_run(meter: Meter, n: int, *, call: Blocking, callers: int) -> None:
    async with ThreadPool(callers, name="bench") as pool:
        await _measure(meter, n, pool.run, call=call, callers=callers)


async def to_thread(meter: Meter, n: int, *, call: Blocking, callers: int) -> None:
    executor = ThreadPoolExecutor(callers)
    asyncio.get_running_loop().set_default_executor(executor)
    await _measure(meter, n, asyncio.to_thread, call=call, callers=callers)


async def run_in_executor(meter: Meter, n: int, *, call: Blocking, callers: int) -> None:
    with ThreadPoolExecutor(callers) as executor:
        dispatch = functools.partial(asyncio.get_running_loop().run_in_executor, executor)
        await _measure(meter, n, dispatch, call=call, callers=callers)


async def anyio_to_thread(meter: Meter, n: int, *, call: Blocking, callers: int) -> None:
    anyio, threads = load("anyio"), load("anyio.to_thread")
    dispatch = functools.partial(threads.run_sync, limiter=anyio.CapacityLimiter(callers))
    await _measure(meter, n, dispatch, call=call, callers=callers)


async def bare_threads(meter: Meter, n: int, *, call: Blocking, callers: int) -> None:
    with contextlib.closing(BareLoopThreads(callers)) as threads:
        await _measure(meter, n, threads.run_call, call=call, callers=callers)


# With one call at a time the kernel decides more than any library: to wake a thread on an idle core
# can cost it more than all the rest. It stays with its choice, so there are many short runs, each
# with threads of its own; and on one core there is no choice, so that the library's part is seen.
ONE = CLAIM.case(
    "one", "no-ops, one at a time", n=1_000, quick_n=1_000, unit="call", repeats=7, warm_n=100
)
ONE_CORE = CLAIM.case(
    "one-core",
    "no-ops, one at a time, all threads on one core",
    n=1_000,
    quick_n=1_000,
    unit="call",
    repeats=7,
    warm_n=100,
    one_core=True,
)
SIXTEEN = CLAIM.case(
    "sixteen", "no-ops, 16 at once", n=10_000, quick_n=2_560, unit="call", repeats=3, warm_n=100
)
MANY = CLAIM.case(
    "many", "no-ops, 256 at once", n=10_000, quick_n=2_560, unit="call", repeats=3, warm_n=100
)
SLEEPS = CLAIM.case(
    "sleeps",
    "sleeps of 1 ms, 256 at once",
    n=10_000,
    quick_n=2_560,
    unit="call",
    repeats=3,
    warm_n=100,
    compared="each_wall_s",
)
for _case, _call, _callers in (
    (ONE, no_op, 1),
    (ONE_CORE, no_op, 1),
    (SIXTEEN, no_op, 16),
    (MANY, no_op, 256),
    (SLEEPS, one_millisecond, 256),
):
    _case.add("ThreadPool.run", holdfast_run, ours=True, call=_call, callers=_callers)
    _case.add("asyncio.to_thread", to_thread, call=_call, callers=_callers)
    _case.add("loop.run_in_executor", run_in_executor, call=_call, callers=_callers)
    _case.add("anyio.to_thread", anyio_to_thread, call=_call, callers=_callers)
    _case.add("bare threads, no promises", bare_threads, call=_call, callers=_callers)

if __name__ == "__main__":
    raise SystemExit(main(["threads", *sys.argv[1:]]))
