"""Calls that one pass of a loop brings to a thread pool: handed over together, seen as if at once."""

import asyncio

from holdfast.errors import PoolClosed, QueueFull
from holdfast.pools import ThreadPool


async def _started(*coroutines):
    """Tasks of these coroutines, each at its first await, in one pass of the loop."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    await asyncio.sleep(0)
    return tasks


async def test_calls_are_counted_as_soon_as_they_are_made():
    """Whoever asks on the same loop sees the calls of this very pass."""
    with ThreadPool(1) as pool:
        tasks = await _started(pool.run(int), pool.run(int), pool.run(int))

        stats = pool.stats()

        assert stats.submitted == 3
        assert stats.in_flight + stats.queued + stats.completed == 3
        await asyncio.gather(*tasks)


async def test_calls_whose_callers_leave_in_the_same_pass_keep_no_permit():
    """Each has run, or was withdrawn, or was abandoned as it ran; the pool serves the next one."""
    ran = []
    with ThreadPool(1) as pool:
        tasks = await _started(*[pool.run(ran.append, n) for n in range(5)])
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await pool.run(ran.append, 5)

        stats = pool.stats()
        assert ran[-1] == 5
        assert len(ran) == 6 - stats.withdrawn
        assert (stats.in_flight, stats.queued) == (0, 0)


async def test_a_pool_that_is_drained_in_the_same_pass_runs_the_calls():
    """They were made before the drain."""
    pool = ThreadPool(1)
    tasks = await _started(pool.run(str, 1), pool.run(str, 2))

    assert await pool.adrain()

    assert await asyncio.gather(*tasks) == ["1", "2"]


async def test_a_pool_that_is_closed_in_the_same_pass_refuses_what_has_not_started():
    """Each caller learns of it."""
    pool = ThreadPool(1)
    tasks = await _started(*[pool.run(int) for _ in range(3)])

    assert await pool.aclose()

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(outcome == 0 or isinstance(outcome, PoolClosed) for outcome in outcomes)


async def test_calls_beyond_the_queue_are_refused_one_by_one():
    """What fits is taken, in order; the rest is refused where the pool rejects."""
    with ThreadPool(1, max_queue=1, overflow="reject") as pool:
        tasks = await _started(*[pool.run(str, n) for n in range(5)])

        outcomes = await asyncio.gather(*tasks, return_exceptions=True)

        assert outcomes[:2] == ["0", "1"]
        assert [type(outcome) for outcome in outcomes[2:]] == [QueueFull] * 3
        assert pool.stats().rejected == {"full": 3}


async def test_calls_of_one_pass_to_two_pools_go_to_each_in_order():
    """However they alternate."""
    seen = {"a": [], "b": []}
    with ThreadPool(1, name="a") as a, ThreadPool(1, name="b") as b:
        tasks = await _started(
            *[pool.run(seen[pool.name].append, n) for n in range(4) for pool in (a, b)]
        )
        await asyncio.gather(*tasks)

    assert seen == {"a": [0, 1, 2, 3], "b": [0, 1, 2, 3]}


async def test_a_call_submitted_in_the_same_pass_comes_behind_those_before_it():
    """First come, first served, also between ``run`` and ``submit``."""
    seen = []
    with ThreadPool(1) as pool:
        tasks = await _started(pool.run(seen.append, 1), pool.run(seen.append, 2))

        pool.submit(seen.append, 3)
        await asyncio.gather(*tasks)

    assert seen == [1, 2, 3]
