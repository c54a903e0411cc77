"""Streams under way when their pool ends: what they have pulled comes out, and they come to an end."""

import asyncio
import contextlib
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast import AsyncPool, ProcessPool, ThreadPool
from holdfast.errors import PoolClosed
from holdfast.limits import Retry

pytestmark = pytest.mark.system

KINDS = {"threads": ThreadPool, "coroutines": AsyncPool, "processes": ProcessPool}
LONG = 30.0
"""Seconds that nobody waits for."""


@pytest.fixture(params=KINDS, ids=list(KINDS))
def pool(request):
    pool = KINDS[request.param](2, name="closing")
    yield pool
    pool.close(LONG)


@pytest.fixture
def somewhere():
    """Threads that did not make the pool."""
    with ThreadPoolExecutor(4) as threads:
        yield threads


class Source:
    """Numbers without an end; what was taken of them is kept."""

    def __init__(self):
        self.pulled = []
        self.flows = threading.Event()

    def __iter__(self):
        n = 0
        while True:
            self.pulled.append(n)
            if n > 20:
                self.flows.set()
            yield n
            n += 1


class AsyncSource(Source):
    async def __aiter__(self):
        for n in super().__iter__():
            yield n
            await asyncio.sleep(0)


def step_of(pool):
    async def step(n):
        await asyncio.sleep(0)
        return n

    return step if isinstance(pool, AsyncPool) else abs


def consume(stream, came):
    """All that comes; returns what ended it."""
    try:
        for one in stream:
            came.append(one)
    except PoolClosed as error:
        return error
    return None


@pytest.mark.parametrize("source", [Source, AsyncSource])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("verb", ["drain", "close"])
def test_what_was_pulled_comes_out_before_the_end(pool, somewhere, source, ordered, verb):
    """Of an input without an end; nothing more is pulled then, and nothing of it is lost."""
    items, came = source(), []
    consumer = somewhere.submit(consume, pool.stream(step_of(pool), items, ordered=ordered), came)
    assert items.flows.wait(20)

    ended = getattr(pool, verb)(LONG)

    assert ended is True
    assert isinstance(consumer.result(20), PoolClosed)
    if verb == "drain" or source is Source:
        assert sorted(came) == items.pulled[: len(came)]
    if verb == "drain":
        assert len(came) == len(items.pulled)


async def test_a_stream_in_a_coroutine_is_cut_off_as_well(pool):
    """Where the consumer is on the very loop that drains."""
    items, came = Source(), []

    async def consume_here():
        async for one in pool.stream(step_of(pool), items):
            came.append(one)

    consumer = asyncio.create_task(consume_here())
    while len(came) < 20:
        await asyncio.sleep(0)

    assert await pool.adrain(LONG) is True

    with pytest.raises(PoolClosed, match="nothing more is pulled"):
        await consumer
    assert came == items.pulled


def test_what_was_pulled_has_its_turns_behind_others(pool, somewhere):
    """The stream has to stand in line anew while its pool drains."""
    items, came = Source(), []
    consumer = somewhere.submit(consume, pool.stream(step_of(pool), items, buffer=40), came)
    others = [somewhere.submit(_keep_busy, pool) for _ in range(3)]
    assert items.flows.wait(20)

    assert pool.drain(LONG) is True

    assert isinstance(consumer.result(20), PoolClosed)
    assert came == items.pulled
    for other in others:
        other.result(20)


def _keep_busy(pool):
    with contextlib.suppress(PoolClosed):
        while True:
            pool.submit(step_of(pool), 1).result(20)


async def test_an_input_that_makes_the_stream_wait_is_left(pool):
    """It is told so, as any coroutine that is cancelled, and closed."""
    came, told, step = [], [], step_of(pool)

    async def source():
        try:
            yield 1
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    async def consume_here():
        async for one in pool.stream(step, source()):
            came.append(one)

    consumer = asyncio.create_task(consume_here())
    while not came:
        await asyncio.sleep(0)

    assert await pool.adrain(LONG) is True

    with pytest.raises(PoolClosed):
        await consumer
    assert (came, told) == ([1], ["cancelled"])


async def test_a_stream_that_nobody_reads_any_more_holds_up_no_end(pool):
    """It has pulled what it may, and waits for its consumer, who has left it lying."""
    stream = pool.stream(step_of(pool), Source())
    async for _ in stream:
        break

    assert await pool.aclose(LONG) is True
    await stream.aclose()


async def test_a_drain_without_a_bound_lets_a_stream_go_on(pool):
    """As the end of an ``async with`` does."""
    came, step = [], step_of(pool)

    async def consume_here():
        async for one in pool.stream(step, range(500), buffer=1_000):
            came.append(one)

    consumer = asyncio.create_task(consume_here())
    while not came:
        await asyncio.sleep(0)

    assert await pool.adrain() is True

    await consumer
    assert came == list(range(500))


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_the_end_of_a_with_block_lets_a_stream_go_on(somewhere, kind):
    """Other calls wait for the only permit, so it needs several turns; and has them."""
    came, begun = [], threading.Event()

    def consume_here(pool):
        for one in pool.stream(sum, [range(20_000)] * 200, buffer=1_000):
            came.append(one)
            begun.set()

    with KINDS[kind](1, name="closing") as pool:
        consumer = somewhere.submit(consume_here, pool)
        assert begun.wait(20)
        others = [pool.submit(abs, -n) for n in range(20)]

    assert consumer.result(20) is None
    assert came == [sum(range(20_000))] * 200
    assert [other.result(0) for other in others] == list(range(20))


@pytest.mark.parametrize("kind", ["threads", "processes"])
@pytest.mark.parametrize("how", [{"wait": False}, {"cancel_futures": True}], ids=str)
def test_a_shutdown_that_does_not_wait_for_all_lets_no_stream_go_on(somewhere, kind, how):
    """Of an input without an end, it would keep the pool for ever."""
    came, source = [], Source()
    pool = KINDS[kind](1, name="closing")
    consumer = somewhere.submit(consume, pool.stream(abs, source), came)
    assert source.flows.wait(20)

    pool.shutdown(**how)

    assert isinstance(consumer.result(20), PoolClosed)
    assert came == list(range(len(came)))


def test_a_stream_that_gave_its_permit_away_does_not_hang_when_its_pool_closes():
    """What it had taken ahead is not run, and the consumer is told."""
    pool, came = ThreadPool(1, name="closing"), []
    gate, inside = threading.Event(), threading.Event()
    stream = pool.stream(lambda n: threading.Event().wait(0.0005) or n, range(10_000), buffer=50)

    def block():
        inside.set()
        assert gate.wait(20)

    consumer = threading.Thread(target=lambda: came.append(consume(stream, came)))
    consumer.start()
    while not came:
        pass
    blocking = pool.submit(block)  # the stream makes room for it, with items taken ahead
    assert inside.wait(20)

    closing = threading.Thread(target=pool.close, args=(LONG,))
    closing.start()
    consumer.join(20)
    hangs = consumer.is_alive()
    gate.set()
    closing.join(20)
    consumer.join(20)

    assert not hangs
    assert isinstance(came[-1], PoolClosed)
    assert blocking.result(20) is None


@pytest.mark.parametrize("more", [{}, {"timeout": LONG}, {"retry": Retry(attempts=2)}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_keeps_the_pool_that_nobody_else_holds(kind, more):
    """A pool that is forgotten closes, which is no reason for a stream to end halfway."""
    step = step_of(AsyncPool(1)) if kind == "coroutines" else abs
    made = KINDS[kind](2, name="forgotten")
    forgotten = weakref.ref(made)
    outcomes = iter((made.options(**more) if more else made).stream(step, range(50), buffer=2))
    del made

    assert list(outcomes) == list(range(50))
    del outcomes
    gc.collect()

    assert forgotten() is None
