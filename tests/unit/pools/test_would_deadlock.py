"""Waits that would never end are raised, and only those."""

import asyncio
import threading

import pytest

from holdfast.errors import WouldDeadlock
from holdfast.pools import AsyncPool, ThreadPool


def _one():
    return 1


def test_a_call_that_waits_for_its_own_full_pool_is_told():
    """With the pool and the line of the wait; the pool goes on."""
    with ThreadPool(1, name="solo") as pool:
        outer = pool.submit(lambda: pool.submit(_one).result())
        with pytest.raises(WouldDeadlock) as caught:
            outer.result(20)

        assert "solo" in str(caught.value)
        assert "test_would_deadlock.py" in str(caught.value)
        assert pool.submit(_one).result(20) == 1


def test_a_ring_of_two_pools_is_told():
    """Each is full of calls that wait for the other."""
    meet = threading.Barrier(2)
    with ThreadPool(1, name="a") as a, ThreadPool(1, name="b") as b:

        def in_pool(other):
            meet.wait(20)
            return other.submit(_one).result()

        futures = [a.submit(in_pool, b), b.submit(in_pool, a)]
        outcomes = [future.exception(20) for future in futures]

        assert any(isinstance(outcome, WouldDeadlock) for outcome in outcomes)
        assert a.submit(_one).result(20) == b.submit(_one).result(20) == 1


async def test_a_coroutine_that_enters_its_own_full_pool_again_is_told():
    """Also through tasks of its own that it awaits."""
    async with AsyncPool(1, name="llm") as pool:

        async def leaf():
            return 1

        async def again():
            return await pool.run(leaf)

        async def gathers():
            return await asyncio.gather(pool.run(leaf), pool.run(leaf))

        for nested in (again, gathers):
            with pytest.raises(WouldDeadlock, match="llm"):
                await asyncio.wait_for(pool.run(nested), 20)
        assert await pool.run(leaf) == 1
        assert pool.stats().in_flight == 0


def test_nested_calls_that_can_finish_are_left_alone():
    """A free permit, or any worker on the ring that can still end, is enough."""
    with ThreadPool(2) as pool, ThreadPool(1) as other:
        release = threading.Event()
        held = pool.submit(release.wait, 20)
        outer = pool.submit(lambda: pool.submit(_one).result())
        across = [other.submit(lambda: pool.submit(_one).result()) for _ in range(3)]
        threading.Timer(0.05, release.set).start()

        assert held.result(20)
        assert outer.result(20) == 1
        assert [future.result(20) for future in across] == [1, 1, 1]


async def test_children_that_nobody_awaits_are_no_deadlock():
    """Their parent ends without them, and gives its permit back."""
    async with AsyncPool(1) as pool:
        children = []

        async def leaf():
            return 1

        async def parent():
            children.append(asyncio.ensure_future(pool.run(leaf)))
            await asyncio.sleep(0.05)

        await pool.run(parent)

        assert await asyncio.wait_for(children[0], 20) == 1


def test_a_nested_stream_in_a_full_pool_is_told():
    """Its items need the permit of the call that reads it."""
    with ThreadPool(1) as pool:
        outer = pool.submit(lambda: list(pool.stream(str, range(3))))

        assert isinstance(outer.exception(20), WouldDeadlock)
        assert pool.submit(_one).result(20) == 1
