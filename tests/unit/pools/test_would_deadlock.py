"""Waits that would never end are raised, and only those."""

import asyncio
import dataclasses
import threading

import pytest
import uvloop

from holdfast.errors import WouldDeadlock
from holdfast.pools import AsyncPool, ThreadPool
from holdfast.pools.budget import current_budget, set_budget


@pytest.fixture(scope="module", autouse=True)
def uvloop_is_warm():
    """Let libuv open what it keeps for the life of the process, before anybody counts."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as made:
        made.run(asyncio.sleep(0))


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


def _run_in_loop(pool):
    """What a blocking tool does whose library is asynchronous: a loop of its own, in a worker thread."""
    return asyncio.run(pool.run(_one))


def _run_in_compiled_loop(pool):
    """The same with uvloop, whose frames are not to be seen."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(pool.run(_one))


async def _gather_in(pool):
    return await asyncio.gather(pool.run(_one), pool.run(_one))


@pytest.mark.parametrize(
    "inside", [_run_in_loop, _run_in_compiled_loop, lambda pool: asyncio.run(_gather_in(pool))]
)
def test_a_loop_in_a_worker_that_waits_for_its_own_full_pool_is_told(inside):
    """Nobody waits for a future of ours there: the loop of the worker does."""
    with ThreadPool(1, name="solo") as pool:
        with pytest.raises(WouldDeadlock, match="solo"):
            pool.submit(inside, pool).result(20)

        assert pool.submit(_one).result(20) == 1


def test_of_two_loops_in_workers_that_wait_for_their_pool_one_is_refused():
    """The other one has its thread then."""
    meet = threading.Barrier(2)
    with ThreadPool(2) as pool:

        def inside():
            meet.wait(20)
            return _run_in_loop(pool)

        outcomes = [future.exception(20) for future in [pool.submit(inside) for _ in range(2)]]

        assert sorted(type(outcome) for outcome in outcomes if outcome) == [WouldDeadlock]


async def test_a_worker_that_waits_for_a_coroutine_that_waits_for_its_pool_is_told():
    """By a future of the standard library, over the loop of another thread."""
    loop = asyncio.get_running_loop()
    with ThreadPool(1) as pool:

        def inside():
            return asyncio.run_coroutine_threadsafe(pool.run(_one), loop).result()

        with pytest.raises(WouldDeadlock):
            await asyncio.wait_for(pool.run(inside), 20)


def test_loops_in_workers_that_hold_all_threads_of_the_process_are_told():
    """Their calls are for another pool, which has permits, and no thread."""
    before = set_budget(dataclasses.replace(current_budget(), threads=2))
    meet = threading.Barrier(2)
    try:
        with ThreadPool(2) as inner, ThreadPool(2) as outer:

            def inside():
                meet.wait(20)
                return _run_in_loop(inner)

            outcomes = [future.exception(20) for future in [outer.submit(inside) for _ in range(2)]]
    finally:
        set_budget(before)

    assert sorted(type(outcome) for outcome in outcomes if outcome) == [WouldDeadlock]


def test_a_loop_in_a_worker_waits_while_another_worker_can_end():
    """And nothing is kept of its wait."""
    release = threading.Event()
    with ThreadPool(2) as pool:

        async def waits():
            outcome = await pool.run(_one)
            for _ in range(100):  # until the next look
                await asyncio.sleep(0.01)
                if not (kept := asyncio.get_running_loop()._holdfast_standing):
                    break
            return outcome, kept

        held = pool.submit(release.wait, 20)
        outer = pool.submit(lambda: asyncio.run(waits()))
        threading.Timer(0.1, release.set).start()

        assert held.result(20)
        assert outer.result(20) == (1, {})


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
