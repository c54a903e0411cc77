"""The end of a pool: from any thread, from a coroutine, and with the interpreter.

Whatever way a pool is ended in, admission stops, what waits runs or is refused as asked, every future
settles, and nothing hangs. Ctrl-C has a file of its own.
"""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from holdfast.errors import PoolClosed
from holdfast.pools import AsyncPool, ThreadPool

pytestmark = pytest.mark.system


class Gate:
    """Calls of either kind that say when they run, and end when the gate opens."""

    def __init__(self):
        self._inside = threading.Semaphore(0)
        self._open = threading.Event()

    def blocking(self, value):
        self._inside.release()
        assert self._open.wait(20)
        return value

    async def coroutine(self, value):
        self._inside.release()
        while not self._open.is_set():
            await asyncio.sleep(0.001)
        return value

    def wait_inside(self):
        assert self._inside.acquire(timeout=20)

    def open(self):
        self._open.set()


@pytest.fixture(params=[ThreadPool, AsyncPool], ids=["threads", "coroutines"])
def pool(request):
    """A pool of one permit."""
    return request.param(1, name="closing")


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def somewhere():
    """Threads that did not make the pool."""
    with ThreadPoolExecutor(8) as threads:
        yield threads


def fill(pool, gate):
    """One call that runs, and two that wait."""
    work = gate.blocking if isinstance(pool, ThreadPool) else gate.coroutine
    futures = [pool.submit(work, i) for i in range(3)]
    gate.wait_inside()
    return futures


def figures(pool):
    stats = pool.stats()
    return stats.in_flight, stats.queued, stats.blocked, stats.completed, stats.withdrawn


# ---------------------------------------------------------------- from any thread


def test_close_in_another_thread_refuses_what_waits_and_waits_for_what_runs(pool, gate, somewhere):
    """The refused know it while the other one still runs."""
    running, *queued = fill(pool, gate)

    closing = somewhere.submit(pool.close, 20)
    refusals = [future.exception(20) for future in queued]
    ran_meanwhile = not running.done() and not closing.done()
    gate.open()

    assert closing.result(20) is True
    assert ran_meanwhile
    assert [type(error) for error in refusals] == [PoolClosed, PoolClosed]
    assert running.result(20) == 0
    assert figures(pool) == (0, 0, 0, 1, 2)


def test_drain_in_another_thread_runs_what_waits_and_admits_nothing(pool, gate, somewhere):
    """Everything that was accepted has its result."""
    futures = fill(pool, gate)

    draining = somewhere.submit(pool.drain, 20)
    while not pool._core.admission.closed:
        pass
    with pytest.raises(PoolClosed):
        pool.submit(gate.blocking, 3)
    gate.open()

    assert draining.result(20) is True
    assert [future.result(20) for future in futures] == [0, 1, 2]
    assert figures(pool) == (0, 0, 0, 3, 0)


def test_close_returns_within_its_time_and_says_that_something_is_left(pool, gate, somewhere):
    """The call goes on and ends; so does the pool, with a second close."""
    running, *queued = fill(pool, gate)

    first = somewhere.submit(pool.close, 0.01).result(20)
    gate.open()
    value = running.result(20)
    second = somewhere.submit(pool.close, 20).result(20)

    assert (first, second) == (False, True)
    assert value == 0
    assert all(isinstance(future.exception(20), PoolClosed) for future in queued)
    assert figures(pool) == (0, 0, 0, 1, 2)


def test_any_number_of_threads_may_close_at_once(pool, gate, somewhere):
    """Each of them returns, and each future is settled once."""
    running, *queued = fill(pool, gate)
    told = []
    for future in [running, *queued]:
        future.add_done_callback(told.append)
    start = threading.Barrier(8)

    def end(verb):
        start.wait(20)
        return verb()

    verbs = [pool.close, pool.drain, pool.close, pool.drain] * 2
    ends = [somewhere.submit(end, verb) for verb in verbs]
    for future in queued:  # refused by the first close, or run after the gate is open
        gate.open()
        future.exception(20)

    assert [end.result(20) for end in ends] == [True] * 8
    assert running.result(20) == 0
    assert len(told) == 3
    in_flight, waiting, blocked, completed, withdrawn = figures(pool)
    assert (in_flight, waiting, blocked) == (0, 0, 0)
    assert completed + withdrawn == 3


@pytest.mark.parametrize("cancel_futures", [False, True])
@pytest.mark.parametrize("waiting", [False, True])
def test_shutdown_is_the_executors(gate, somewhere, waiting, cancel_futures):
    """What waits still runs, unless it is to be cancelled; with ``wait`` it returns after the last."""
    pool = ThreadPool(1)
    running, *queued = fill(pool, gate)

    ending = somewhere.submit(pool.shutdown, waiting, cancel_futures=cancel_futures)
    if not waiting:
        ending.result(20)
    gate.open()
    ending.result(20)

    wait([running, *queued], 20)
    assert running.result() == 0
    assert [future.cancelled() for future in queued] == [cancel_futures] * 2
    pool.shutdown()
    assert figures(pool) == (0, 0, 0, 1, 2) if cancel_futures else (0, 0, 0, 3, 0)


def test_a_block_that_raises_refuses_what_waits_and_lets_what_runs_end(pool, gate):
    """The error of the block is what the caller sees."""
    with pytest.raises(KeyError), pool:
        running, *queued = fill(pool, gate)
        threading.Timer(0.01, gate.open).start()
        raise KeyError

    assert running.result(20) == 0
    assert all(isinstance(future.exception(20), PoolClosed) for future in queued)
    assert figures(pool) == (0, 0, 0, 1, 2)


def test_a_caller_that_is_blocked_before_a_full_queue_is_refused(gate, somewhere):
    """In blocking code and in a coroutine alike."""
    pool = ThreadPool(1, max_queue=0)
    running = pool.submit(gate.blocking, 0)
    gate.wait_inside()

    blocked = somewhere.submit(pool.submit, pow, 2, 2)
    in_a_loop = somewhere.submit(lambda: asyncio.run(pool.run(pow, 2, 2)))
    while pool.stats().blocked < 2:
        pass
    closing = somewhere.submit(pool.close, 20)

    assert isinstance(blocked.exception(20), PoolClosed)
    assert isinstance(in_a_loop.exception(20), PoolClosed)
    gate.open()
    assert closing.result(20) is True
    assert running.result(20) == 0


@pytest.mark.parametrize("ordered", [True, False])
def test_a_stream_whose_pool_is_closed_comes_to_an_end(pool, somewhere, ordered):
    """By what it has, or by the refusal; its consumer does not hang."""
    came = threading.Event()

    async def step(i):
        await asyncio.sleep(0)
        return i

    def consume():
        stream = pool.stream(
            abs if isinstance(pool, ThreadPool) else step, iter(int, 1), ordered=ordered
        )
        for _ in stream:
            came.set()

    consumer = somewhere.submit(consume)
    assert came.wait(20)
    pool.close(20)

    assert isinstance(consumer.exception(20), PoolClosed)
    assert figures(pool)[:3] == (0, 0, 0)


# ---------------------------------------------------------------- from a coroutine


@pytest.mark.parametrize("verb", ["aclose", "adrain"])
async def test_a_coroutine_that_closes_leaves_its_loop_free(pool, gate, verb):
    """What ends the running call is done on the very loop on which the pool is closed."""
    work = gate.blocking if isinstance(pool, ThreadPool) else gate.coroutine
    calls = [asyncio.create_task(pool.run(work, i)) for i in range(3)]
    while pool.stats().queued < 2 or not pool.stats().in_flight:
        await asyncio.sleep(0)

    closing = asyncio.create_task(getattr(pool, verb)())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.001, gate.open)

    assert await closing is True
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    refused = [isinstance(outcome, PoolClosed) for outcome in outcomes]
    assert refused == ([False, True, True] if verb == "aclose" else [False] * 3)
    assert figures(pool) == ((0, 0, 0, 1, 2) if verb == "aclose" else (0, 0, 0, 3, 0))


@pytest.mark.parametrize("verb", ["close", "drain"])
async def test_a_blocking_close_in_a_coroutine_does_not_wait_for_what_needs_its_loop(gate, verb):
    """It says that something is left, instead of freezing the loop that is to end it."""
    pool = AsyncPool(1)
    running = asyncio.create_task(pool.run(gate.coroutine, 0))
    await asyncio.sleep(0)

    first = getattr(pool, verb)()
    gate.open()

    assert first is False
    assert await running == 0
    assert await pool.aclose() is True


async def test_a_blocking_close_of_a_thread_pool_in_a_coroutine_keeps_its_time():
    """Also where the call that runs waits for the loop that is being held."""
    pool = ThreadPool(1)
    loop = asyncio.get_running_loop()

    def needs_the_loop():
        return asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "done"), loop).result(20)

    running = asyncio.create_task(pool.run(needs_the_loop))
    while not pool.stats().in_flight:
        await asyncio.sleep(0)

    first = pool.close(0.01)
    outcome = await running

    assert first is False or outcome == "done"
    assert outcome == "done"
    assert await pool.aclose() is True


async def test_an_executors_shutdown_in_a_coroutine_lets_what_waits_run():
    """As ``asyncio.run`` does with a default executor; the outcomes are there afterwards."""
    pool = ThreadPool(1)
    calls = [asyncio.create_task(pool.run(pow, 2, i)) for i in range(5)]
    await asyncio.sleep(0)

    pool.shutdown()

    assert await asyncio.gather(*calls) == [1, 2, 4, 8, 16]


async def test_a_closing_that_is_cancelled_leaves_a_closed_pool_that_can_be_closed_again(
    pool, gate
):
    """Nobody who waits for the end is needed for it."""
    work = gate.blocking if isinstance(pool, ThreadPool) else gate.coroutine
    running = asyncio.create_task(pool.run(work, 0))
    while not pool.stats().in_flight:
        await asyncio.sleep(0)

    closing = asyncio.create_task(pool.aclose(None))
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    gate.open()

    assert closing.cancelled()
    assert await running == 0
    with pytest.raises(PoolClosed):
        await pool.run(work, 1)
    assert await pool.aclose() is True
