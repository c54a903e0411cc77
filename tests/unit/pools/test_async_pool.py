"""What a pool of coroutines promises."""

import asyncio
import contextlib
import threading
from concurrent.futures import CancelledError

import pytest

from holdfast.errors import (
    CallTimeout,
    PoolClosed,
    QueueFull,
    QueueTimeout,
    RateLimited,
    UnderPressure,
)
from holdfast.limits import Rate
from holdfast.pools import AsyncPool
from holdfast.pools._async_submit import AsyncCall
from holdfast.pools._timer import TIMER
from holdfast.pools.deadline import deadline


class Spy:
    """Counts how many coroutines run at once."""

    def __init__(self):
        self.now = 0
        self.most = 0

    async def __call__(self, value=None):
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0)
        finally:
            self.now -= 1
        return value


async def settle():
    """Let everything that is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_run_returns_and_raises_what_the_coroutine_does():
    """Values and the user's own exceptions pass through."""

    async def fail():
        raise KeyError("mine")

    async with AsyncPool(2) as pool:
        assert await pool.run(asyncio.sleep, 0, "done") == "done"
        with pytest.raises(KeyError):
            await pool.run(fail)

    stats = pool.stats()
    assert (stats.completed, stats.failed, stats.in_flight) == (1, 1, 0)


async def test_never_more_run_than_the_limit():
    """A hundred callers through three permits."""
    spy = Spy()

    async with AsyncPool(3) as pool:
        found = await asyncio.gather(*(pool.run(spy, i) for i in range(100)))

    assert found == list(range(100))
    assert spy.most == 3
    assert pool.stats().peak_in_flight == 3


async def test_waiters_start_first_come_first_served():
    """Nobody overtakes, not even a caller that comes when a permit is on its way."""
    order = []

    async def note(i):
        order.append(i)
        await asyncio.sleep(0)

    async with AsyncPool(1) as pool:
        await asyncio.gather(*(pool.run(note, i) for i in range(50)))

    assert order == list(range(50))


async def test_it_runs_in_the_callers_task():
    """No task is made, so context variables and cancel scopes are the caller's."""

    async def who():
        return asyncio.current_task()

    async with AsyncPool(1) as pool:
        assert await pool.run(who) is asyncio.current_task()


async def test_a_cancelled_waiter_leaves_no_trace():
    """It starts nothing, and its place goes to the next."""
    gate, ran = asyncio.Event(), []

    async def note(i):
        ran.append(i)

    async with AsyncPool(1) as pool:
        holder = asyncio.ensure_future(pool.run(gate.wait))
        await settle()
        waiters = [asyncio.ensure_future(pool.run(note, i)) for i in range(3)]
        await settle()
        waiters[1].cancel()
        await settle()
        gate.set()
        await asyncio.gather(holder, waiters[0], waiters[2])

    assert ran == [0, 2]
    assert pool.stats().withdrawn == 1


async def test_a_permit_granted_to_one_that_has_just_left_goes_to_the_next():
    """Cancelling in the same pass as the grant loses no permit."""
    gate = asyncio.Event()

    async with AsyncPool(1) as pool:
        holder = asyncio.ensure_future(pool.run(gate.wait))
        await settle()
        first = asyncio.ensure_future(pool.run(asyncio.sleep, 0, "first"))
        second = asyncio.ensure_future(pool.run(asyncio.sleep, 0, "second"))
        await settle()
        gate.set()
        while pool.stats().queued == 2:
            await asyncio.sleep(0)
        first.cancel()
        assert await second == "second"
        await holder
        with pytest.raises(asyncio.CancelledError):
            await first

    assert pool.stats().in_flight == 0


async def test_ten_thousand_cancelled_waiters_leave_no_permit_out():
    """A storm of cancellations, then the pool is as before."""
    gate = asyncio.Event()

    async with AsyncPool(2, max_queue=20_000) as pool:
        tasks = [asyncio.ensure_future(pool.run(gate.wait)) for _ in range(10_000)]
        await settle()
        for task in tasks[::2]:
            task.cancel()
        gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    stats = pool.stats()
    assert (stats.in_flight, stats.queued) == (0, 0)
    assert stats.submitted == stats.completed + stats.failed + stats.withdrawn == 10_000


async def test_a_full_pool_rejects_when_asked_to():
    """Limit and queue together are the bound."""
    gate = asyncio.Event()

    async with AsyncPool(1, max_queue=1, overflow="reject", name="llm") as pool:
        calls = [asyncio.ensure_future(pool.run(gate.wait)) for _ in range(2)]
        await settle()
        with pytest.raises(QueueFull, match="'llm'"):
            await pool.run(gate.wait)
        gate.set()
        await asyncio.gather(*calls)


async def test_a_full_queue_makes_a_coroutine_wait():
    """``overflow="wait"``: those beyond the queue are blocked, and served in turn."""
    gate = asyncio.Event()

    async with AsyncPool(1, max_queue=1) as pool:
        calls = [asyncio.ensure_future(pool.run(gate.wait)) for _ in range(5)]
        await settle()
        stats = pool.stats()
        assert (stats.in_flight, stats.queued, stats.blocked) == (1, 1, 3)
        gate.set()
        assert await asyncio.gather(*calls) == [True] * 5


async def test_a_waiter_can_time_out():
    """``queue_timeout`` bounds the waiting, and the call never starts."""
    gate, ran = asyncio.Event(), []

    async def note():
        ran.append(1)

    async with AsyncPool(1) as pool:
        holder = asyncio.ensure_future(pool.run(gate.wait))
        await settle()
        with pytest.raises(QueueTimeout):
            await pool.options(queue_timeout=0.01).run(note)
        gate.set()
        await holder

    assert ran == []


async def test_a_call_past_its_timeout_is_cancelled():
    """The error says that it has stopped, and the permit is back."""
    cancelled = []

    async def stubborn():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async with AsyncPool(1, timeout=0.01) as pool:
        with pytest.raises(CallTimeout) as caught:
            await pool.run(stubborn)
        assert await pool.run(asyncio.sleep, 0, "next") == "next"

    assert caught.value.stopped is True
    assert cancelled == [True]
    assert pool.stats().timeouts == 1


async def test_an_outer_cancellation_is_not_taken_for_a_timeout():
    """Cancellation from elsewhere stays a cancellation."""
    async with AsyncPool(1, timeout=60) as pool:
        call = asyncio.ensure_future(pool.run(asyncio.sleep, 60))
        await settle()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_a_timeout_inside_asyncio_timeout_keeps_them_apart():
    """The inner deadline raises ours, the outer one the standard library's."""
    async with AsyncPool(1, timeout=0.01) as pool:
        async with asyncio.timeout(60):
            with pytest.raises(CallTimeout):
                await pool.run(asyncio.sleep, 60)
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.01):
                await pool.options(timeout=60).run(asyncio.sleep, 60)

    assert not isinstance(caught.value, CallTimeout)


async def test_a_coroutine_that_swallows_the_timeout_and_returns_has_returned():
    """As with ``asyncio.timeout``: an outcome beats a deadline, and nothing stays cancelled."""

    async def swallow():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "late"

    async with AsyncPool(1, timeout=0.01) as pool:
        assert await pool.run(swallow) == "late"
        await asyncio.sleep(0)

    assert asyncio.current_task().cancelling() == 0


async def test_a_rate_makes_callers_wait():
    """The second call starts when the rate allows."""
    loop = asyncio.get_running_loop()
    async with AsyncPool(10, rate=Rate(1, per=0.02, burst=1)) as pool:
        began = loop.time()
        await asyncio.gather(*(pool.run(asyncio.sleep, 0) for _ in range(3)))

        assert loop.time() - began >= 0.04


async def test_a_rejecting_pool_says_when_its_rate_allows_more():
    """The refusal carries ``retry_after``."""
    async with AsyncPool(10, rate=Rate(1, per=60), overflow="reject") as pool:
        await pool.run(asyncio.sleep, 0)
        with pytest.raises(RateLimited) as caught:
            await pool.run(asyncio.sleep, 0)

    assert 59 < caught.value.retry_after <= 60


async def test_resize_admits_as_many_as_now_fit():
    """Up at once, down as calls end, never too many."""
    gate = asyncio.Event()

    async with AsyncPool(1) as pool:
        calls = [asyncio.ensure_future(pool.run(gate.wait)) for _ in range(6)]
        await settle()
        pool.resize(4)
        await settle()
        assert pool.stats().in_flight == 4
        pool.resize(2)
        assert pool.stats().in_flight == 4
        gate.set()
        await asyncio.gather(*calls)

    assert pool.stats().peak_in_flight == 4


async def test_close_refuses_who_waits():
    """Waiters hear PoolClosed; who runs, runs to its end."""
    gate = asyncio.Event()
    pool = AsyncPool(1)
    holder = asyncio.ensure_future(pool.run(gate.wait))
    await settle()
    waiter = asyncio.ensure_future(pool.run(gate.wait))
    await settle()
    closing = asyncio.ensure_future(pool.aclose())

    with pytest.raises(PoolClosed):
        await waiter
    gate.set()
    assert await closing
    assert await holder
    with pytest.raises(PoolClosed):
        await pool.run(gate.wait)


async def test_aclose_returns_within_its_deadline():
    """A call that does not end does not hold it."""
    gate = asyncio.Event()
    pool = AsyncPool(1)
    holder = asyncio.ensure_future(pool.run(gate.wait))
    await settle()

    assert await pool.aclose(timeout=0.01) is False

    gate.set()
    await holder


async def test_wrap_keeps_name_and_signature():
    """A wrapped tool looks like the coroutine function."""

    async def lookup(key: str) -> str:
        """Look it up."""
        return key

    async with AsyncPool(1) as pool:
        tool = pool.wrap(lookup)
        assert (tool.__name__, tool.__doc__) == ("lookup", "Look it up.")
        assert await tool("a") == "a"


# ---------------------------------------------------------------- from blocking code, several loops


def test_blocking_code_submits_and_gets_a_result():
    """The coroutine runs on a loop that the pools keep for blocking code, always the same one."""

    async def where():
        return asyncio.get_running_loop()

    with AsyncPool(2) as pool:
        first = pool.submit(where).result(20)
        second = pool.submit(where).result(20)

    assert first is second
    assert first.is_closed()


async def test_submit_in_a_coroutine_runs_on_its_own_loop():
    """The future can be awaited."""

    async def where():
        return asyncio.get_running_loop()

    async with AsyncPool(2) as pool:
        assert await pool.submit(where) is asyncio.get_running_loop()


def test_cancelling_a_submitted_future_cancels_the_coroutine():
    """Its permit comes back when it has really ended."""
    ended = threading.Event()

    async def wait():
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with AsyncPool(1) as pool:
        future = pool.submit(wait)
        while not future.running():
            pass
        assert future.cancel()
        assert ended.wait(20)
        assert pool.submit(asyncio.sleep, 0, "next").result(20) == "next"


@pytest.mark.parametrize("until", [None, 60.0], ids=["alone", "with a deadline"])
def test_a_call_that_is_cancelled_before_its_first_step_counts_as_withdrawn(monkeypatch, until):
    """The cancellation falls between the start of the call and the making of its task."""
    ran = []

    async def work():
        ran.append(1)

    with AsyncPool(1) as pool:
        mark_running = AsyncCall.mark_running

        def cancelled_here(call):
            monkeypatch.undo()
            canceller = threading.Thread(target=call.cancel)
            canceller.start()
            canceller.join()
            mark_running(call)

        monkeypatch.setattr(AsyncCall, "mark_running", cancelled_here)
        with contextlib.nullcontext() if until is None else deadline(until):
            call = pool.submit(work)
        with pytest.raises(CancelledError):
            call.result(10)
        assert pool.submit(asyncio.sleep, 0, "has the permit").result(10) == "has the permit"

        stats = pool.stats()
        assert ran == []
        assert (stats.submitted, stats.withdrawn, stats.completed, stats.failed) == (2, 1, 1, 0)


def test_a_submitted_call_has_the_pools_timeout():
    """Blocking code gets the same error."""
    with AsyncPool(1, timeout=0.01) as pool, pytest.raises(CallTimeout):
        pool.submit(asyncio.sleep, 60).result(20)


def test_one_pool_serves_several_loops_and_counts_them_together():
    """Permits pass from loop to loop, in order, and none is lost."""
    lock = threading.Lock()
    now = most = 0

    async def note():
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        await asyncio.sleep(0)
        with lock:
            now -= 1

    async def use():
        await asyncio.gather(*(pool.run(note) for _ in range(200)))

    pool = AsyncPool(3)
    threads = [threading.Thread(target=lambda: asyncio.run(use())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert most <= 3
    stats = pool.stats()
    assert (stats.completed, stats.in_flight, stats.queued) == (800, 0, 0)


def test_a_waiter_whose_loop_has_closed_harms_nobody():
    """Its permit goes to the next in line."""
    gate = threading.Event()
    pool = AsyncPool(1)

    async def hold():
        await asyncio.get_running_loop().run_in_executor(None, gate.wait)

    holder = pool.submit(hold)
    while not holder.running():
        pass

    async def stand_in_line():
        task = asyncio.ensure_future(pool.run(asyncio.sleep, 0))
        await asyncio.sleep(0)
        return task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(stand_in_line())
    task._log_destroy_pending = False
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    last = pool.submit(asyncio.sleep, 0, "last")
    gate.set()

    assert last.result(20) == "last"
    pool.close()
    del task


async def test_a_submitted_call_whose_wait_cannot_be_watched_never_runs(monkeypatch):
    """The thread for deadlines is refused: the call is too, and the pool goes on."""
    gate, ran = asyncio.Event(), []

    async def note():
        ran.append(1)

    def refuse(name, target):
        raise RuntimeError("can't start new thread")

    TIMER.settle()
    async with AsyncPool(1) as pool:
        holder = asyncio.ensure_future(pool.run(gate.wait))
        await settle()
        with monkeypatch.context() as patch:
            patch.setattr("holdfast.pools._timer.start_thread", refuse)
            with pytest.raises(UnderPressure, match="deadlines"):
                pool.options(queue_timeout=60).submit(note)
        gate.set()
        await holder
        assert await pool.run(asyncio.sleep, 0, "next") == "next"

    assert ran == []
