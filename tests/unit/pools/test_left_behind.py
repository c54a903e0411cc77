"""Calls that are refused, cancelled or lost on the way leave nothing behind: no watch, no permit, no waiter."""

import asyncio
import concurrent.futures
import gc
import threading
import weakref

import pytest

from holdfast.errors import QueueFull
from holdfast.pools import AsyncPool, ThreadPool
from holdfast.pools._timer import TIMER


async def _one():
    return 1


def _same(item):
    return item


def _watched():
    return len(TIMER._wheel)


def _in_thread(fn, *args):
    thread = threading.Thread(target=fn, args=args)
    thread.start()
    thread.join(20)


# ---------------------------------------------------------------- deadlines


@pytest.mark.parametrize("bounds", [{"timeout": 1000}, {"queue_timeout": 1000}])
def test_a_refused_call_is_watched_no_longer(bounds):
    """A thousand calls with a deadline that a newer one pushed out: the timer knows the two that are left."""
    release = threading.Event()
    with ThreadPool(1, max_queue=1, overflow="drop_oldest", **bounds) as pool:
        running = pool.submit(release.wait, 20)
        while not running.running():
            release.wait(0.001)
        dropped = [pool.submit(int) for _ in range(1000)]

        assert _watched() <= 2
        assert sum(isinstance(one.exception(20), QueueFull) for one in dropped[:-1]) == 999
        release.set()
        assert dropped[-1].result(20) == 0

    assert _watched() == 0


async def test_a_refused_call_of_a_coroutine_is_watched_no_longer():
    """The same for callers on a loop, and when the pool closes."""
    release = threading.Event()
    pool = ThreadPool(1, max_queue=1, overflow="drop_oldest", timeout=1000)
    running = asyncio.ensure_future(pool.run(release.wait, 20))
    while not pool.stats().in_flight:
        await asyncio.sleep(0.001)
    waiting = [asyncio.ensure_future(pool.run(int)) for _ in range(20)]
    await asyncio.sleep(0.01)
    pool._core.close(refuse_waiting=True)

    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(end, Exception) for end in ends)
    assert _watched() <= 1
    release.set()
    await running
    await pool.aclose()


# ---------------------------------------------------------------- a permit on its way


async def test_a_submitted_coroutine_can_be_cancelled_while_its_permit_is_on_the_way():
    """The permit comes from another thread: until its letter is read the call can be taken back."""
    ran = []

    async def note():
        ran.append(1)

    async with AsyncPool(1) as pool:
        release = asyncio.Event()
        holder = asyncio.ensure_future(pool.run(release.wait))
        await asyncio.sleep(0)
        future = pool.submit(note)
        _in_thread(pool.resize, 2)  # claims the permit, and posts it to this loop

        assert future.cancel()
        assert future.cancelled()
        await asyncio.sleep(0.01)

        assert (ran, pool.stats().in_flight) == ([], 1)
        release.set()
        await holder


async def test_a_submitted_coroutine_that_runs_can_be_cancelled_from_any_thread():
    """It is told at its next step, and its permit is back when it has ended."""
    async with AsyncPool(1) as pool:
        future = pool.submit(asyncio.sleep, 1000)
        await asyncio.sleep(0)
        _in_thread(future.cancel)

        assert future.cancelled()
        assert await asyncio.wait_for(pool.run(_one), 20) == 1


# ---------------------------------------------------------------- a loop that closes


def _loop_until(loop, happened):
    async def look():
        while not happened():
            await asyncio.sleep(0.001)

    loop.run_until_complete(asyncio.wait_for(look(), 20))


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_permit_that_came_to_a_loop_which_closes_goes_to_the_next():
    """The coroutine that got it never took its next step; somebody may even keep its task."""
    pool = AsyncPool(1)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    release = asyncio.Event()
    holder = second.create_task(pool.run(release.wait))
    _loop_until(second, lambda: pool.stats().in_flight)
    waiter = first.create_task(pool.run(_one))
    _loop_until(first, lambda: pool.stats().queued)
    release.set()
    second.run_until_complete(holder)  # the permit goes to ``first``, by letter

    first._holdfast_state.end()  # what closing does first: the letter is delivered, the task not run
    assert pool.stats().in_flight == 0
    first.close()

    assert second.run_until_complete(asyncio.wait_for(pool.run(_one), 20)) == 1
    second.close()
    assert not waiter.done()
    waiter._log_destroy_pending = False


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_permit_that_was_received_before_its_loop_closed_goes_to_the_next():
    """It had come to the coroutine, whose next step was due in the pass that never was."""
    pool = AsyncPool(1)
    assert pool._core.admission.try_enter()
    first = asyncio.new_event_loop()
    waiter = first.create_task(pool.run(_one))
    _loop_until(first, lambda: pool.stats().queued)
    first.call_soon(lambda: (pool._core.leave(ok=True), first.stop()))
    first.run_forever()

    kept = pool.stats().in_flight
    first.close()

    assert (kept, pool.stats().in_flight) == (1, 0)
    assert asyncio.run(pool.run(_one)) == 1
    waiter._log_destroy_pending = False


def test_a_submitted_coroutine_whose_loop_closes_is_cancelled():
    """Whoever waits for it in a thread is told, and the permit is back."""
    pool = AsyncPool(1)
    loop = asyncio.new_event_loop()
    futures = []

    async def begin():
        futures.extend(pool.submit(asyncio.sleep, 1000) for _ in range(3))
        await asyncio.sleep(0.001)

    loop.run_until_complete(begin())
    tasks = asyncio.all_tasks(loop)
    loop.close()

    with pytest.raises(concurrent.futures.CancelledError):
        futures[0].result(20)
    stats = pool.stats()
    assert stats.in_flight == 0
    assert asyncio.run(pool.run(_one)) == 1
    assert all(future.cancelled() for future in futures)
    for task in tasks:
        task._log_destroy_pending = False


def test_a_coroutine_that_is_thrown_away_with_its_loop_gives_its_permit_back():
    """In line or running; by whoever drops it last, also the collector while the pool's lock is held."""
    pool = AsyncPool(1)
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(pool.run(asyncio.sleep, 1000)) for _ in range(3)]
    _loop_until(loop, lambda: pool.stats().queued == 2)
    loop.close()
    for task in tasks:
        task._log_destroy_pending = False

    with pool._core.admission.lock:
        del tasks, task
        gc.collect()  # would wait for ever for the lock that this thread holds

    assert asyncio.run(pool.run(_one)) == 1
    assert pool.stats().in_flight == 0


async def test_a_submitted_coroutine_that_nobody_holds_is_kept_until_it_has_ended():
    """Its task, its future and what it waits for know only each other; asyncio would let them be collected."""
    waits = []

    async def waits_for_its_own():
        event = asyncio.Event()
        waits.append(weakref.ref(event))
        await event.wait()

    async with AsyncPool(1) as pool:
        pool.submit(waits_for_its_own)
        while not waits:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()

        waits[0]().set()
        assert await asyncio.wait_for(pool.run(_one), 20) == 1


def test_a_pool_that_is_forgotten_waits_for_no_lock_of_its_streams():
    """The collector may come in a thread that holds one, while an input makes its stream wait."""
    inside, release = threading.Event(), threading.Event()

    def slow():
        yield 1
        inside.set()
        assert release.wait(20)

    pool = ThreadPool(1)
    outcomes = iter(pool.stream(_same, slow()))
    engine = outcomes._engine
    assert next(outcomes) == 1
    assert inside.wait(20)
    del outcomes  # the stream is left, and a thread is still in its input

    forgotten, over = [pool], threading.Event()
    del pool

    def forget():
        with engine.lock:
            forgotten.clear()
            gc.collect()
        over.set()

    thread = threading.Thread(target=forget, daemon=True)
    thread.start()
    went_on = over.wait(20)
    release.set()
    thread.join(20)
    engine.core.crew.join(None)

    assert went_on


# ---------------------------------------------------------------- who stands in line behind a stream


def _stuck_stream(pool, release):
    """A stream whose only item has begun, and will not end before ``release``."""
    begun = threading.Event()

    def stuck(_):
        begun.set()
        assert release.wait(20)

    stream = pool.stream(stuck, [0], outcomes=True)
    ends = threading.Thread(target=lambda: list(stream), daemon=True)
    ends.start()
    assert begun.wait(10)
    return stream, ends


def test_a_stream_goes_on_with_every_thread_that_it_may_have_in_place_of_stuck_ones():
    """The next item stands in line when the one before is given up: then there is a thread for it."""
    release, begun = threading.Event(), threading.Semaphore(0)

    def stuck(_):
        begun.release()
        assert release.wait(20)

    with ThreadPool(1, max_abandoned=2, timeout=0.05) as pool:
        stream = pool.stream(stuck, range(10), outcomes=True)
        ends = threading.Thread(target=lambda: list(stream), daemon=True)
        ends.start()
        began = [begun.acquire(timeout=10) for _ in range(3)]
        release.set()
        ends.join(10)

    assert began == [True] * 3


@pytest.mark.parametrize("_", range(15))
def test_what_a_thread_runs_after_an_item_that_was_given_up_is_not_given_up_with_it(_):
    """Three stuck calls end while the stream goes on, and their threads take the next items at once."""
    release, begun = threading.Event(), threading.Semaphore(0)
    outcomes = []

    def stuck_at_first(item):
        begun.release()
        assert release.wait(20)
        return item

    with ThreadPool(1, max_abandoned=2, timeout=0.02) as pool:
        stream = pool.stream(stuck_at_first, range(10), outcomes=True)
        reader = threading.Thread(target=lambda: outcomes.extend(stream), daemon=True)
        reader.start()
        assert all(begun.acquire(timeout=10) for _ in range(3))
        release.set()
        reader.join(20)

    assert [outcome.index for outcome in outcomes] == list(range(10))


def test_a_call_in_line_starts_when_a_stream_is_closed_over_a_running_item():
    """Nobody waits for the item any more, and somebody waits for its thread."""
    release = threading.Event()
    with ThreadPool(1, max_abandoned=1) as pool:
        stream, ends = _stuck_stream(pool, release)
        call = pool.submit(int)
        stream.close()
        try:
            assert call.result(10) == 0
        finally:
            release.set()
        ends.join(10)


def test_a_call_in_line_starts_when_a_stream_is_forgotten_over_a_running_item():
    """Its end comes from the collector, which may not start a thread itself."""
    release, begun = threading.Event(), threading.Event()

    def stuck(item):
        if item:
            begun.set()
            assert release.wait(20)
        return item

    with ThreadPool(1, max_abandoned=1) as pool:
        stream = iter(pool.stream(stuck, [0, 1], outcomes=True))
        assert next(stream).value == 0
        assert begun.wait(10)
        call = pool.submit(int)
        del stream
        gc.collect()
        try:
            assert call.result(10) == 0
        finally:
            release.set()
