"""Permits that are kept for clean-up work."""

import asyncio
import threading

import pytest
from hypothesis import given, settings, strategies as st

from holdfast.errors import PoolClosed, QueueFull, WouldDeadlock
from holdfast.pools import AsyncPool, ThreadPool
from holdfast.pools.deadline import deadline


async def _one():
    return 1


async def _fill(pool, count):
    """Have so many calls run until the event is set."""
    release = asyncio.Event()
    calls = [asyncio.ensure_future(pool.run(release.wait)) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return release, calls


def _fill_threads(pool, count):
    release, began = threading.Event(), threading.Semaphore(0)

    def hold():
        began.release()
        assert release.wait(20)

    futures = [pool.submit(hold) for _ in range(count)]
    return release, futures, began


# ---------------------------------------------------------------- coroutines


async def test_a_kept_permit_is_for_clean_up_alone():
    """All other calls share what is left; a clean-up call runs while they wait."""
    async with AsyncPool(3, reserved=1) as pool:
        release, calls = await _fill(pool, 4)

        before = pool.stats()
        assert (before.limit, before.in_flight, before.queued) == (2, 2, 2)
        assert await asyncio.wait_for(pool.options(reserved=True).run(_one), 20) == 1
        assert await asyncio.wait_for(pool.options(reserved=True).submit(_one), 20) == 1
        after = pool.stats()
        assert (after.reserved.limit, after.reserved.completed, after.in_flight) == (1, 2, 2)
        release.set()
        await asyncio.gather(*calls)


async def test_clean_up_takes_any_permit_that_is_free():
    """Five permits, one of them kept: five clean-up calls run at once where nobody else does."""
    async with AsyncPool(5, reserved=1) as pool:
        clean = pool.options(reserved=True)
        release, calls = await _fill(clean, 6)

        stats = pool.stats()
        assert (stats.in_flight, stats.reserved.in_flight, stats.reserved.queued) == (4, 1, 1)
        release.set()
        await asyncio.gather(*calls)


async def test_clean_up_ends_what_would_be_a_deadlock():
    """Every permit is held by a call that waits for its own clean-up; without kept ones none could go on."""

    async def work(pool, **options):
        try:
            await asyncio.sleep(0)
        finally:
            await pool.options(**options).run(_one)

    async with AsyncPool(3, reserved=1) as pool:
        calls = [pool.run(work, pool, reserved=True) for _ in range(10)]
        await asyncio.wait_for(asyncio.gather(*calls), 20)

    async with AsyncPool(1) as pool:
        with pytest.raises(WouldDeadlock):
            await asyncio.wait_for(pool.run(work, pool), 20)


async def test_clean_up_that_waits_for_clean_up_is_a_deadlock_still():
    """One kept permit, whose holder waits for another one, while the others wait for it."""
    async with AsyncPool(2, reserved=1) as pool:
        clean = pool.options(reserved=True)
        release, calls = await _fill(pool, 1)

        async def nested():
            await clean.run(_one)

        with pytest.raises(WouldDeadlock, match="reserved"):
            # The usual permit is out for as long as this call, so nobody else can help.
            await asyncio.wait_for(asyncio.gather(_then(release, clean.run(nested))), 20)
        await asyncio.gather(*calls)


async def _then(release, work):
    try:
        return await work
    finally:
        release.set()


async def test_the_kept_line_is_bounded_like_the_other():
    """And belongs to clean-up alone: a queue full of calls refuses none of it."""
    async with AsyncPool(2, reserved=1, max_queue=1, overflow="reject") as pool:
        clean = pool.options(reserved=True)
        release, calls = await _fill(pool, 2)
        with pytest.raises(QueueFull):
            await pool.run(_one)

        kept = [asyncio.ensure_future(clean.run(release.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="reserved"):
            await clean.run(_one)
        release.set()
        await asyncio.gather(*calls, *kept)


@pytest.mark.parametrize("how", ["adrain", "aclose"])
async def test_calls_that_end_while_the_pool_closes_can_still_clean_up(how):
    """The kept permits close when the calls before them have ended; then nothing is admitted any more."""
    pool = AsyncPool(2, reserved=1)
    cleaned = []

    async def clean_up():
        cleaned.append(1)

    async def work(release):
        await release.wait()
        await pool.options(reserved=True).run(clean_up)

    release = asyncio.Event()
    call = asyncio.ensure_future(pool.run(work, release))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(getattr(pool, how)())
    await asyncio.sleep(0)
    release.set()

    assert await asyncio.wait_for(closing, 20)
    await call
    assert cleaned == [1]
    with pytest.raises(PoolClosed):
        await pool.options(reserved=True).run(clean_up)


async def test_clean_up_keeps_its_options_and_deadlines():
    """A view of a view is for clean-up too; an inherited deadline holds, and can be shielded from."""
    async with AsyncPool(2, reserved=1) as pool:
        clean = pool.options(reserved=True).options(timeout=5)
        release, calls = await _fill(pool, 1)
        assert await clean.run(_one) == 1
        assert pool.stats().reserved.completed == 1
        with deadline(0.0), pytest.raises(Exception, match="deadline"):
            await clean.run(_one)
        with deadline(0.0), deadline(None, shield=True):
            assert await clean.run(_one) == 1
        assert clean.options(reserved=False)._core is pool._core
        release.set()
        await asyncio.gather(*calls)


def test_a_pool_that_keeps_no_permits_says_so():
    """Of both kinds; and a pool must leave a permit to all calls."""
    for pool in (AsyncPool(2), ThreadPool(2)):
        with pytest.raises(ValueError, match="keeps no permits"):
            pool.options(reserved=True)
        pool.close()
    for make in (AsyncPool, ThreadPool):
        with pytest.raises(ValueError, match="less than"):
            make(2, reserved=2)
    with AsyncPool(3, reserved=2) as pool:
        with pytest.raises(ValueError, match="less than"):
            pool.resize(2)
        pool.resize(5)
        assert (pool.stats().limit, pool.stats().reserved.limit) == (3, 2)


# ---------------------------------------------------------------- threads


def test_a_kept_worker_is_for_clean_up_alone():
    """In blocking code and from a loop, with the pool's own threads busy and its queue full."""
    with ThreadPool(3, reserved=1, max_queue=1, overflow="reject", name="db") as pool:
        release, futures, began = _fill_threads(pool, 2)
        assert all(began.acquire(timeout=20) for _ in range(2))
        waits = pool.submit(int)
        clean = pool.options(reserved=True)

        assert clean.submit(threading.current_thread).result(20).name == "holdfast:db/reserved-0"
        assert asyncio.run(asyncio.wait_for(clean.run(pow, 2, 3), 20)) == 8
        stats = pool.stats()
        assert (stats.limit, stats.in_flight, stats.queued, stats.reserved.completed) == (
            2,
            2,
            1,
            2,
        )
        with pytest.raises(QueueFull):
            pool.submit(int)
        release.set()
        assert [future.result(20) for future in (*futures, waits)] == [None, None, 0]


def test_clean_up_calls_of_threads_take_any_permit_that_is_free():
    """Three workers, one of them kept: three clean-up calls at once."""
    with ThreadPool(3, reserved=1) as pool:
        release, futures, began = _fill_threads(pool.options(reserved=True), 4)

        assert all(began.acquire(timeout=20) for _ in range(3))
        stats = pool.stats()
        assert (stats.in_flight, stats.reserved.in_flight, stats.reserved.queued) == (2, 1, 1)
        release.set()
        assert [future.result(20) for future in futures] == [None] * 4


def test_nested_clean_up_of_a_full_pool_of_threads_is_no_deadlock():
    """Eight calls that fill the pool, each with a clean-up in the very same pool."""
    with ThreadPool(3, reserved=1) as pool:

        def work():
            return pool.options(reserved=True).submit(pow, 2, 3).result()

        assert [f.result(20) for f in [pool.submit(work) for _ in range(8)]] == [8] * 8


def test_a_cancelled_clean_up_call_leaves_the_line_or_is_abandoned():
    """Wherever it had its place."""

    async def main(pool, release):
        clean = pool.options(reserved=True)
        calls = [asyncio.ensure_future(clean.run(release.wait, 20)) for _ in range(3)]
        while not pool.stats().reserved.queued or not pool.stats().in_flight:
            await asyncio.sleep(0.001)
        while not pool.stats().reserved.in_flight:
            await asyncio.sleep(0.001)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        stats = pool.stats()
        return stats.abandoned, stats.reserved.abandoned, stats.reserved.queued

    release = threading.Event()
    pool = ThreadPool(2, reserved=1, max_abandoned=0)
    assert asyncio.run(main(pool, release)) == (1, 1, 0)
    assert len(pool.abandoned()) == 2
    release.set()
    while any(half.in_flight for half in (pool.stats(), pool.stats().reserved)):
        threading.Event().wait(0.001)  # abandoned calls are not waited for
    assert pool.drain(20)


# ---------------------------------------------------------------- the bound


@settings(max_examples=60)
@given(
    limit=st.integers(2, 5),
    kept=st.integers(1, 4),
    kinds=st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.booleans()), max_size=40),
)
def test_never_more_run_than_the_limit_and_never_more_usual_calls_than_are_left(limit, kept, kinds):
    """Calls of both kinds, some cancelled, in any order: all permits together are the pool's limit."""
    kept = min(kept, limit - 1)
    running = {True: 0, False: 0}
    most = {"all": 0, "usual": 0}

    async def work(clean, passes):
        running[clean] += 1
        most["all"] = max(most["all"], sum(running.values()))
        most["usual"] = max(most["usual"], running[False])
        try:
            for _ in range(passes):
                await asyncio.sleep(0)
        finally:
            running[clean] -= 1

    async def main():
        async with AsyncPool(limit, reserved=kept) as pool:
            views = {True: pool.options(reserved=True), False: pool}
            calls = []
            for clean, passes, cancelled in kinds:
                calls.append(asyncio.ensure_future(views[clean].run(work, clean, passes)))
                if cancelled:
                    await asyncio.sleep(0)
                    calls[passes * len(calls) // 4].cancel()
            await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 20)
            return pool.stats()

    stats = asyncio.run(main())
    assert most["all"] <= limit
    assert most["usual"] <= limit - kept
    assert stats.peak_in_flight + stats.reserved.peak_in_flight <= limit
    for half in (stats, stats.reserved):
        assert (half.in_flight, half.starting, half.queued, half.blocked) == (0, 0, 0, 0)
        assert half.submitted == half.completed + half.failed + half.withdrawn
