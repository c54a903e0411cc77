"""Closing a pool from inside of one of its own calls, after a fork, and what is stuck in it."""

import asyncio
import os
import threading

import pytest

from holdfast.errors import CallTimeout, PoolClosed, QueueFull
from holdfast.pools import AsyncPool, ThreadPool


class Gate:
    """Holds calls until it is opened, and knows how many are inside."""

    def __init__(self):
        self._open = threading.Event()
        self._inside = threading.Semaphore(0)

    def __call__(self):
        self._inside.release()
        assert self._open.wait(20)

    def wait_inside(self, count=1):
        for _ in range(count):
            assert self._inside.acquire(timeout=20)

    def open(self):
        self._open.set()


# ---------------------------------------------------------------- from inside


@pytest.mark.parametrize(
    "end",
    [ThreadPool.shutdown, ThreadPool.close, ThreadPool.drain],
    ids=["shutdown", "close", "drain"],
)
def test_a_call_can_close_its_own_pool(end):
    """It does not wait for itself, and its result arrives."""
    pool = ThreadPool(2)

    def call():
        end(pool)
        return "closed"

    assert pool.submit(call).result(20) == "closed"
    with pytest.raises(PoolClosed):
        pool.submit(int)
    pool.shutdown()


def test_a_call_that_closes_its_pool_waits_for_the_others():
    """All but itself."""
    pool, gate, order = ThreadPool(2), Gate(), []

    def other():
        gate()
        order.append("other")

    def closer():
        gate.wait_inside()
        threading.Timer(0.01, gate.open).start()
        pool.shutdown()
        order.append("closed")

    futures = [pool.submit(other), pool.submit(closer)]
    for future in futures:
        future.result(20)
    pool.shutdown()

    assert order == ["other", "closed"]


def test_two_calls_that_close_their_pool_do_not_wait_for_each_other():
    """Nobody would ever come out; what is still in flight is the other one."""
    pool, meet = ThreadPool(2), threading.Barrier(2)

    def closer():
        meet.wait(20)
        return pool.drain()

    futures = [pool.submit(closer) for _ in range(2)]

    assert all(isinstance(future.result(20), bool) for future in futures)
    pool.shutdown()
    assert pool.stats().completed == 2


@pytest.mark.parametrize("end", [AsyncPool.aclose, AsyncPool.adrain], ids=["aclose", "adrain"])
async def test_a_coroutine_can_close_its_own_pool(end):
    """It waits for the others, and not for itself."""
    pool, order = AsyncPool(2), []

    async def other():
        await asyncio.sleep(0.01)
        order.append("other")

    async def closer():
        await end(pool)
        order.append("closed")

    await asyncio.gather(pool.run(other), pool.run(closer))

    assert order == ["other", "closed"]
    assert pool.stats().in_flight == 0


@pytest.mark.parametrize("end", [AsyncPool.aclose, AsyncPool.adrain], ids=["aclose", "adrain"])
async def test_a_coroutine_below_a_call_can_close_the_pool(end):
    """However far below, and after it has been suspended."""
    pool, order = AsyncPool(2), []

    async def last():
        await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await end(pool)
        yield "closed"

    async def closer():
        async for word in last():
            order.append(word)

    async def session():
        await asyncio.sleep(0)
        await pool.run(closer)

    await session()

    assert order == ["closed"]
    assert pool.stats().in_flight == 0


# ---------------------------------------------------------------- stuck


def test_an_abandoned_call_is_listed_with_its_stack_and_its_age(fake_clock):
    """What it runs, where it stands, and for how long nobody has waited."""
    pool, gate = ThreadPool(2, name="db"), Gate()
    late = pool.options(timeout=5).submit(gate)
    gate.wait_inside()
    while not late.done():
        fake_clock.advance(1)
        threading.Event().wait(0.001)
    with pytest.raises(CallTimeout):
        late.result()
    fake_clock.advance(30)
    (call,) = pool.abandoned()
    gate.open()
    pool.shutdown()

    assert call.function.endswith(".Gate")
    assert call.thread == "holdfast:db/0"
    assert call.abandoned_s >= 30
    assert any("Gate.__call__" in line and __file__ in line for line in call.stack)
    assert "in Event.wait" in str(call)


def test_a_pool_of_stuck_calls_says_where_they_are_stuck():
    """The refusal names the line for which each of them waits."""
    pool, gate = ThreadPool(1, max_abandoned=0), Gate()
    late = pool.options(timeout=0.01).submit(gate)
    gate.wait_inside()
    with pytest.raises(CallTimeout):
        late.result(20)
    with pytest.raises(
        QueueFull, match=r"abandoned calls that do not end.*Gate on thread .* in Event\.wait"
    ):
        pool.submit(int)
    gate.open()
    pool.shutdown()


def test_what_survives_a_close_is_logged_with_its_stack(caplog):
    """So that somebody can find out why."""
    pool, gate = ThreadPool(1), Gate()
    pool.submit(gate)
    gate.wait_inside()

    assert not pool.close(timeout=0.01)

    gate.open()
    pool.shutdown()
    assert "1 of its calls still run" in caplog.text
    assert "Gate.__call__" in caplog.text


# ---------------------------------------------------------------- fork


def _in_child(work):
    """Run ``work`` in a forked child; return what it wrote."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover - in the child
        status = 1
        try:
            os.close(reading)
            os.write(writing, repr(work()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    _, status = os.waitpid(child, 0)
    assert status == 0
    return said


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
quiet = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@needs_fork
@quiet
def test_a_pool_starts_clean_in_a_child():
    """Calls, threads and figures stay with the parent; the child's pool works."""
    pool, gate = ThreadPool(2, max_queue=10), Gate()
    held = [pool.submit(gate) for _ in range(2)]
    waiting = [pool.submit(int) for _ in range(5)]
    gate.wait_inside(2)

    def in_child():
        before = pool.stats()
        results = [pool.submit(str, n).result(20) for n in range(3)]
        total = sum(pool.stream(int, range(100)))
        return before.in_flight, before.queued, before.threads, results, total

    said = _in_child(in_child)
    gate.open()
    results = [future.result(20) for future in [*held, *waiting]]
    pool.shutdown()

    assert said == repr((0, 0, 0, ["0", "1", "2"], 4950))
    assert results[2:] == [0] * 5


@needs_fork
@quiet
def test_a_call_that_forks_goes_on_in_both():
    """In the child its thread is the only one, and the pool has room for others."""
    pool = ThreadPool(2)

    def call():
        return _in_child(lambda: (pool.submit(int).result(20), pool.stats().in_flight))

    said = pool.submit(call).result(20)
    pool.shutdown()

    assert said == "(0, 1)"


@needs_fork
@quiet
def test_a_pool_of_coroutines_starts_clean_in_a_child():
    """Its permits are all there."""

    async def answer():
        return 42

    pool = AsyncPool(1)
    pool._core.admission.try_enter()  # somebody in the parent is in flight
    said = _in_child(lambda: (pool.submit(answer).result(20), pool.stats().in_flight))
    pool._core.admission.leave(ok=True)
    pool.close()

    assert said == "(42, 0)"
