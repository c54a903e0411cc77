"""Many callers of one key: ``SingleFlight.run``, and what else lets a crowd wait for one result."""

import asyncio
import contextlib
import functools
import gc
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager

from benchmarks.claim import Case, Claim
from benchmarks.command import main
from benchmarks.memory import rss_bytes
from benchmarks.meter import Meter
from holdfast.flow.single_flight import SingleFlight

CLAIM = Claim(
    "single_flight",
    "Waiting for somebody else's run, with a deadline each, costs little more than awaiting one future.",
)

FAR_S = 3600.0
KEY = "q1"
VALUE = object()

Join = Callable[[], Awaitable[object]]
Way = Callable[[int], AbstractContextManager[tuple[Join, Callable[[], None]]]]
"""``way(n)``: opens what ``n`` callers wait for; gives what each calls, and what lets them go."""


@contextlib.contextmanager
def flight(n: int, *, timeout: float | None = FAR_S) -> Generator[tuple[Join, Callable[[], None]]]:
    release = asyncio.get_running_loop().create_future()
    run = SingleFlight(timeout=timeout, max_joiners=n).run

    async def work() -> object:
        return await release

    yield functools.partial(run, KEY, work), lambda: release.set_result(VALUE)


@contextlib.contextmanager
def bare_future(n: int) -> Generator[tuple[Join, Callable[[], None]]]:
    """The floor, and no cure: who is cancelled cancels everyone, and nobody has a deadline."""
    del n
    shared = asyncio.get_running_loop().create_future()

    async def wait() -> object:
        return await shared

    yield wait, lambda: shared.set_result(VALUE)


@contextlib.contextmanager
def wait_for_shield(n: int) -> Generator[tuple[Join, Callable[[], None]]]:
    del n
    shared = asyncio.get_running_loop().create_future()

    async def wait() -> object:
        return await asyncio.wait_for(asyncio.shield(shared), FAR_S)

    yield wait, lambda: shared.set_result(VALUE)


@contextlib.contextmanager
def timeout_shield(n: int) -> Generator[tuple[Join, Callable[[], None]]]:
    del n
    shared = asyncio.get_running_loop().create_future()

    async def wait() -> object:
        async with asyncio.timeout(FAR_S):
            return await asyncio.shield(shared)

    yield wait, lambda: shared.set_result(VALUE)


@contextlib.contextmanager
def shield(n: int) -> Generator[tuple[Join, Callable[[], None]]]:
    del n
    shared = asyncio.get_running_loop().create_future()

    async def wait() -> object:
        return await asyncio.shield(shared)

    yield wait, lambda: shared.set_result(VALUE)


async def crowd(meter: Meter, n: int, *, way: Way) -> None:
    """All come, wait, and are let go."""
    with way(n) as (join, let_go), meter.measure():
        waiting = [asyncio.ensure_future(join()) for _ in range(n)]
        await asyncio.sleep(0)
        let_go()
        results = await asyncio.gather(*waiting)
    assert all(result is VALUE for result in results)


async def held(meter: Meter, n: int, *, way: Way) -> None:
    """All come and wait, and what they hold is read."""
    with way(n) as (join, let_go):
        gc.collect()
        before = rss_bytes()
        with meter.measure():
            waiting = [asyncio.ensure_future(join()) for _ in range(n)]
            await asyncio.sleep(0)
        gc.collect()
        meter.note(session_bytes=(rss_bytes() - before) / n, threads=_threads())
        let_go()
        await asyncio.gather(*waiting)


async def left(meter: Meter, n: int, *, way: Way) -> None:
    """All wait and are cancelled in no order, but one."""
    with way(n) as (join, let_go):
        stays = asyncio.ensure_future(join())
        waiting = [asyncio.ensure_future(join()) for _ in range(n)]
        await asyncio.sleep(0.01)
        with meter.measure():
            for i in range(n):
                waiting[i * _STRIDE % n].cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        let_go()
        assert await stays is VALUE


_STRIDE = 7919
"""A prime that divides no ``n`` here, so that each is met once, in an order that is no order."""


def parked_threads(meter: Meter, n: int) -> None:
    """Each caller waits for an event in a thread of its own."""
    release = threading.Event()
    results: list[object] = []

    def wait() -> None:
        release.wait(FAR_S)
        results.append(VALUE)

    with meter.measure():
        waiting = [threading.Thread(target=wait) for _ in range(n)]
        for thread in waiting:
            thread.start()
        meter.note(threads=_threads())
        release.set()
        for thread in waiting:
            thread.join()
    assert len(results) == n


async def in_flight(meter: Meter, n: int) -> None:
    """The same number of coroutines in a flight."""
    await crowd(meter, n, way=flight)
    meter.note(threads=_threads())


async def alone(meter: Meter, n: int) -> None:
    """Runs that nobody joins."""
    run = SingleFlight(timeout=FAR_S).run
    with meter.measure():
        for key in range(n):
            await run(key, _suspends)


async def alone_in_task(meter: Meter, n: int) -> None:
    """What a run that outlives its caller can't do without: a task of its own."""
    with meter.measure():
        for _ in range(n):
            await asyncio.ensure_future(_suspends())


async def alone_in_wait_for(meter: Meter, n: int) -> None:
    with meter.measure():
        for _ in range(n):
            await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(_suspends())), FAR_S)


async def _suspends() -> None:
    await asyncio.sleep(0)


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - the count is all that is wanted
    except OSError:
        return threading.active_count()


def _add_ways(case: Case, run: Callable[..., Awaitable[None]]) -> None:
    case.add("SingleFlight.run", run, ours=True, way=flight)
    case.add("bare future, no deadline", run, way=bare_future)
    case.add("shield, no deadline", run, way=shield)
    case.add("asyncio.timeout + shield", run, way=timeout_shield)
    case.add("wait_for + shield", run, way=wait_for_shield)


CROWD = CLAIM.case(
    "crowd",
    "10,000 callers of one key come, wait with a deadline of an hour, and get the result",
    n=10_000,
    quick_n=10_000,
    unit="caller",
    repeats=3,
)
_add_ways(CROWD, crowd)

HELD = CLAIM.case(
    "held",
    "10,000 callers of one key that wait with a deadline of an hour",
    n=10_000,
    quick_n=10_000,
    unit="caller",
    warm_n=100,
)
_add_ways(HELD, held)

LEFT = CLAIM.case(
    "left",
    "10,000 callers that wait, cancelled in no order",
    n=10_000,
    quick_n=10_000,
    unit="caller",
)
for _name, _way in (("SingleFlight.run", flight), ("wait_for + shield", wait_for_shield)):
    LEFT.add(_name, left, ours=_way is flight, way=_way)

THREADS = CLAIM.case(
    "threads",
    "10,000 callers of one key, coroutines or threads",
    n=10_000,
    quick_n=1_000,
    unit="caller",
    most_rounds=3,
    warm_n=100,
)
THREADS.add("SingleFlight.run", in_flight, ours=True)
THREADS.add("a parked thread each", parked_threads)

ALONE = CLAIM.case(
    "alone",
    "runs that nobody joins, one after the other",
    n=10_000,
    quick_n=5_000,
    unit="run",
    repeats=3,
)
ALONE.add("SingleFlight.run", alone, ours=True)
ALONE.add("a task each", alone_in_task)
ALONE.add("wait_for + shield of a task each", alone_in_wait_for)

if __name__ == "__main__":
    raise SystemExit(main(["single_flight", *sys.argv[1:]]))
