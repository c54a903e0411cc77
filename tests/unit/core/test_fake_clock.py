"""The clock that moves when it is told to: for threads, for loops, and for whoever wakes them."""

import asyncio
import concurrent.futures
import threading
import time

import pytest

from holdfast._core import clock, latch
from holdfast._core.future import CallFuture
from holdfast.pools import ThreadPool
from holdfast.testing import FakeClock

# ---------------------------------------------------------------- time


def test_time_stands_still_until_it_is_advanced():
    """Only ``advance`` moves it, by exactly as much as it says."""
    with FakeClock(start=50.0) as fake:
        first, second = clock.now(), clock.now()
        fake.advance(2.5)
        third = clock.now()

    assert (first, second, third) == (50.0, 50.0, 52.5)


def test_leaving_the_block_brings_the_real_clock_back():
    """A test's clock ends with the test."""
    with FakeClock() as fake:
        during = clock.current()
    after = clock.current()

    assert during is fake
    assert isinstance(after, clock.SystemClock)


def test_no_time_and_less_are_no_wait():
    """Sleeping for nothing returns at once; so does a wait, with what the latch is."""
    closed = latch.closed_lock()

    with FakeClock() as fake:
        fake.sleep(0)
        fake.sleep(-1)

        assert not fake.acquire(closed, 0)
        assert not fake.acquire(closed, -1)
        assert fake.acquire(threading.Lock(), 0)
        assert fake.acquire(threading.Lock(), None)


# ---------------------------------------------------------------- threads


def _sleepers(fake, naps, woken):
    def sleep(seconds):
        clock.sleep(seconds)
        woken.append(seconds)

    threads = {nap: threading.Thread(daemon=True, target=sleep, args=(nap,)) for nap in naps}
    for thread in threads.values():
        thread.start()
    fake.wait_for_waiters(len(threads))
    return threads


def test_advance_wakes_the_sleepers_whose_time_has_come_and_no_others():
    """An hour of sleep takes no time; the one who sleeps longer sleeps on."""
    woken = []
    with FakeClock() as fake:
        threads = _sleepers(fake, [10, 3600, 7200], woken)

        fake.advance(9.5)
        after_nine = list(woken)
        fake.advance(3600)
        threads[10].join()
        threads[3600].join()
        after_an_hour = sorted(woken)
        still_asleep = threads[7200].is_alive()
        fake.advance(3600)
        threads[7200].join()

    assert after_nine == []
    assert after_an_hour == [10, 3600]
    assert still_asleep
    assert sorted(woken) == [10, 3600, 7200]


def test_a_wait_that_is_woken_in_time_is_true_and_one_that_is_not_is_false():
    """As with the real clock."""
    in_time = {}
    latches = {name: latch.closed_lock() for name in ("woken", "late")}
    with FakeClock() as fake:

        def wait(name):
            in_time[name] = fake.acquire(latches[name], 60)

        threads = [threading.Thread(daemon=True, target=wait, args=(name,)) for name in latches]
        for thread in threads:
            thread.start()
        fake.wait_for_waiters(2)
        latches["woken"].release()
        threads[0].join()
        fake.advance(60)
        threads[1].join()

    assert in_time == {"woken": True, "late": False}


def test_waiting_for_waiters_that_do_not_come_names_how_many_are_there():
    """A test that waits in vain fails with figures, and does not hang."""
    with FakeClock() as fake, pytest.raises(TimeoutError, match="0 of 2 threads wait"):
        fake.wait_for_waiters(2, real_timeout=0.01)


@pytest.mark.parametrize("kind", ["lock", "pipe"])
def test_a_latch_may_be_released_just_after_its_wait_timed_out(kind, monkeypatch):
    """Time runs out and the outcome comes in the same breath: the releaser must not be harmed.

    With a real clock a lock whose wait timed out stays closed, so a late release is in order.
    """
    if kind == "lock":
        monkeypatch.delattr("select.poll", raising=False)
    got = []
    future = CallFuture()

    def wait():
        try:
            got.append(future.result(timeout=5))
        except TimeoutError:
            got.append("timeout")

    with FakeClock() as fake:
        thread = threading.Thread(daemon=True, target=wait)
        thread.start()
        fake.wait_for_waiters(1)
        try:
            fake.advance(5)
            future.settle("value", None)
        finally:
            thread.join()

    assert got[0] in ("value", "timeout")
    assert future.result() == "value"


def test_a_pool_takes_a_call_just_after_its_idle_worker_timed_out():
    """A thread's idle time ends and a call comes in the same breath: the call runs all the same."""
    with FakeClock() as fake:
        pool = ThreadPool(1, idle_timeout=10)
        try:
            for n in range(20):
                pool.submit(int).result()
                fake.wait_for_waiters(1)
                fake.advance(10)
                future = pool.submit(pow, 2, n)
                done, _ = concurrent.futures.wait([future], timeout=5)  # in real seconds
                assert done == {future}
                assert future.result() == 2**n
        finally:
            pool.close(0)


# ---------------------------------------------------------------- loops


def test_an_hour_in_a_loop_of_the_clock_is_instant():
    """``asyncio.sleep`` advances the clock, and takes next to no real time."""
    started = time.monotonic()
    with FakeClock() as fake:

        async def main():
            loop = asyncio.get_running_loop()
            before = loop.time(), clock.now()
            await asyncio.sleep(3600)
            return loop.time() - before[0], clock.now() - before[1]

        with asyncio.Runner(loop_factory=fake.new_event_loop) as runner:
            passed = runner.run(main())

    assert passed == (3600.0, 3600.0)
    assert time.monotonic() - started < 60  # the hour itself, not the machine, is what is measured


def test_sleeping_coroutines_wake_in_the_order_of_their_moments():
    """Time jumps from timer to timer, so that nothing is skipped."""
    order = []
    with FakeClock() as fake:

        async def nap(seconds):
            await asyncio.sleep(seconds)
            order.append((seconds, clock.now() - start))

        async def main():
            await asyncio.gather(*map(nap, [30, 0.5, 86400 * 3, 10]))

        start = clock.now()
        with asyncio.Runner(loop_factory=fake.new_event_loop) as runner:
            runner.run(main())

    assert [seconds for seconds, _ in order] == [0.5, 10, 30, 86400 * 3]
    assert all(at == pytest.approx(seconds) for seconds, at in order)


def test_a_timeout_in_a_loop_of_the_clock_comes_at_its_moment():
    """``asyncio.timeout`` lives by the clock too."""
    with FakeClock() as fake:

        async def main():
            async with asyncio.timeout(120):
                await asyncio.Event().wait()

        with (
            asyncio.Runner(loop_factory=fake.new_event_loop) as runner,
            pytest.raises(TimeoutError),
        ):
            runner.run(main())

        assert clock.now() == pytest.approx(1120.0)


def test_work_in_threads_comes_before_the_time_jumps():
    """A loop that waits for a thread lets it finish, and its clock stands still meanwhile."""
    with FakeClock() as fake:

        async def main():
            async with asyncio.timeout(3600):
                return await asyncio.to_thread(pow, 2, 8), clock.now()

        with asyncio.Runner(loop_factory=fake.new_event_loop) as runner:
            assert runner.run(main()) == (256, 1000.0)
