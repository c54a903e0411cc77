"""Pools whose limit follows how their calls go, and pools that somebody governs."""

import asyncio
import threading

import pytest

from holdfast import AsyncPool, QueueFull, ThreadPool, UnderPressure
from holdfast.limits.adaptive import Adaptive
from holdfast.limits.aimd import Aimd
from holdfast.limits.queue_delay import QueueDelay
from holdfast.testing import FakeClock


class Server:
    """Works on so many calls at once, a tenth of a second each; the rest queues."""

    def __init__(self, capacity):
        self.capacity = asyncio.Semaphore(capacity)
        self.most = self.here = 0

    async def answer(self, item):
        self.here += 1
        self.most = max(self.most, self.here)
        try:
            async with self.capacity:
                await asyncio.sleep(0.1)
        finally:
            self.here -= 1
        return item


class TooMany(Exception):
    status_code = 429


def in_fake_time(main):
    """Run ``main(clock)`` on a loop that jumps from timer to timer."""
    with FakeClock() as clock, asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        return runner.run(main(clock))


def test_a_stream_finds_what_the_server_works_on():
    """And leaves a record of how it came there."""

    async def main(_):
        server = Server(6)
        async with AsyncPool(limit=Adaptive(window_calls=12, window_s=0.05)) as pool:
            replies = [r async for r in pool.stream(server.answer, range(600))]
            return replies, pool.stats().limit, pool.limit_changes(), server.most

    replies, limit, changes, most = in_fake_time(main)

    assert replies == list(range(600))
    assert 6 <= limit <= 9
    assert most <= 18  # it doubles while nothing resists
    assert changes[0].before == 4
    assert changes[-1].after == limit


@pytest.mark.parametrize("way", ["run", "submit", "options"])
def test_every_way_into_the_pool_is_measured(way):
    """A call is a call."""

    async def main(_):
        server = Server(100)
        async with AsyncPool(limit=Adaptive(window_calls=4, window_s=0.05, law=Aimd())) as pool:
            call = {
                "run": pool.run,
                "submit": pool.submit,
                "options": pool.options(timeout=60).run,
            }[way]
            for _ in range(6):
                await asyncio.gather(*(call(server.answer, n) for n in range(8)))
            return [(change.before, change.after) for change in pool.limit_changes()]

    assert in_fake_time(main)[:3] == [(4, 5), (5, 6), (6, 7)]


def test_refusals_of_the_server_cut_the_limit_and_pass_through_unchanged():
    """The caller's error is the caller's."""

    async def refuse():
        await asyncio.sleep(0.01)
        raise TooMany

    async def main(_):
        options = Adaptive(law=Aimd(cut=0.5), initial=8, window_calls=4, window_s=0.001)
        async with AsyncPool(limit=options) as pool:
            found = await asyncio.gather(
                *(pool.run(refuse) for _ in range(8)), return_exceptions=True
            )
            return found, pool.stats()

    found, stats = in_fake_time(main)

    assert all(type(error) is TooMany for error in found)
    assert stats.limit == 4
    assert stats.failed == 8


def test_a_timeout_of_the_pool_is_a_sign_of_overload_and_a_cancellation_is_none():
    """A caller who goes away says nothing of the server."""

    async def main(_):
        options = Adaptive(law=Aimd(cut=0.5), initial=8, window_calls=2, window_s=0.001)
        async with AsyncPool(limit=options, timeout=5) as pool:
            leaving = [asyncio.create_task(pool.run(asyncio.sleep, 60)) for _ in range(6)]
            await asyncio.sleep(0.1)
            for task in leaving:
                task.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)
            before = pool.stats().limit
            await asyncio.gather(
                *(pool.run(asyncio.sleep, 60) for _ in range(4)), return_exceptions=True
            )
            return before, pool.stats().limit

    assert in_fake_time(main) == (8, 4)


def test_a_process_that_is_late_with_its_own_work_is_given_less():
    """Each call keeps the loop for fifty milliseconds."""

    async def main(clock):
        async def compute():
            clock.advance(0.05)
            await asyncio.sleep(0)

        options = Adaptive(law=QueueDelay(cut=0.5), initial=16, window_calls=8, window_s=0.001)
        async with AsyncPool(limit=options) as pool:
            for _ in range(4):
                await asyncio.gather(*(pool.run(compute) for _ in range(16)))
            return pool.stats().limit

    assert in_fake_time(main) <= 4


def test_a_resize_bounds_what_the_limit_may_become():
    """It is not the limit itself, which the calls lead."""

    async def main(_):
        server = Server(100)
        options = Adaptive(law=Aimd(step_calls=5), window_calls=4, window_s=0.05)
        async with AsyncPool(limit=options) as pool:
            pool.resize(7)
            await pool.gather(server.answer, range(100))
            return pool.stats().limit, server.most

    assert in_fake_time(main) == (7, 7)


def test_a_pool_says_what_it_needs():
    """A size, or how to find one."""
    with pytest.raises(TypeError, match=r"limit=Adaptive"):
        AsyncPool()
    with pytest.raises(TypeError, match=r"one such as Adaptive\(max_limit=50\), not 5"):
        AsyncPool(limit=5)


async def test_a_fixed_limit_has_no_changes():
    """Nothing measures it."""
    async with AsyncPool(3) as pool:
        await pool.run(asyncio.sleep, 0)
        assert pool.limit_changes() == ()


# ---------------------------------------------------------------- restricted


async def test_a_restricted_pool_starts_no_more_until_it_is_lifted():
    """What runs goes on; what waits keeps its place."""
    release = asyncio.Event()
    async with AsyncPool(4) as pool:
        calls = [asyncio.create_task(pool.run(release.wait)) for _ in range(4)]
        await asyncio.sleep(0)
        pool.restrict(1)
        calls += [asyncio.create_task(pool.run(asyncio.sleep, 0, n)) for n in range(3)]
        await asyncio.sleep(0)
        assert (pool.stats().in_flight, pool.stats().limit, pool.stats().cap) == (4, 1, 1)

        release.set()
        await asyncio.gather(*calls[:4])
        assert pool.stats().in_flight <= 1
        pool.restrict(None)

        assert await asyncio.gather(*calls[4:]) == [0, 1, 2]
        assert (pool.stats().limit, pool.stats().cap) == (4, None)


async def test_a_pool_that_may_start_nothing_pulls_nothing_and_loses_nothing():
    """Streams stop where they are, calls wait; all of it goes on when it may."""
    pulled = []

    def items():
        for n in range(200):
            pulled.append(n)
            yield n

    async def nap(n):
        await asyncio.sleep(0)
        return n

    found = []
    async with AsyncPool(4) as pool:
        async for n in pool.stream(nap, items()):
            found.append(n)
            if n == 3:
                pool.restrict(0)
                while pool.stats().in_flight:
                    await asyncio.sleep(0)
                had = len(pulled)
                for _ in range(50):
                    await asyncio.sleep(0)
                assert len(pulled) == had < 200
                pool.restrict(2)

    assert found == list(range(200))


async def test_a_restricted_pool_that_rejects_says_that_it_is_for_pressure():
    """Which passes; a full pool may be full for ever."""
    async with AsyncPool(4, max_queue=0, overflow="reject") as pool:
        pool.restrict(0)
        with pytest.raises(UnderPressure, match="only 0 may be in flight for now"):
            await pool.run(asyncio.sleep, 0)
        pool.restrict(None)
        release = asyncio.Event()
        calls = [asyncio.create_task(pool.run(release.wait)) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await pool.run(asyncio.sleep, 0)
        release.set()
        await asyncio.gather(*calls)


def test_a_restricted_pool_of_threads_starts_no_more_until_it_is_lifted():
    """The same."""
    release = threading.Event()
    with ThreadPool(4) as pool:
        calls = [pool.submit(release.wait) for _ in range(4)]
        pool.restrict(0)
        more = [pool.submit(int, str(n)) for n in range(3)]
        release.set()
        for call in calls:
            call.result(10)
        assert not any(call.done() for call in more)
        assert pool.stats().in_flight == 0

        pool.restrict(None)
        assert [call.result(10) for call in more] == [0, 1, 2]


async def test_a_resize_of_a_restricted_pool_takes_effect_when_it_is_lifted():
    """Two who move one limit don't undo each other."""
    async with AsyncPool(4) as pool:
        pool.restrict(2)
        pool.resize(10)
        assert pool.stats().limit == 2
        pool.restrict(None)
        assert pool.stats().limit == 10
        pool.restrict(20)
        assert pool.stats().limit == 10


async def test_a_call_that_waits_for_its_own_restricted_pool_is_no_deadlock():
    """Whoever restricts it gives its limit back: then the call goes on."""
    async with AsyncPool(2) as pool:

        async def nested():
            return await pool.run(asyncio.sleep, 0, "inner")

        pool.restrict(1)
        call = asyncio.create_task(pool.run(nested))
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert not call.done()

        pool.restrict(None)
        assert await call == "inner"
