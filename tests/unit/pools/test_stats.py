"""Figures of a pool over a time, and how long its calls waited and ran."""

import asyncio
import dataclasses
import threading

import pytest
from hypothesis import given, strategies as st

from holdfast.pools import AsyncPool, ThreadPool
from holdfast.pools._timings import STRIDE, WIDE_STRIDE, Timings
from holdfast.pools.histogram import BUCKETS, Histogram, bucket_of

durations = st.lists(st.floats(0.0, 1e5), max_size=50)


# ---------------------------------------------------------------- histograms


@given(durations, st.floats(0.0, 1.0))
def test_a_quantile_is_a_bound_within_a_factor_of_two(seconds, q):
    """At least a share q of the durations is below it, and it is at most twice one of them."""
    histogram = Histogram.of(seconds)
    bound = histogram.quantile(q)
    below = sum(duration <= bound for duration in seconds)

    assert below >= q * len(seconds) - 1e-9
    assert not seconds or any(bound <= max(2 * duration, 1e-6) * 1.0001 for duration in seconds)


@given(durations, durations)
def test_the_difference_of_two_readings_is_what_came_between_them(first, second):
    """In each bucket, and in the sum."""
    difference = Histogram.of([*first, *second]).since(Histogram.of(first))

    assert difference.counts == Histogram.of(second).counts
    assert difference.total_s == pytest.approx(sum(second), abs=1e-3)


@given(st.floats(0.0, 1e9))
def test_every_duration_has_a_bucket(seconds):
    """From nothing to three decades."""
    bucket = bucket_of(seconds)

    assert 0 <= bucket < BUCKETS
    assert bucket == BUCKETS - 1 or seconds * 1e6 < 2.0**bucket * 1.0001


@pytest.mark.parametrize("q", [-0.1, 1.1])
def test_a_quantile_outside_of_its_range_is_refused(q):
    """With the range."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        Histogram().quantile(q)


# ---------------------------------------------------------------- which calls are timed


@pytest.mark.parametrize(("ran_s", "stride"), [(1e-4, STRIDE), (1e-6, WIDE_STRIDE)])
@given(bursts=st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_quick_calls_are_timed_by_samples_however_they_come(ran_s, stride, bursts):
    """One at a time or many at once: the weights add up to the calls, within one stride."""
    timings = Timings()
    timings.record(-1.0, ran_s, 0)
    timed = sum(len(range(burst)[timings.due_of(burst)]) for burst in bursts)

    assert 0 <= timed * stride - sum(bursts) < stride


def test_slow_calls_are_all_timed():
    """After a slow call the next one is timed again."""
    timings = Timings()
    for _ in range(20):
        assert timings.is_due()
        timings.record(0.5, 0.1, timings.stride)
    wait, run = timings.read()

    assert (wait.count, run.count) == (20, 20)
    assert run.total_s == pytest.approx(2.0)


def test_records_of_many_threads_are_all_counted():
    """They take no lock, and none is lost."""
    timings = Timings()
    threads = [
        threading.Thread(target=lambda: [timings.record(0.0, 1.0, 1) for _ in range(2000)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert timings.read()[1].count == 8000


# ---------------------------------------------------------------- pools


def test_waiting_and_running_are_measured_apart(fake_clock):
    """One call runs for two seconds, the next one waits for them and runs for three."""
    with ThreadPool(1) as pool:
        gates = [threading.Event(), threading.Event()]
        inside = threading.Semaphore(0)

        def call(gate):
            inside.release()
            assert gate.wait(20)

        futures = [pool.submit(call, gate) for gate in gates]
        for gate, seconds in zip(gates, (2, 3), strict=True):
            assert inside.acquire(timeout=20)
            fake_clock.advance(seconds)
            gate.set()
        for future in futures:
            future.result(20)
        stats = pool.stats()

    assert stats.run.total_s == pytest.approx(5.0)
    assert stats.wait.total_s == pytest.approx(2.0)
    assert stats.utilisation == pytest.approx(1.0)


async def test_calls_of_a_pool_of_coroutines_are_timed():
    """Awaited or submitted: how long each waited, and how long it ran."""
    async with AsyncPool(1) as pool:
        await asyncio.gather(
            pool.run(asyncio.sleep, 0.02),
            pool.run(asyncio.sleep, 0.03),
            pool.submit(asyncio.sleep, 0.04),
        )
        stats = pool.stats()

    assert (stats.wait.count, stats.run.count) == (3, 3)
    assert stats.run.total_s >= 0.09
    assert stats.wait.total_s >= 0.02 + 0.05


async def test_items_of_streams_are_in_the_running_times():
    """Each by itself where they are slow, by samples where they are quick."""
    async with AsyncPool(4) as pool:
        async for _ in pool.stream(asyncio.sleep, [0.002] * 12):
            pass
        run = pool.stats().run

    assert run.count >= 8
    assert run.total_s >= 0.002 * 8


def test_the_difference_of_two_readings():
    """Counts are of the time between them, the rest is as it is now."""
    with ThreadPool(2, max_queue=5) as pool:
        for _ in range(3):
            pool.submit(int).result(20)
        before = pool.stats()
        for _ in range(4):
            pool.submit(int).result(20)
        with pytest.raises(ValueError, match="invalid literal"):
            pool.submit(int, "x").result(20)
        after = pool.stats()
        difference = after.since(before)

    assert (difference.submitted, difference.completed, difference.failed) == (5, 4, 1)
    assert (difference.limit, difference.peak_in_flight) == (after.limit, after.peak_in_flight)
    assert difference.seconds == pytest.approx(after.seconds - before.seconds)
    assert dataclasses.is_dataclass(difference)


def test_a_later_reading_can_not_be_subtracted():
    """Nor one of another pool."""
    with ThreadPool(1, name="a") as a, ThreadPool(1, name="b") as b:
        before = a.stats()
        a.submit(int).result(20)
        after = a.stats()

        with pytest.raises(ValueError, match="not an earlier reading of pool 'a'"):
            before.since(after)
        with pytest.raises(ValueError, match="not an earlier reading of pool 'a'"):
            after.since(b.stats())
