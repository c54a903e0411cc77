"""What a thread pool promises."""

import asyncio
import concurrent.futures
import contextvars
import logging
import threading

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
from holdfast.pools import ThreadPool
from holdfast.pools._timer import TIMER


class Gate:
    """Holds calls until it is opened, and knows how many are inside."""

    def __init__(self):
        self._open = threading.Event()
        self._inside = threading.Semaphore(0)

    def __call__(self, value=None):
        self._inside.release()
        assert self._open.wait(20)
        return value

    def wait_inside(self, count=1):
        for _ in range(count):
            assert self._inside.acquire(timeout=20)

    def open(self):
        self._open.set()


def advance_until(clock, done, step=0.05):
    """Let fake time pass in steps, each with a real moment for the threads, until ``done()``."""
    for _ in range(20_000):
        if done():
            return
        clock.advance(step)
        threading.Event().wait(0.0005)
    pytest.fail("it never happened")


class Spy:
    """Counts how many calls run at once."""

    def __init__(self):
        self._lock = threading.Lock()
        self.now = 0
        self.most = 0

    def __call__(self, value=None):
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        with self._lock:
            self.now -= 1
        return value


async def test_run_returns_what_the_function_returns():
    """A value comes back to the coroutine that awaits it."""
    async with ThreadPool(2) as pool:
        assert await pool.run(pow, 2, 10) == 1024


async def test_run_raises_what_the_function_raises():
    """The user's own exception passes through unchanged."""
    error = KeyError("mine")

    def fail():
        raise error

    async with ThreadPool(2) as pool:
        with pytest.raises(KeyError) as caught:
            await pool.run(fail)

    assert caught.value is error


async def test_an_item_that_raises_stop_iteration_is_an_error_not_an_end():
    """StopIteration from a call does not pass for a result."""

    def stop():
        raise StopIteration

    async with ThreadPool(1) as pool:
        with pytest.raises(RuntimeError):
            await pool.run(stop)


def test_submit_gives_a_future_for_blocking_code():
    """The future is one of concurrent.futures and gives the result."""
    with ThreadPool(2) as pool:
        future = pool.submit(sorted, [3, 1, 2], reverse=True)

        assert isinstance(future, concurrent.futures.Future)
        assert future.result(10) == [3, 2, 1]


async def test_a_submitted_future_can_be_awaited():
    """The same future serves a coroutine."""
    async with ThreadPool(2) as pool:
        assert await pool.submit(pow, 2, 3) == 8


def test_it_is_an_executor_for_map_wait_and_as_completed():
    """The standard library's helpers work with it."""
    with ThreadPool(3) as pool:
        assert list(pool.map(pow, [1, 2, 3], [2, 2, 2])) == [1, 4, 9]
        futures = [pool.submit(pow, i, 2) for i in range(5)]
        assert {f.result() for f in concurrent.futures.as_completed(futures)} == {0, 1, 4, 9, 16}
        assert concurrent.futures.wait(futures).not_done == set()


async def test_it_can_be_a_loops_executor():
    """``loop.run_in_executor`` takes it, and so does ``set_default_executor``."""
    pool = ThreadPool(2)
    loop = asyncio.get_running_loop()

    assert await loop.run_in_executor(pool, pow, 2, 5) == 32

    await pool.aclose()


def test_context_variables_travel_with_the_call():
    """A call sees the caller's context, and what it sets stays with it."""
    variable = contextvars.ContextVar("variable", default="none")

    def change():
        seen = variable.get()
        variable.set("changed")
        return seen

    with ThreadPool(1) as pool:
        variable.set("mine")
        assert pool.submit(change).result() == "mine"
        assert pool.submit(variable.get).result() == "mine"

    assert variable.get() == "mine"


def test_never_more_calls_run_than_the_limit():
    """Three workers run at most three of a hundred calls at once."""
    spy = Spy()

    with ThreadPool(3) as pool:
        for future in [pool.submit(spy, i) for i in range(100)]:
            future.result()

    assert spy.most <= 3
    assert pool.stats().peak_in_flight <= 3
    assert pool.stats().completed == 100


def test_calls_start_first_come_first_served():
    """With one worker, calls run in the order in which they were submitted."""
    gate, order = Gate(), []

    with ThreadPool(1) as pool:
        pool.submit(gate)
        gate.wait_inside()
        for i in range(20):
            pool.submit(order.append, i)
        gate.open()

    assert order == list(range(20))


def test_threads_start_only_when_nobody_idle_can_take_the_call(fake_clock):
    """Calls that find an idle worker are served by it."""
    pool = ThreadPool(10)
    threads = set()
    for _ in range(20):
        threads.add(pool.submit(threading.get_ident).result())
        fake_clock.wait_for_waiters(1)  # it has sat down

    assert len(threads) == 1
    pool.close()


def test_a_blocked_worker_does_not_hold_up_the_next_call():
    """While one call blocks, another one gets a thread of its own."""
    gate = Gate()

    with ThreadPool(2) as pool:
        blocked = pool.submit(gate, "late")
        gate.wait_inside()
        assert pool.submit(pow, 2, 2).result(20) == 4
        gate.open()
        assert blocked.result(20) == "late"


def test_an_idle_thread_ends_itself_after_idle_timeout(fake_clock):
    """Without a further call, the time alone ends it."""
    pool = ThreadPool(2, idle_timeout=5)
    pool.submit(pow, 2, 2).result()
    fake_clock.wait_for_waiters(1)

    fake_clock.advance(5.1)
    pool._core.crew.join(None)

    assert pool.stats().threads == 0
    pool.close()


def test_min_workers_stay(fake_clock):
    """An idle thread that the minimum needs does not end."""
    pool = ThreadPool(2, idle_timeout=5, min_workers=1)
    pool.submit(pow, 2, 2).result()
    fake_clock.wait_for_waiters(1)

    fake_clock.advance(5.1)
    fake_clock.wait_for_waiters(1)

    assert pool.stats().threads == 1
    pool.close()


def test_threads_are_named_after_their_pool():
    """py-spy and top show whose thread it is."""
    with ThreadPool(1, name="db") as pool:
        name = pool.submit(lambda: threading.current_thread().name).result()

    assert name == "holdfast:db/0"


# ---------------------------------------------------------------- a full pool


def test_a_full_queue_rejects_when_asked_to():
    """The error says how full it is, and the call never ran."""
    gate, ran = Gate(), []

    with ThreadPool(1, max_queue=1, overflow="reject", name="small") as pool:
        pool.submit(gate)
        gate.wait_inside()
        pool.submit(ran.append, 1)
        with pytest.raises(
            QueueFull, match=r"'small'.*1 of 1 in flight and 1 of 1 queued"
        ) as caught:
            pool.submit(ran.append, 2)
        gate.open()

    assert ran == [1]
    assert caught.value.reason == "full"
    assert caught.value.stats.queued == 1
    assert pool.stats().rejected == {"full": 1}


def test_no_queue_at_all_means_no_waiting():
    """``max_queue=0`` admits exactly what can start."""
    gate = Gate()

    with ThreadPool(2, max_queue=0, overflow="reject") as pool:
        pool.submit(gate)
        pool.submit(gate)
        with pytest.raises(QueueFull):
            pool.submit(gate)
        gate.open()


def test_a_full_queue_blocks_blocking_code_until_there_is_room():
    """``overflow="wait"`` is backpressure for the submitting thread."""
    gate, done = Gate(), []

    with ThreadPool(1, max_queue=1) as pool:
        pool.submit(gate)
        gate.wait_inside()
        pool.submit(done.append, 1)
        submitter = threading.Thread(target=lambda: pool.submit(done.append, 2))
        submitter.start()
        while pool.stats().blocked == 0:
            pass
        assert pool.stats().queued == 1
        gate.open()
        submitter.join(20)

    assert done == [1, 2]


async def test_a_full_queue_never_blocks_a_loop():
    """In a thread that runs a loop, ``submit`` raises and names the way that waits."""
    gate = Gate()

    async with ThreadPool(1, max_queue=0) as pool:
        pool.submit(gate)
        with pytest.raises(QueueFull):
            pool.submit(gate)
        waiting = asyncio.ensure_future(pool.run(pow, 2, 2))
        await asyncio.sleep(0)
        gate.open()
        assert await waiting == 4


def test_drop_oldest_refuses_the_one_that_waited_longest():
    """The newest call takes the place of the oldest, whose future says so."""
    gate = Gate()

    with ThreadPool(1, max_queue=1, overflow="drop_oldest") as pool:
        pool.submit(gate)
        gate.wait_inside()
        oldest = pool.submit(pow, 1, 1)
        newest = pool.submit(pow, 2, 2)
        with pytest.raises(QueueFull, match="made room"):
            oldest.result(20)
        gate.open()
        assert newest.result(20) == 4


def test_a_call_that_waits_too_long_never_starts(fake_clock):
    """``queue_timeout`` takes it out of the line."""
    gate, ran = Gate(), []
    pool = ThreadPool(1, queue_timeout=2)
    pool.submit(gate)
    gate.wait_inside()
    late = pool.submit(ran.append, 1)

    advance_until(fake_clock, late.done)

    with pytest.raises(QueueTimeout):
        late.result(20)
    gate.open()
    assert pool.drain()
    assert ran == []


def test_a_rate_spreads_the_starts(fake_clock):
    """Two a second: the third call starts when its second has come."""
    starts, began = [], fake_clock.now()
    pool = ThreadPool(5, rate=Rate(2, per=1, burst=1))
    futures = [pool.submit(lambda: starts.append(fake_clock.now())) for _ in range(3)]

    futures[0].result(20)
    advance_until(fake_clock, futures[2].done)

    assert starts[1] >= began + 0.5
    assert starts[2] >= began + 1.0
    pool.close()


def test_a_rejecting_pool_says_when_its_rate_allows_more(fake_clock):
    """The refusal carries ``retry_after``."""
    pool = ThreadPool(5, rate=Rate(1, per=10), overflow="reject")
    pool.submit(pow, 1, 1).result(20)

    with pytest.raises(RateLimited) as caught:
        pool.submit(pow, 1, 1)

    assert caught.value.retry_after == pytest.approx(10.0)
    pool.close()


# ---------------------------------------------------------------- cancelling and timeouts


async def test_a_cancelled_caller_takes_its_call_out_of_the_line():
    """A call that has not started never does."""
    gate, ran = Gate(), []

    async with ThreadPool(1) as pool:
        pool.submit(gate)
        gate.wait_inside()
        waiting = asyncio.ensure_future(pool.run(ran.append, 1))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert pool.stats().queued == 0
        gate.open()

    assert ran == []
    assert pool.stats().withdrawn == 1


async def test_a_cancelled_caller_abandons_a_call_that_runs(caplog):
    """The thread can't be stopped: its permit stays held and counted until it ends."""
    gate = Gate()
    pool = ThreadPool(1, max_abandoned=0)
    running = asyncio.ensure_future(pool.run(gate))
    await asyncio.sleep(0)
    while pool.stats().in_flight == 0:
        await asyncio.sleep(0)
    gate.wait_inside()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert pool.stats().abandoned == 1
    assert pool.stats().in_flight == 1
    with caplog.at_level(logging.WARNING):
        gate.open()
        pool._core.crew.stop()
        pool._core.crew.join(None)
    assert pool.stats().abandoned == 0
    assert pool.stats().in_flight == 0
    assert pool.stats().late == 1
    assert "ended at last" in caplog.text
    pool.close()


def test_a_submitted_call_can_be_cancelled_only_before_it_starts():
    """``cancel`` of the standard future, decided by the pool."""
    gate = Gate()

    with ThreadPool(1) as pool:
        running = pool.submit(gate)
        gate.wait_inside()
        waiting = pool.submit(gate)
        assert waiting.cancel()
        assert waiting.cancelled()
        assert not running.cancel()
        gate.open()

    assert pool.stats().withdrawn == 1


def test_a_call_past_its_timeout_is_reported_as_still_running(fake_clock):
    """The caller hears of it; the thread goes on; another one takes its place."""
    gate = Gate()
    pool = ThreadPool(1, timeout=3)
    stuck = pool.submit(gate)
    gate.wait_inside()

    advance_until(fake_clock, stuck.done)

    with pytest.raises(CallTimeout, match="can't be stopped") as caught:
        stuck.result(20)
    assert caught.value.stopped is False
    assert pool.stats().abandoned == 1
    assert pool.options(timeout=None).submit(pow, 2, 2).result(20) == 4
    gate.open()
    pool.close()


def test_the_clock_of_a_timeout_starts_with_the_call(fake_clock):
    """A call that waited long in line still has its whole time to run."""
    first, second = Gate(), Gate()
    pool = ThreadPool(1, max_abandoned=0)
    pool.submit(first)
    first.wait_inside()
    timed = pool.options(timeout=3).submit(second, "done")
    began = fake_clock.now()
    advance_until(fake_clock, lambda: fake_clock.now() > began + 10)

    first.open()
    second.wait_inside()
    fake_clock.advance(1)
    second.open()

    assert timed.result(20) == "done"
    pool.close()


def test_a_pool_whose_permits_are_all_abandoned_refuses(fake_clock):
    """It says why, instead of letting calls wait for ever."""
    gate = Gate()
    pool = ThreadPool(1, timeout=1, max_abandoned=0)
    stuck = pool.submit(gate)
    gate.wait_inside()
    advance_until(fake_clock, stuck.done)
    with pytest.raises(CallTimeout):
        stuck.result(20)

    with pytest.raises(QueueFull, match="abandoned"):
        pool.submit(pow, 1, 1)

    gate.open()
    pool.close()


# ---------------------------------------------------------------- views, resizing, the end


async def test_options_gives_a_view_that_shares_the_pool():
    """The view's calls count in the pool's statistics."""
    async with ThreadPool(2) as pool:
        view = pool.options(timeout=5)
        assert await view.run(pow, 2, 2) == 4
        assert view.submit(pow, 2, 2).result() == 4
        assert [v async for v in view.stream(abs, [-1])] == [1]

        assert pool.stats().completed == 3


async def test_wrap_keeps_name_and_signature():
    """A wrapped tool looks like the function, and runs in the pool."""

    def lookup(key: str, *, deep: bool = False) -> str:
        """Look it up."""
        return f"{key}:{deep}:{threading.current_thread().name}"

    async with ThreadPool(1, name="db") as pool:
        tool = pool.wrap(lookup)
        assert await tool("a", deep=True) == "a:True:holdfast:db/0"
        assert tool.__name__ == "lookup"
        assert tool.__doc__ == "Look it up."
        assert asyncio.iscoroutinefunction(tool)


def test_wrap_sync_blocks():
    """The blocking twin returns the value itself."""
    with ThreadPool(1) as pool:
        assert pool.wrap_sync(pow)(2, 4) == 16


def test_resizing_up_starts_as_many_as_now_fit():
    """Those who wait get the new permits at once."""
    gate = Gate()

    with ThreadPool(1) as pool:
        for _ in range(4):
            pool.submit(gate)
        gate.wait_inside(1)
        pool.resize(3)
        gate.wait_inside(2)
        assert pool.stats().in_flight == 3
        gate.open()


def test_resizing_down_stops_nobody_and_admits_nobody_over_the_limit():
    """10 to 2 to 4 never makes more than 4 out of those that start afterwards."""
    first, second = Gate(), Gate()

    with ThreadPool(4) as pool:
        for _ in range(4):
            pool.submit(first)
        first.wait_inside(4)
        pool.resize(1)
        waiting = [pool.submit(second) for _ in range(3)]
        pool.resize(2)
        first.open()
        second.wait_inside(2)
        assert pool.stats().in_flight == 2
        second.open()
        assert [future.result(20) for future in waiting] == [None] * 3


def test_close_refuses_what_waits():
    """Every future settles: the running call ends, the waiting one hears PoolClosed."""
    gate = Gate()
    pool = ThreadPool(1)
    running = pool.submit(gate, "ran")
    gate.wait_inside()
    waiting = pool.submit(gate)
    closer = threading.Thread(target=pool.close)
    closer.start()

    with pytest.raises(PoolClosed):
        waiting.result(20)
    gate.open()
    closer.join(20)

    assert running.result(20) == "ran"
    with pytest.raises(PoolClosed):
        pool.submit(gate)


def test_drain_lets_what_waits_run():
    """Nothing accepted is lost."""
    gate, done = Gate(), []
    pool = ThreadPool(1)
    pool.submit(gate)
    for i in range(5):
        pool.submit(done.append, i)
    gate.open()

    assert pool.drain()
    assert done == [0, 1, 2, 3, 4]


def test_close_returns_within_its_deadline_and_says_so(fake_clock, caplog):
    """A stuck call does not hold ``close`` for ever."""
    gate = Gate()
    pool = ThreadPool(1)
    pool.submit(gate)
    gate.wait_inside()
    found = []
    closer = threading.Thread(target=lambda: found.append(pool.close(timeout=5)))
    closer.start()
    fake_clock.wait_for_waiters(1)

    with caplog.at_level(logging.WARNING):
        fake_clock.advance(5.1)
        closer.join(20)

    assert found == [False]
    assert "still run" in caplog.text
    gate.open()
    pool._core.crew.join(None)


def test_closing_twice_is_closing_once():
    """``close`` is idempotent."""
    pool = ThreadPool(1)

    assert pool.close()
    assert pool.close()


def test_a_forgotten_pool_ends_its_threads():
    """What was accepted still runs, then the threads go with the pool."""
    done = []
    pool = ThreadPool(1)
    pool.submit(done.append, 1).result()
    core = pool._core

    del pool
    core.crew.join(None)

    assert done == [1]
    assert core.stats().threads == 0


def test_a_refused_first_thread_is_told_at_submit(monkeypatch):
    """The call never ran and never will."""
    ran = []

    def refuse(name, target):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("holdfast.pools._thread_hire.start_thread", refuse)
    pool = ThreadPool(2)

    with pytest.raises(UnderPressure, match="refused"):
        pool.submit(ran.append, 1)

    monkeypatch.undo()
    pool.submit(ran.append, 2).result(20)
    assert ran == [2]
    assert pool.stats().refused_threads == 1
    pool.close()


@pytest.mark.parametrize("options", [{"timeout": 60}, {"queue_timeout": 60}])
async def test_a_call_whose_deadline_cannot_be_watched_never_runs(monkeypatch, options):
    """The thread for deadlines is refused: the call is too, and the pool goes on."""
    ran = []

    def refuse(name, target):
        raise RuntimeError("can't start new thread")

    TIMER.settle()
    async with ThreadPool(2) as pool:
        assert await pool.run(pow, 2, 2) == 4
        with monkeypatch.context() as patch:
            patch.setattr("holdfast.pools._timer.start_thread", refuse)
            with pytest.raises(UnderPressure, match="deadlines"):
                pool.options(**options).submit(ran.append, 1)
            with pytest.raises(UnderPressure, match="deadlines"):
                await pool.options(**options).run(ran.append, 2)
        assert await pool.options(**options).run(pow, 2, 3) == 8

    assert ran == []
    assert pool.stats().rejected == {"pressure": 2}


def test_a_refused_further_thread_leaves_the_call_to_those_there_are(monkeypatch):
    """With one worker alive, every call runs exactly once."""
    gate, ran = Gate(), []
    pool = ThreadPool(3)
    pool.submit(gate)
    gate.wait_inside()

    def refuse(name, target):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("holdfast.pools._thread_hire.start_thread", refuse)
    futures = [pool.submit(ran.append, i) for i in range(5)]
    gate.open()
    for future in futures:
        future.result(20)

    assert ran == [0, 1, 2, 3, 4]
    pool.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_workers": 0}, "max_workers must be greater than 0, not 0"),
        ({"max_workers": 1, "max_queue": -1}, "max_queue must be a whole number of at least 0"),
        ({"max_workers": 1, "overflow": "explode"}, "overflow must be one of"),
        ({"max_workers": 1, "timeout": 0}, "timeout must be more than 0 seconds"),
        ({"max_workers": 1, "min_workers": 2}, "min_workers must be at most max_workers"),
    ],
)
def test_bad_options_are_told_clearly(options, message):
    """The error names the option, what was given and what would do."""
    with pytest.raises(ValueError, match=message):
        ThreadPool(**options)


def test_one_pool_serves_several_loops_and_threads_and_counts_them_together():
    """Four loops in four threads share three permits."""
    spy = Spy()

    async def use(pool):
        return await asyncio.gather(*(pool.run(spy, i) for i in range(50)))

    with ThreadPool(3) as pool:
        results = []
        threads = [
            threading.Thread(target=lambda: results.append(asyncio.run(use(pool))))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

    assert results == [list(range(50))] * 4
    assert spy.most <= 3
    assert pool.stats().completed == 200
