"""What a queue that is bounded in bytes promises."""

import asyncio
import threading

import pytest

from holdfast.errors import QueueFull
from holdfast.pools import AsyncPool, ThreadPool
from holdfast.pools.order import Fair, Priority

ORDERS = [None, Fair(), Priority()]
both_pools = pytest.mark.parametrize("make", [AsyncPool, ThreadPool])
every_order = pytest.mark.parametrize("order", ORDERS)


async def settle():
    """Let everything that is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


def small(limit=1, **options):
    """A pool of coroutines with ten bytes of queue."""
    return AsyncPool(limit, max_queue_bytes=10, sizeof=len, **options)


class Served:
    """Serves texts, when the first call has let go of the only permit."""

    def __init__(self, pool):
        self.pool = pool
        self.texts = []
        self._free = asyncio.Event()

    async def hold(self):
        self._holder = asyncio.ensure_future(self.pool.run(self._wait, ""))
        await settle()

    async def _wait(self, text):
        await self._free.wait()

    def call(self, text):
        return asyncio.ensure_future(self.pool.run(self._serve, text))

    async def _serve(self, text):
        self.texts.append(text)

    async def release(self, *calls):
        self._free.set()
        await asyncio.gather(self._holder, *calls, return_exceptions=True)
        await self.pool.aclose()


# ---------------------------------------------------------------- the bound


@every_order
async def test_no_more_bytes_are_queued_than_the_bound(order):
    """Whoever brings more than is left is refused, whoever brings less is not."""
    served = Served(small(overflow="reject", order=order))
    await served.hold()

    first, large, fits = served.call("x" * 7), served.call("y" * 4), served.call("z" * 3)
    await settle()

    with pytest.raises(QueueFull, match="it has 4 bytes, and 7 of 10 bytes are queued") as caught:
        large.result()
    assert caught.value.stats.queued_bytes == 7
    assert served.pool.stats().queued_bytes == 10
    await served.release(first, fits)
    assert served.texts == ["x" * 7, "z" * 3]
    assert served.pool.stats().queued_bytes == 0


@every_order
async def test_a_coroutine_waits_until_its_bytes_fit_and_nobody_overtakes_it(order):
    """A small call that would fit stands behind the large one that came before it."""
    served = Served(small(order=order))
    await served.hold()
    calls = [served.call("x" * 8), served.call("large" * 2), served.call("s")]
    await settle()
    assert (served.pool.stats().queued, served.pool.stats().blocked) == (1, 2)

    await served.release(*calls)

    assert served.texts == ["x" * 8, "large" * 2, "s"]


def test_blocking_code_is_blocked_until_its_bytes_fit():
    """``submit`` returns when there is room."""
    free, entered = threading.Event(), threading.Event()
    pool = ThreadPool(1, max_queue_bytes=10, sizeof=lambda work, *_: len(work))

    def hold(_):
        entered.set()
        assert free.wait(20)

    pool.submit(hold, b"")
    assert entered.wait(20)
    pool.submit(len, b"x" * 8)
    found = []
    submitter = threading.Thread(target=lambda: found.append(pool.submit(len, b"y" * 9)))
    submitter.start()
    while pool.stats().blocked < 1:
        threading.Event().wait(0.001)
    assert not found

    free.set()
    submitter.join(20)

    assert found[0].result(20) == 9
    pool.close()


@both_pools
async def test_a_call_larger_than_the_whole_queue_starts_at_once_or_is_refused(make):
    """With ``overflow="wait"`` it would wait for ever; a free permit takes a call of any size."""
    free = threading.Event()

    async def wait_async(_):
        while not free.is_set():
            await asyncio.sleep(0)
        return "done"

    def wait(_):
        assert free.wait(20)
        return "done"

    pool = make(1, max_queue_bytes=10, sizeof=len)
    work = wait_async if make is AsyncPool else wait
    large = asyncio.ensure_future(pool.run(work, "x" * 1000))
    await settle()

    with pytest.raises(QueueFull, match="11 bytes, more than the 10 that may be queued"):
        await pool.run(work, "y" * 11)
    with pytest.raises(QueueFull, match="raise max_queue_bytes"):
        pool.submit(work, "y" * 11)

    free.set()
    assert await large == "done"
    assert await pool.run(work, "y" * 11) == "done"
    await pool.aclose()


async def test_calls_that_find_a_permit_free_take_nothing_from_the_queue():
    """A pass of a loop brings four calls for four workers, and one that waits: it has all ten bytes."""
    free = threading.Event()
    pool = ThreadPool(4, overflow="reject", max_queue_bytes=10, sizeof=lambda text: len(text))

    calls = [asyncio.ensure_future(pool.run(lambda _: free.wait(20), "x" * 100)) for _ in range(4)]
    waits = asyncio.ensure_future(pool.run(len, "y" * 10))
    late = asyncio.ensure_future(pool.run(len, "z"))
    await settle()

    with pytest.raises(QueueFull):
        await late
    free.set()
    assert await waits == 10
    await asyncio.gather(*calls)
    await pool.aclose()


async def test_the_oldest_call_makes_room_for_the_bytes_of_a_newer_one():
    """``drop_oldest`` counts in bytes too."""
    served = Served(small(overflow="drop_oldest"))
    await served.hold()
    old, kept = served.call("o" * 6), served.call("k" * 4)
    await settle()

    new = served.call("n" * 6)
    await settle()

    with pytest.raises(QueueFull, match="made room for a newer call"):
        await old
    assert served.pool.stats().queued_bytes == 10
    await served.release(kept, new)
    assert served.texts == ["k" * 4, "n" * 6]


@every_order
async def test_as_many_old_calls_go_as_the_bytes_of_a_newer_one_need(order):
    """One large call for three small ones; the rest stays."""
    served = Served(small(overflow="drop_oldest", order=order))
    await served.hold()
    calls = [served.call(text) for text in ("aaa", "bbb", "ccc", "d")]
    await settle()

    new = served.call("n" * 8)
    await settle()

    assert [task.done() for task in (*calls, new)] == [True, True, True, False, False]
    assert served.pool.stats().rejected == {"full": 3}
    await served.release(*calls, new)
    assert served.texts == ["d", "n" * 8]


@pytest.mark.parametrize("bytes_too", [False, True])
async def test_calls_that_start_at_once_are_not_dropped(bytes_too):
    """A pass of a loop brings more than fit: who finds a worker free does not wait, so it stays."""
    free = threading.Event()
    bound = {"max_queue_bytes": 10, "sizeof": lambda _: 6} if bytes_too else {}
    pool = ThreadPool(2, max_queue=1, overflow="drop_oldest", **bound)

    calls = [asyncio.ensure_future(pool.run(lambda i: free.wait(20) and i, i)) for i in range(5)]
    await settle()
    free.set()
    ends = await asyncio.gather(*calls, return_exceptions=True)

    told = [end if isinstance(end, int) else type(end) for end in ends]
    assert told == [0, 1, QueueFull, QueueFull, 4]
    await pool.aclose()


@every_order
async def test_when_the_large_one_before_them_leaves_the_small_ones_get_their_places(order):
    """Nobody overtakes who is blocked; when it has gone, nobody waits for it either."""
    served = Served(small(order=order))
    await served.hold()
    first, large, late = served.call("x" * 8), served.call("y" * 9), served.call("zz")
    await settle()
    assert served.pool.stats().blocked == 2

    large.cancel()
    await settle()

    assert (served.pool.stats().blocked, served.pool.stats().queued_bytes) == (0, 10)
    await served.release(first, late)
    assert served.texts == ["x" * 8, "zz"]


@every_order
async def test_who_leaves_takes_its_bytes_along(order):
    """A cancelled caller makes room for one that was blocked."""
    served = Served(small(order=order))
    await served.hold()
    leaver, stays = served.call("x" * 9), served.call("y" * 9)
    await settle()
    assert served.pool.stats().blocked == 1

    leaver.cancel()
    await settle()

    assert (served.pool.stats().blocked, served.pool.stats().queued_bytes) == (0, 9)
    await served.release(stays)
    assert served.texts == ["y" * 9]


async def test_both_bounds_hold():
    """``max_queue`` bounds the number of calls, however small they are."""
    served = Served(small(overflow="reject", max_queue=2))
    await served.hold()

    calls = [served.call("x") for _ in range(3)]
    await settle()

    with pytest.raises(QueueFull, match="2 of 2 queued"):
        calls[2].result()
    await served.release(*calls)


# ---------------------------------------------------------------- sizeof


@both_pools
@pytest.mark.parametrize(
    ("sizeof", "error", "message"),
    [
        (lambda _: -1, ValueError, "at least 0, not -1"),
        (lambda _: None, TypeError, "whole number of at least 0, not None"),
        (lambda _: 1.5, TypeError, "not 1.5"),
        (lambda _: {}["size"], KeyError, "size"),
    ],
)
async def test_a_sizeof_that_fails_fails_the_call_and_nothing_else(make, sizeof, error, message):
    """Its caller is told, busy pool or not; the call never ran and is counted nowhere."""
    ran = []
    pool = make(1, max_queue_bytes=10, sizeof=sizeof)

    with pytest.raises(error, match=message):
        await pool.run(ran.append, 1)
    with pytest.raises(error, match=message):
        pool.submit(ran.append, 2)

    stats = pool.stats()
    assert (ran, stats.submitted, stats.in_flight, stats.queued, stats.rejected) == (
        [],
        0,
        0,
        0,
        {},
    )
    await pool.aclose()


async def test_sizeof_sees_the_arguments_of_the_call():
    """By place and by name, and whatever counts as a whole number will do."""
    seen = []

    class Size:
        def __index__(self):
            return 3

    def sizeof(*args, **kwargs):
        seen.append((args, kwargs))
        return Size()

    async def work(*args, **kwargs):
        return args, kwargs

    async with AsyncPool(1, max_queue_bytes=10, sizeof=sizeof) as pool:
        assert await pool.run(work, 1, text="a") == ((1,), {"text": "a"})
        assert await pool.options(timeout=5).run(work, 2) == ((2,), {})

    assert seen == [((1,), {"text": "a"}), ((2,), {})]


async def test_streams_are_bounded_by_their_window_not_by_bytes():
    """Their items do not stand in the queue, so nobody asks for their size."""
    async with AsyncPool(2, max_queue_bytes=1, sizeof=lambda _: 1 / 0) as pool:
        assert await pool.gather(asyncio.sleep, [0, 0, 0]) == [None] * 3


@both_pools
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_queue_bytes": 10}, ValueError, "go together"),
        ({"sizeof": len}, ValueError, "go together"),
        (
            {"max_queue_bytes": 0, "sizeof": len},
            ValueError,
            "max_queue_bytes must be a whole number",
        ),
        (
            {"max_queue_bytes": 1.5, "sizeof": len},
            TypeError,
            "max_queue_bytes must be a whole number",
        ),
        ({"max_queue_bytes": 10, "sizeof": 3}, TypeError, "sizeof must be callable"),
    ],
)
def test_bad_options_are_told_clearly(make, options, error, message):
    """Before there is a pool."""
    with pytest.raises(error, match=message):
        make(1, **options)


async def test_who_is_put_before_one_that_is_too_large_has_a_place_where_it_fits():
    """The large call of low priority is blocked; a small one of high priority is not, behind it."""
    pool = small(order=Priority())
    served = Served(pool)
    await served.hold()

    def call(text, priority):
        view = pool.options(priority=priority)
        return asyncio.ensure_future(view.run(served._serve, text))

    calls = [call("xx", 0), call("ninebytes", 2)]
    await settle()
    before = (pool.stats().queued, pool.stats().blocked)
    calls.append(call("y", 1))
    await settle()

    assert (before, pool.stats().queued, pool.stats().blocked) == ((1, 1), 2, 1)
    await served.release(*calls)
    assert sorted(served.texts) == ["ninebytes", "xx", "y"]
