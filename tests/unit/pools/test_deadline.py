"""What a deadline promises to the calls that inherit it, and to those that do not."""

import asyncio
import contextvars
import threading

import pytest

from holdfast.errors import (
    CallTimeout,
    PoolClosed,
    QueueTimeout,
    RateLimited,
    UnderPressure,
)
from holdfast.limits import Rate
from holdfast.pools import AsyncPool, ThreadPool
from holdfast.pools._timer import TIMER
from holdfast.pools.deadline import deadline, remaining

both_pools = pytest.mark.parametrize("make", [AsyncPool, ThreadPool])


async def settle():
    """Let everything that is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


def run_fake(clock, main):
    """Run a coroutine on a loop that lives by the fake clock, which never stands still."""

    async def tick():
        while True:
            await asyncio.sleep(0.5)

    async def ticking():
        ticks = asyncio.ensure_future(tick())
        try:
            return await main
        finally:
            ticks.cancel()

    with asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        return runner.run(ticking())


def advance_until(clock, done, step=0.05):
    """Let fake time pass in steps, each with a real moment for the threads, until ``done()``."""
    for _ in range(20_000):
        if done():
            return
        clock.advance(step)
        threading.Event().wait(0.0005)
    pytest.fail("it never happened")


class Gate:
    """Holds blocking calls until it is opened, and knows when one is inside."""

    def __init__(self):
        self._open = threading.Event()
        self.inside = threading.Semaphore(0)

    def __call__(self, value=None):
        self.inside.release()
        assert self._open.wait(20)
        return value

    def wait_inside(self):
        assert self.inside.acquire(timeout=20)

    def open(self):
        self._open.set()


# ---------------------------------------------------------------- the block itself


def test_of_nested_deadlines_the_earlier_counts(fake_clock):
    """Whichever of them is inside."""
    with deadline(5.0) as outer:
        with deadline(10.0) as longer:
            assert longer.remaining() == remaining() == 5.0
        with deadline(2.0):
            fake_clock.advance(1.0)
            assert remaining() == 1.0
        assert outer.remaining() == remaining() == 4.0
    assert remaining() is None


def test_what_remains_is_never_negative(fake_clock):
    """A deadline that has passed leaves 0.0, also one that had passed when it was set."""
    with deadline(1.0):
        fake_clock.advance(3.0)
        assert remaining() == 0.0
    with deadline(-3):
        assert remaining() == 0.0


def test_none_sets_no_deadline_of_its_own(fake_clock):
    """For code that takes a deadline as an argument."""
    with deadline(None) as none:
        assert none.remaining() is None
    with deadline(4.0), deadline(None):
        assert remaining() == 4.0


def test_a_shield_keeps_the_deadlines_outside_off(fake_clock):
    """What cleans up after a deadline has passed needs time of its own."""
    with deadline(-1), deadline(2.0, shield=True):
        assert remaining() == 2.0
        with deadline(None, shield=True):
            assert remaining() is None


def test_it_counts_from_the_moment_at_which_the_block_is_entered(fake_clock):
    """Not from the one at which the object was made."""
    made = deadline(5.0)
    fake_clock.advance(3.0)

    with made:
        assert remaining() == 5.0


def test_a_deadline_can_be_entered_once():
    """A second block would begin where the first one did."""
    once = deadline(5.0)
    with once:
        pass

    with pytest.raises(RuntimeError, match="entered once"), once:
        pass


def test_it_shows_what_is_left(fake_clock):
    """In a log, or in a debugger."""
    one = deadline(5)
    assert repr(one) == "<deadline of 5.0 s, not entered>"
    with one, deadline(None, shield=True) as none:
        assert repr(one) == "<deadline in 5.000 s>"
        assert repr(none) == "<no deadline>"


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_seconds_must_be_finite(wrong):
    """None is how to say that there is none."""
    with pytest.raises(ValueError, match="None for none"):
        deadline(wrong)


@pytest.mark.parametrize("wrong", ["5", True, 5j])
def test_seconds_must_be_a_number(wrong):
    """A deadline read from a file has to be converted first."""
    with pytest.raises(TypeError, match="finite number"):
        deadline(wrong)


def test_a_generator_that_is_closed_elsewhere_harms_nobody(fake_clock):
    """Its ``with`` block ends in a context in which the deadline was never set."""

    def generator():
        with deadline(5.0):
            yield remaining()

    running = generator()
    context = contextvars.copy_context()
    assert context.run(next, running) == 5.0

    with deadline(7.0):
        running.close()

        assert remaining() == 7.0


# ---------------------------------------------------------------- calls that run


def test_a_coroutine_that_runs_at_the_deadline_is_cancelled(fake_clock):
    """The error says that it was the deadline, and not the pool's own timeout."""

    async def main():
        async with AsyncPool(1, name="llm", timeout=60.0) as pool:
            with deadline(5.0):
                await asyncio.sleep(2.0)
                with pytest.raises(
                    CallTimeout, match="the deadline that it inherited came 3 s"
                ) as late:
                    await pool.run(asyncio.sleep, 100)
            assert late.value.stopped is True
            return pool.stats(), await pool.run(asyncio.sleep, 10, "without a deadline")

    stats, after = run_fake(fake_clock, main())

    assert (stats.in_flight, stats.timeouts, stats.failed) == (0, 1, 1)
    assert after == "without a deadline"


def test_the_pools_own_timeout_counts_if_it_is_nearer(fake_clock):
    """And the error says so."""

    async def main():
        async with AsyncPool(1) as pool:
            with deadline(50.0), pytest.raises(CallTimeout, match="its timeout of 3 s"):
                await pool.options(timeout=3.0).run(asyncio.sleep, 100)
            with deadline(50.0), pytest.raises(CallTimeout, match="its timeout of 3 s"):
                await pool.options(timeout=3.0).submit(asyncio.sleep, 100)

    run_fake(fake_clock, main())


def test_a_submitted_coroutine_is_cancelled_at_the_deadline(fake_clock):
    """Also one whose future is awaited outside of the block."""

    async def main():
        async with AsyncPool(1) as pool:
            with deadline(5.0):
                future = pool.submit(asyncio.sleep, 100)
            with pytest.raises(CallTimeout, match="the deadline that it inherited"):
                await future
            return pool.stats()

    stats = run_fake(fake_clock, main())

    assert (stats.in_flight, stats.timeouts) == (0, 1)


def test_a_blocking_call_that_runs_at_the_deadline_is_abandoned(fake_clock):
    """It can't be stopped; its caller is told so, and that the deadline came."""
    gate = Gate()
    pool = ThreadPool(1, timeout=60.0)
    with deadline(5.0):
        future = pool.submit(gate)
    gate.wait_inside()

    advance_until(fake_clock, future.done)

    with pytest.raises(
        CallTimeout, match=r"the deadline that it inherited came 5 s.*can't be stopped"
    ):
        future.result(20)
    assert (pool.stats().abandoned, pool.stats().timeouts) == (1, 1)
    gate.open()
    pool.close()


def test_a_blocking_call_in_a_coroutine_is_abandoned_at_the_deadline(fake_clock):
    """The same for ``run``; the pool's own timeout counts if it is nearer."""
    gate = Gate()

    async def main(pool):
        with deadline(5.0):
            with pytest.raises(CallTimeout, match="the deadline that it inherited came") as late:
                await pool.run(gate)
            assert late.value.stopped is False
        with deadline(50.0), pytest.raises(CallTimeout, match="its timeout of 2 s"):
            await pool.options(timeout=2.0).run(gate)

    pool = ThreadPool(1)
    run_fake(fake_clock, main(pool))

    assert pool.stats().abandoned == 2
    gate.open()
    pool.close()


def test_what_a_deadline_leaves_is_counted_from_the_start_of_the_run(fake_clock):
    """A call that has waited for most of its time has the rest of it to run, and no more."""
    first, second = Gate(), Gate()
    pool = ThreadPool(1, max_abandoned=0)
    began = fake_clock.now()
    pool.submit(first)
    first.wait_inside()
    with deadline(10.0):
        future = pool.submit(second)
    advance_until(fake_clock, lambda: fake_clock.now() >= began + 8.0)

    first.open()
    second.wait_inside()
    advance_until(fake_clock, future.done)

    assert began + 10.0 <= fake_clock.now() < began + 12.0
    with pytest.raises(CallTimeout, match="the deadline that it inherited came"):
        future.result(20)
    second.open()
    pool.close()


# ---------------------------------------------------------------- calls that wait


def test_a_coroutine_in_line_leaves_it_at_the_deadline(fake_clock):
    """The error says which bound it was."""

    async def main():
        pool = AsyncPool(1)
        holder = asyncio.ensure_future(pool.run(asyncio.sleep, 30))
        await settle()
        with deadline(5.0):
            with pytest.raises(
                QueueTimeout, match="deadline that it inherited came while it waited"
            ):
                await pool.run(asyncio.sleep, 0)
            with pytest.raises(QueueTimeout, match="has passed"):
                await pool.run(asyncio.sleep, 0)
        with deadline(5.0), pytest.raises(QueueTimeout, match="its whole queue_timeout"):
            await pool.options(queue_timeout=1.0).run(asyncio.sleep, 0)
        with deadline(5.0), pytest.raises(QueueTimeout, match="its whole queue_timeout"):
            await pool.options(queue_timeout=1.0).submit(asyncio.sleep, 0)
        with deadline(5.0), pytest.raises(QueueTimeout, match="came while it waited"):
            await pool.options(queue_timeout=60.0).submit(asyncio.sleep, 0)
        stats = pool.stats()
        await holder
        await pool.aclose()
        return stats

    stats = run_fake(fake_clock, main())

    assert (stats.queued, stats.withdrawn) == (0, 4)
    assert stats.rejected == {"queue_timeout": 5}


@pytest.mark.parametrize("submit", [False, True])
def test_a_coroutine_whose_permit_comes_too_late_never_runs(fake_clock, submit):
    """The permit is sooner than the watch over the deadline; it goes to the next in line."""
    ran = []

    async def work(item):
        ran.append(item)

    async def main():
        async with AsyncPool(1) as pool:
            holder = asyncio.ensure_future(pool.run(asyncio.sleep, 5.0))
            await settle()
            with deadline(5.0):
                late = pool.submit(work, 1) if submit else asyncio.ensure_future(pool.run(work, 1))
            await settle()
            after = asyncio.ensure_future(pool.run(work, 2))
            with pytest.raises(QueueTimeout, match="has passed"):
                await late
            await asyncio.gather(holder, after)
            return pool.stats()

    stats = run_fake(fake_clock, main())

    assert ran == [2]
    assert (stats.completed, stats.failed, stats.withdrawn) == (2, 0, 1)


def test_a_blocking_call_in_line_leaves_it_at_the_deadline(fake_clock):
    """It never starts, and its future says why."""
    gate, ran = Gate(), []
    pool = ThreadPool(1)
    pool.submit(gate)
    gate.wait_inside()
    with deadline(5.0):
        inherits = pool.options(queue_timeout=60.0).submit(ran.append, 1)
        own = pool.options(queue_timeout=2.0).submit(ran.append, 2)

    advance_until(fake_clock, lambda: inherits.done() and own.done())
    gate.open()
    pool.drain()

    with pytest.raises(QueueTimeout, match="deadline that it inherited came while it waited"):
        inherits.result(20)
    with pytest.raises(QueueTimeout, match="its whole queue_timeout"):
        own.result(20)
    assert ran == []
    assert pool.stats().withdrawn == 2


def test_a_blocked_submitter_goes_on_at_the_deadline(fake_clock):
    """The queue is full: ``submit`` raises, and the call never runs."""
    gate, ran, found = Gate(), [], []
    pool = ThreadPool(1, max_queue=0)
    pool.submit(gate)
    gate.wait_inside()

    def submit():
        with deadline(5.0):
            try:
                pool.submit(ran.append, 1)
            except QueueTimeout as error:
                found.append(error)

    submitter = threading.Thread(target=submit)
    submitter.start()
    advance_until(fake_clock, lambda: not submitter.is_alive())
    gate.open()
    pool.drain()

    assert "the deadline that it inherited came while it waited" in str(found[0])
    assert ran == []
    assert (pool.stats().blocked, pool.stats().withdrawn) == (0, 1)


def test_a_call_whose_worker_comes_too_late_never_runs(fake_clock, monkeypatch):
    """The permit is sooner than the watch over the deadline, which may be late by a thirtieth."""
    gate, ran = Gate(), []
    pool = ThreadPool(1)
    pool.submit(gate)
    gate.wait_inside()
    monkeypatch.setattr(TIMER, "watch", lambda entry, delay: 0.0)
    with deadline(5.0):
        late = pool.submit(ran.append, 1)
    after = pool.submit(ran.append, 2)

    fake_clock.advance(6.0)
    gate.open()

    with pytest.raises(QueueTimeout, match="has passed"):
        late.result(20)
    after.result(20)
    pool.close()
    assert ran == [2]
    stats = pool.stats()
    assert (stats.completed, stats.failed, stats.withdrawn) == (2, 0, 1)


# ---------------------------------------------------------------- calls that come too late


@both_pools
async def test_a_call_after_the_deadline_is_refused_at_once(make):
    """Every permit is free, and still it never runs."""
    ran = []
    pool = make(5)

    with deadline(-0.5):
        with pytest.raises(QueueTimeout, match=r"has passed.*shield=True"):
            await pool.run(ran.append, 1)
        with pytest.raises(QueueTimeout, match="has passed"):
            pool.submit(ran.append, 2)
        with pytest.raises(QueueTimeout, match="has passed"):
            await pool.gather(ran.append, [3])

    stats = pool.stats()
    assert (ran, stats.submitted, stats.in_flight) == ([], 0, 0)
    assert stats.rejected == {"queue_timeout": 3}
    await pool.aclose()


@both_pools
async def test_a_call_that_the_rate_lets_start_too_late_is_refused_at_once(make, fake_clock):
    """It says when the rate would let it start, and leaves the rate to others."""
    pool = make(5, rate=Rate(1, per=10.0, burst=1))

    async def noop():
        pass

    work = noop if make is AsyncPool else int
    await pool.run(work)
    with (
        deadline(3.0),
        pytest.raises(RateLimited, match=r"next start in 10.000 s.* in 3.000 s") as late,
    ):
        await pool.run(work)
    with deadline(3.0), pytest.raises(RateLimited, match="the deadline that it inherited"):
        pool.submit(work)

    assert late.value.retry_after == 10.0
    assert pool.stats().submitted == 1
    assert pool.stats().rejected == {"rate": 2}
    await pool.aclose()


async def test_cleaning_up_after_a_deadline_needs_a_shield():
    """The refusal names it."""
    done = []
    async with ThreadPool(1) as pool:
        with deadline(-1):
            with pytest.raises(QueueTimeout, match="shield=True"):
                await pool.run(done.append, "without")
            with deadline(5.0, shield=True):
                await pool.run(done.append, "with")

    assert done == ["with"]


# ---------------------------------------------------------------- where it goes


def test_it_travels_into_worker_threads_and_from_there_on(fake_clock):
    """A call that a worker makes in another pool has the time of the first one."""
    inner, outer = ThreadPool(1), ThreadPool(1)

    def work():
        return remaining(), inner.submit(remaining).result(20)

    with deadline(5.0):
        found = outer.submit(work).result(20)
        mapped = list(outer.map(lambda _: remaining(), [1]))
    after = outer.submit(remaining).result(20)

    assert found == (5.0, 5.0)
    assert mapped == [5.0]
    assert after is None
    inner.close()
    outer.close()


async def test_it_travels_into_tasks_that_begin_inside():
    """Those that began outside keep their own time."""
    begin = asyncio.Event()

    async def left():
        await begin.wait()
        return remaining()

    outside = asyncio.ensure_future(left())
    with deadline(50.0):
        inside = asyncio.ensure_future(left())
    begin.set()

    assert await outside is None
    assert 0.0 < await inside <= 50.0


async def test_it_travels_into_the_items_of_a_stream():
    """Each item sees it."""

    async def left(_):
        return remaining()

    async with AsyncPool(2) as coroutines, ThreadPool(2) as threads:
        with deadline(50.0):
            seen = await coroutines.gather(left, range(4))
            seen += await threads.gather(lambda _: remaining(), range(4))

    assert all(0.0 < seconds <= 50.0 for seconds in seen)


# ---------------------------------------------------------------- streams


def test_a_stream_of_coroutines_ends_at_the_deadline(fake_clock):
    """What is ready is delivered, what runs is cancelled, nothing new starts."""
    cancelled, begun = [], []

    async def work(item):
        begun.append(item)
        try:
            await asyncio.sleep(1.0 if item < 2 else 100.0)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        return item

    async def main():
        delivered = []
        async with AsyncPool(4) as pool:
            with deadline(5.0):
                with pytest.raises(CallTimeout, match="deadline that the stream inherited") as late:
                    async for value in pool.stream(work, range(50), limit=2):
                        delivered.append(value)
                assert late.value.stopped is True
            return delivered, pool.stats()

    delivered, stats = run_fake(fake_clock, main())

    assert delivered == [0, 1]
    assert sorted(cancelled) == [2, 3]
    assert len(begun) == 4
    assert (stats.in_flight, stats.timeouts) == (0, 1)


def test_a_stream_of_blocking_calls_ends_at_the_deadline(fake_clock):
    """What still runs is abandoned, and nothing new starts."""
    gate, begun = Gate(), []

    def work(item):
        begun.append(item)
        return item if item < 2 else gate(item)

    pool = ThreadPool(1)
    delivered, found = [], []

    def read():
        with deadline(5.0):
            try:
                delivered.extend(iter(pool.stream(work, range(50), limit=1)))
            except CallTimeout as error:
                found.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    gate.wait_inside()
    advance_until(fake_clock, lambda: not reader.is_alive())

    assert found[0].stopped is False
    assert "deadline that the stream inherited" in str(found[0])
    assert pool.stats().abandoned == 1
    gate.open()
    pool.drain()
    assert begun == [0, 1, 2]


def test_a_stream_whose_input_blocks_ends_at_the_deadline(fake_clock):
    """The consumer does not wait for an input that waits for something else."""
    gate, found = Gate(), []

    def items():
        yield 1
        gate()
        yield 2

    pool = ThreadPool(2)

    def read():
        with deadline(5.0):
            stream = iter(pool.stream(str, items()))
            found.append(next(stream))
            try:
                next(stream)
            except CallTimeout as error:
                found.append(type(error))

    reader = threading.Thread(target=read)
    reader.start()
    gate.wait_inside()
    advance_until(fake_clock, lambda: not reader.is_alive())

    assert found == ["1", CallTimeout]
    gate.open()
    pool.drain()


@both_pools
def test_a_stream_that_never_got_a_permit_was_never_begun(make, fake_clock):
    """Its error says that nothing ran: it may be repeated."""
    ran = []

    async def main():
        pool = make(1)
        gate, free = Gate(), asyncio.Event()
        holder = asyncio.ensure_future(pool.run(free.wait if make is AsyncPool else gate))
        await settle()
        with deadline(5.0), pytest.raises(QueueTimeout, match="came while it waited in line"):
            async for _ in pool.stream(ran.append, [1]):
                pass
        stats = pool.stats()
        free.set()
        gate.open()
        await holder
        await pool.aclose()
        return stats

    stats = run_fake(fake_clock, main())

    assert ran == []
    assert stats.in_flight == 1


@both_pools
async def test_a_stream_that_ends_in_time_leaves_nothing_to_watch(make):
    """Its deadline is forgotten with it."""

    async def same(item):
        return item

    async with make(2) as pool:
        with deadline(1000.0):
            found = await pool.gather(same if make is AsyncPool else int, [1, 2, 3])
            async for _ in pool.stream(same if make is AsyncPool else int, range(10)):
                break
        await settle()

    assert found == [1, 2, 3]
    assert not TIMER._wheel


@both_pools
async def test_a_deadline_that_cannot_be_watched_refuses_the_stream(make, monkeypatch):
    """The thread for deadlines is refused: so is whatever could not be ended in time."""

    async def same(item):
        return item

    def refuse(name, target):
        raise RuntimeError("can't start new thread")

    TIMER.settle()
    async with make(2) as pool:
        assert await pool.gather(same if make is AsyncPool else int, [1]) == [1]
        with monkeypatch.context() as patch:
            patch.setattr("holdfast.pools._timer.start_thread", refuse)
            with deadline(1000.0), pytest.raises(UnderPressure, match="deadlines"):
                await pool.gather(same if make is AsyncPool else int, [2])
        assert await pool.gather(same if make is AsyncPool else int, [3]) == [3]

    assert pool.stats().in_flight == 0


@both_pools
async def test_a_closed_pool_says_that_it_is_closed(make):
    """A deadline changes nothing about that."""

    async def noop():
        pass

    pool = make(1)
    await pool.aclose()

    with deadline(1000.0), pytest.raises(PoolClosed):
        await pool.run(noop if make is AsyncPool else int)


@both_pools
async def test_calls_that_are_in_time_are_as_without_a_deadline(make):
    """A crowd through few permits: each returns its value, and nothing is left to watch."""

    async def same(item):
        return item

    work = same if make is AsyncPool else int
    async with make(3) as pool:
        with deadline(1000.0):
            found = await asyncio.gather(*(pool.run(work, i) for i in range(200)))
            futures = [pool.submit(work, i) for i in range(100)]
            found += await asyncio.gather(*futures)

    assert found == [*range(200), *range(100)]
    assert pool.stats().completed == 300
    assert not TIMER._wheel
