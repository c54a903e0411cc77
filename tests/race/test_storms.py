"""Storms: everything at once, at random moments, with threads that switch a thousand times as often.

After each, the pool is as it was: no permit out, nobody in line, every call accounted for.
"""

import asyncio
import random
import sys
import threading

import pytest

from holdfast.errors import HoldfastError
from holdfast.pools import AsyncPool, ThreadPool

pytestmark = pytest.mark.race


@pytest.fixture(autouse=True)
def switch_often():
    """Let threads take turns after a microsecond instead of five milliseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(count, work):
    """Run ``work(i)`` in so many threads and raise the first error of any."""
    errors = []

    def guarded(i):
        try:
            work(i)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


def accounted(stats):
    return stats.submitted == stats.completed + stats.failed + stats.withdrawn


@pytest.mark.parametrize("seed", range(3))
def test_cancelled_waiters_over_loops_and_threads_leak_no_permit(seed):
    """Thousands of coroutines in four loops, each cancelled at a random moment or not at all."""
    pool = AsyncPool(3, max_queue=100)

    async def work(rng):
        for _ in range(rng.randrange(3)):
            await asyncio.sleep(0)

    async def storm(rng):
        tasks = []
        for _ in range(400):
            tasks.append(asyncio.ensure_future(pool.run(work, rng)))
            if rng.random() < 0.5:
                await asyncio.sleep(0)
            if rng.random() < 0.6:
                rng.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    in_threads(4, lambda i: asyncio.run(storm(random.Random(seed * 10 + i))))

    stats = pool.stats()
    assert (stats.in_flight, stats.queued, stats.blocked) == (0, 0, 0)
    assert accounted(stats)
    assert stats.peak_in_flight <= 3


@pytest.mark.parametrize("seed", range(3))
def test_blocking_calls_from_loops_and_threads_are_each_run_at_most_once(seed):
    """Submitted, awaited and cancelled at random; what was not taken back ran exactly once."""
    ran = [0] * 1200
    pool = ThreadPool(3, max_queue=50, idle_timeout=0.001)

    def work(i):
        ran[i] += 1

    async def from_a_loop(offset, rng):
        tasks = []
        for i in range(300):
            tasks.append(asyncio.ensure_future(pool.run(work, offset + i)))
            if rng.random() < 0.3:
                await asyncio.sleep(0)
            if rng.random() < 0.3:
                rng.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def from_a_thread(offset, rng):
        futures = []
        for i in range(300):
            futures.append(pool.submit(work, offset + i))
            if rng.random() < 0.3:
                rng.choice(futures).cancel()
            if rng.random() < 0.1:
                pool.resize(rng.randrange(1, 6))
        for i, future in enumerate(futures):
            if not future.cancelled():
                future.result(20)
                assert ran[offset + i] == 1

    def one(i):
        rng = random.Random(seed * 10 + i)
        if i % 2:
            from_a_thread(i * 300, rng)
        else:
            asyncio.run(from_a_loop(i * 300, rng))

    in_threads(4, one)
    pool.drain()

    stats = pool.stats()
    assert (stats.in_flight, stats.queued, stats.blocked, stats.abandoned) == (0, 0, 0, 0)
    assert accounted(stats)
    assert max(ran) == 1
    assert sum(ran) == stats.completed + stats.failed


@pytest.mark.parametrize("seed", range(3))
def test_streams_that_share_a_pool_deliver_each_item_once(seed):
    """Ordered and not, wide and narrow, in blocking code, in one small pool."""
    pool = ThreadPool(4)

    def use(i):
        rng = random.Random(seed * 10 + i)
        for _ in range(5):
            n = rng.randrange(200)
            ordered = rng.random() < 0.5
            source = range(n) if rng.random() < 0.5 else (x for x in range(n))
            stream = pool.stream(
                lambda x: -x,
                source,
                ordered=ordered,
                limit=rng.choice([None, 1, 2]),
                buffer=rng.choice([None, 0, 7]),
            )
            found = list(stream)
            assert (found if ordered else sorted(found, reverse=True)) == [-x for x in range(n)]

    in_threads(4, use)
    pool.drain()

    assert pool.stats().in_flight == 0


@pytest.mark.parametrize("seed", range(3))
def test_streams_that_are_left_early_leave_nothing_behind(seed):
    """Broken off at a random item, from coroutines and from blocking code."""
    threads, coroutines = ThreadPool(3), AsyncPool(3)

    async def step(x):
        await asyncio.sleep(0)
        return x

    async def many():
        x = 0
        while True:
            yield x
            x += 1

    async def in_a_loop(rng):
        for _ in range(10):
            pool, fn = (coroutines, step) if rng.random() < 0.5 else (threads, abs)
            stop = rng.randrange(1, 60)
            async with pool.stream(fn, many(), ordered=rng.random() < 0.5) as stream:
                taken = 0
                async for _ in stream:
                    taken += 1
                    if taken == stop:
                        break

    def in_blocking_code(rng):
        for _ in range(10):
            pool, fn = (coroutines, step) if rng.random() < 0.5 else (threads, abs)
            stop = rng.randrange(1, 60)
            for taken, _ in enumerate(pool.stream(fn, iter(int, 1)), 1):
                if taken == stop:
                    break

    def one(i):
        rng = random.Random(seed * 10 + i)
        if i % 2:
            in_blocking_code(rng)
        else:
            asyncio.run(in_a_loop(rng))

    in_threads(4, one)
    threads.drain()
    threads._core.crew.join(None)  # abandoned items are not waited for by a drain
    coroutines.drain()

    assert threads.stats().in_flight == 0
    assert coroutines.stats().in_flight == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_pool_that_closes_under_load_settles_every_future(seed):
    """Submitters in four threads; each call has a value or a refusal, and nobody hangs."""
    pool = ThreadPool(3, max_queue=5)
    outcomes = []
    lock = threading.Lock()

    def submit(i):
        rng = random.Random(seed * 10 + i)
        for _ in range(100):
            try:
                outcome = pool.submit(pow, 2, 2).result(20)
            except HoldfastError as refusal:
                outcome = type(refusal).__name__
            with lock:
                outcomes.append(outcome)
            if i == 0 and rng.random() < 0.05:
                pool.close()

    in_threads(4, submit)
    pool.close()

    assert len(outcomes) == 400
    assert set(outcomes) <= {4, "PoolClosed"}
