"""Runs whose work goes through a pool: a wait that a full pool makes endless is found and refused."""

import asyncio
import threading

import pytest

import holdfast
from holdfast.errors import WouldDeadlock
from holdfast.flow.single_flight import SingleFlight


async def leaf():
    """Do nothing much."""
    return 1


def test_a_call_that_waits_for_a_run_in_its_own_full_pool_is_told():
    """It holds the permit that the run's work is in line for."""

    async def main():
        flight = SingleFlight()
        async with holdfast.AsyncPool(1, name="llm") as pool:

            async def outer():
                return await flight.run("k", pool.run, leaf)

            with pytest.raises(WouldDeadlock, match=r"1 of 1 in flight"):
                await pool.run(outer)
            assert await pool.run(leaf) == 1
        return flight.stats()

    stats = asyncio.run(main())
    assert (stats.in_flight, stats.waiting) == (0, 0)


def test_a_joiner_that_holds_the_permit_of_the_leaders_call_is_told():
    """The leader waits in line for the permit of one that waits for the leader's outcome."""

    async def main():
        flight = SingleFlight()
        go_on = asyncio.Event()
        async with holdfast.AsyncPool(1) as pool:

            async def outer():
                await go_on.wait()
                return await flight.run("k", leaf)

            inside = asyncio.ensure_future(pool.run(outer))
            await asyncio.sleep(0)
            leader = asyncio.ensure_future(flight.run("k", pool.run, leaf))
            while not pool.stats().queued:
                await asyncio.sleep(0)
            go_on.set()
            return await asyncio.gather(inside, leader, return_exceptions=True)

    assert [type(error) for error in asyncio.run(main())] == [WouldDeadlock, WouldDeadlock]


def test_a_ticket_that_is_joined_inside_the_full_pool_is_told():
    """A place that was taken with begin() waits like any other."""

    async def main():
        flight = SingleFlight()
        go_on = asyncio.Event()
        async with holdfast.AsyncPool(1) as pool:

            async def outer():
                await go_on.wait()
                return await flight.begin("k").join()

            inside = asyncio.ensure_future(pool.run(outer))
            await asyncio.sleep(0)
            leader = asyncio.ensure_future(flight.run("k", pool.run, leaf))
            while not pool.stats().queued:
                await asyncio.sleep(0)
            go_on.set()
            return await asyncio.gather(inside, leader, return_exceptions=True)

    assert [type(error) for error in asyncio.run(main())] == [WouldDeadlock, WouldDeadlock]


def test_a_worker_that_joins_a_run_which_needs_a_worker_is_told():
    """A blocked thread looks around as well."""

    async def main():
        flight = SingleFlight()
        go_on = threading.Event()
        with holdfast.ThreadPool(1) as pool:

            def worker():
                go_on.wait()
                return flight.run_sync("k", int)

            inside = asyncio.ensure_future(pool.run(worker))
            while not pool.stats().in_flight:
                await asyncio.sleep(0)
            leader = asyncio.ensure_future(flight.run("k", pool.run, int))
            while not pool.stats().queued:
                await asyncio.sleep(0)
            go_on.set()
            found = await asyncio.gather(inside, leader, return_exceptions=True)
            assert await pool.run(int) == 0
        return found, flight.stats()

    found, stats = asyncio.run(main())
    assert [type(error) for error in found] == [WouldDeadlock, WouldDeadlock]
    assert (stats.in_flight, stats.waiting) == (0, 0)


def test_waits_that_end_are_left_alone():
    """With a permit left for the work, runs inside of pools go through, however long they stand."""

    async def main():
        flight = SingleFlight()
        release = asyncio.Event()
        async with holdfast.AsyncPool(4) as pool:

            async def slow():
                await release.wait()
                return 7

            async def outer():
                return await flight.run("k", pool.run, slow)

            calls = [asyncio.ensure_future(pool.run(outer)) for _ in range(3)]
            await asyncio.sleep(0.1)  # several looks
            release.set()
            return await asyncio.gather(*calls, return_exceptions=True)

    assert asyncio.run(main()) == [7, 7, 7]


def test_what_looks_like_a_run_and_is_not_ours_is_not_asked():
    """The search for deadlocks runs no code of the user."""
    asked = []

    class Hook:
        def waiting(self):
            asked.append(self)
            return []

        def __call__(self, _):
            pass

        def ended(self, _):
            pass

    async def main():
        async with holdfast.AsyncPool(1) as pool:

            async def inner():
                task = asyncio.ensure_future(pool.run(leaf))
                task.add_done_callback(Hook().ended)
                return await task

            with pytest.raises(WouldDeadlock):
                await pool.run(inner)

    asyncio.run(main())
    assert asked == []
