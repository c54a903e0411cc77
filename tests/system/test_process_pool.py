"""ProcessPool with real processes: what comes back, and what a call costs that does not."""

import asyncio
import concurrent.futures
import os
import pickle
import signal
import sys
import threading
import time

import pytest
from tests.system import process_jobs as jobs

from holdfast import (
    Budget,
    CallTimeout,
    PoolClosed,
    ProcessPool,
    QueueFull,
    QueueTimeout,
    Rate,
    ResultLost,
    WorkerLost,
    deadline,
    set_budget,
)
from holdfast.errors import Rejected
from holdfast.pools._process_payload import WorkerTraceback

pytestmark = pytest.mark.system

LINUX = sys.platform == "linux"


@pytest.fixture
def pool():
    """A pool of two, closed after the test."""
    with ProcessPool(2, name="test", kill_grace=0.5) as one:
        yield one


# ---------------------------------------------------------------- there and back


def test_a_call_returns_what_the_function_returns(pool):
    """From blocking code, in any of the ways in which an executor is used."""
    assert isinstance(pool, concurrent.futures.Executor)
    assert pool.submit(pow, 2, 10).result(20) == 1024
    assert pool.submit(int, "ff", base=16).result(20) == 255
    assert list(pool.map(abs, [-1, 2, -3])) == [1, 2, 3]
    assert pool.wrap_sync(jobs.same)(5) == 5


async def test_a_coroutine_awaits_calls(pool):
    """Many at once, without a thread for each."""
    before = threading.active_count()
    found = await asyncio.gather(*[pool.run(jobs.same, i) for i in range(50)])

    assert found == list(range(50))
    assert await pool.submit(jobs.same, 7) == 7
    assert await pool.wrap(jobs.same)(8) == 8
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize("size", [0, 100, 5_000, 40_000, 1 << 20, 5 << 20])
@pytest.mark.parametrize(
    "kind",
    [bytes, bytearray, lambda n: "x" * n, lambda n: [b"x" * n, n]],
    ids=["bytes", "bytearray", "text", "nested"],
)
def test_payloads_of_any_size_come_back_whole(pool, size, kind):
    """Through the pipe or through shared memory."""
    value = kind(size)

    for _ in range(2):
        assert pool.submit(jobs.same, value).result(20) == value


def test_buffers_beside_a_pickle_come_back_as_they_were(pool):
    """Protocol 5: one copy into shared memory, one out, and writable if it was."""
    value = [pickle.PickleBuffer(bytearray(b"a" * 100_000)), pickle.PickleBuffer(b"b" * 70)]

    first, second = pool.submit(jobs.same, value).result(20)

    assert (type(first), bytes(first)) == (bytearray, b"a" * 100_000)
    assert bytes(second) == b"b" * 70


def test_an_error_comes_with_the_traceback_of_the_worker(pool):
    """As its cause."""
    with pytest.raises(ValueError, match="wrong") as caught:
        pool.submit(jobs.fail, "wrong").result(20)

    assert isinstance(caught.value.__cause__, WorkerTraceback)
    assert "raise ValueError(text)" in str(caught.value.__cause__)


@pytest.mark.parametrize("call", [jobs.closure, jobs.far_away, jobs.fail_stubbornly])
def test_what_cannot_be_sent_back_is_reported_and_costs_nothing_else(call):
    """ResultLost, from either side; the worker goes on."""
    with ProcessPool(1, name="test", spares=0) as pool:
        before = pool.submit(jobs.pid).result(20)

        with pytest.raises(ResultLost):
            pool.submit(call).result(20)

        assert pool.submit(jobs.pid).result(20) == before


def test_what_cannot_be_sent_there_fails_by_itself(pool):
    """The future says what to do, and nothing has started."""
    lock = threading.Lock()
    with pytest.raises(TypeError) as caught:
        pool.submit(jobs.same, lock).result(20)

    assert "never started" in caught.value.__notes__[0]
    assert pool.stats().submitted == 0


# ---------------------------------------------------------------- calls that end badly


@pytest.mark.parametrize(
    ("call", "argument", "exitcode"),
    [
        (jobs.leave, 3, 3),
        (jobs.leave, 0, 0),
        (jobs.kill, signal.SIGKILL, -signal.SIGKILL),
        (jobs.kill, signal.SIGTERM, -signal.SIGTERM),
        (jobs.segfault, None, -signal.SIGSEGV),
    ],
)
def test_a_worker_that_dies_costs_its_own_call_and_no_other(pool, call, argument, exitcode):
    """WorkerLost says how it died; what runs beside it goes on."""
    beside = pool.submit(jobs.sleep, 0.3)
    lost = pool.submit(call) if argument is None else pool.submit(call, argument)

    error = lost.exception(20)

    assert isinstance(error, WorkerLost)
    assert error.exitcode == exitcode
    assert error.pid is not None
    assert pickle.loads(pickle.dumps(error)).exitcode == exitcode  # noqa: S301 - our own
    assert beside.result(20) == 0.3
    assert pool.submit(jobs.same, 1).result(20) == 1


def test_an_idempotent_call_is_run_again_when_its_worker_dies(pool, tmp_path):
    """Up to three times more; others are not."""
    again = pool.options(idempotent=True)

    assert again.submit(jobs.once, str(tmp_path / "once")).result(20) == "done"
    with pytest.raises(WorkerLost, match="4 attempts"):
        again.submit(jobs.count, str(tmp_path / "count")).result(20)
    assert (tmp_path / "count").read_text() == "xxxx"
    with pytest.raises(WorkerLost):
        pool.submit(jobs.once, str(tmp_path / "never again")).result(20)


@pytest.mark.parametrize(("call", "args"), [(jobs.spin, ()), (jobs.sleep, (60,))])
def test_a_call_past_its_timeout_is_ended_with_its_process(pool, call, args):
    """Also one in C code; another one is there at once."""
    with pytest.raises(CallTimeout) as caught:
        pool.options(timeout=0.2).submit(call, *args).result(20)

    assert caught.value.stopped
    assert pool.submit(jobs.same, 1).result(20) == 1
    assert pool.stats().timeouts == 1
    assert pool.stats().in_flight == 0


def test_a_worker_that_ignores_sigterm_is_killed_after_the_grace(pool, tmp_path):
    """Its caller hears of it when it is dead."""
    with pytest.raises(CallTimeout) as caught:
        pool.options(timeout=0.5).submit(jobs.ignore_term, str(tmp_path / "ignores")).result(20)

    assert caught.value.stopped
    assert (tmp_path / "ignores").exists()


def test_the_timeout_starts_when_the_call_starts():
    """Not while it waits for its turn."""
    with ProcessPool(1, timeout=0.6) as pool:
        calls = [pool.submit(jobs.sleep, 0.25) for _ in range(4)]

        assert [call.result(20) for call in calls] == [0.25] * 4


def test_cancelling_a_running_call_ends_its_process(pool):
    """A future's cancel, which tells the truth about it."""
    running = pool.submit(jobs.sleep, 60)
    _until(lambda: running.running() and pool.pids())
    pids = pool.pids()

    assert running.cancel()

    assert running.cancelled()
    _until(lambda: pool.stats().in_flight == 0 and not set(pids) <= set(pool.pids()))


async def test_cancelling_the_caller_ends_the_process(pool):
    """Or takes the call out of line."""
    running = [asyncio.create_task(pool.run(jobs.sleep, 60)) for _ in range(2)]
    waiting = asyncio.create_task(pool.run(jobs.sleep, 60))
    while pool.stats().in_flight < 2:
        await asyncio.sleep(0.01)

    waiting.cancel()
    await asyncio.sleep(0)
    for task in running:
        task.cancel()
    outcomes = await asyncio.gather(*running, waiting, return_exceptions=True)

    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert await pool.run(jobs.same, 3) == 3
    assert pool.stats().withdrawn == 1


def test_deadlines_are_inherited(pool):
    """By a call that runs, and by one that waits."""
    with deadline(0.3), pytest.raises(CallTimeout):
        pool.submit(jobs.sleep, 60).result(20)

    busy = [pool.submit(jobs.sleep, 60) for _ in range(2)]
    with deadline(0.2), pytest.raises(Rejected):
        pool.submit(jobs.same, 1).result(20)
    for call in busy:
        call.cancel()


# ---------------------------------------------------------------- admission, as in other pools


def test_a_full_queue_rejects_or_waits():
    """The same admission as in every pool."""
    with ProcessPool(1, max_queue=1, overflow="reject") as pool:
        calls = [pool.submit(jobs.sleep, 0.3), pool.submit(jobs.sleep, 0)]
        with pytest.raises(QueueFull):
            pool.submit(jobs.same, 1)
        assert [call.result(20) for call in calls] == [0.3, 0]

    with ProcessPool(1, max_queue=0) as pool:
        assert [pool.submit(jobs.same, i).result(20) for i in range(3)] == [0, 1, 2]
        blocked = [pool.submit(jobs.sleep, 0.05) for _ in range(4)]
        assert all(call.result(20) == 0.05 for call in blocked)


def test_a_call_in_line_leaves_it_after_its_queue_timeout():
    """And never starts."""
    with ProcessPool(1) as pool:
        first = pool.submit(jobs.sleep, 0.5)
        with pytest.raises(QueueTimeout):
            pool.options(queue_timeout=0.05).submit(jobs.same, 1).result(20)
        assert first.result(20) == 0.5


def test_a_rate_spaces_the_starts():
    """As in every pool."""
    with ProcessPool(2, rate=Rate(2, per=0.4, burst=1)) as pool:
        began = time.monotonic()
        assert [call.result(20) for call in [pool.submit(jobs.same, i) for i in range(5)]] == [
            *range(5)
        ]
        assert time.monotonic() - began >= 0.7


def test_the_budget_of_processes_is_kept(tmp_path):
    """Whatever the number of pools; what waits gets its turn."""
    before = set_budget(Budget(threads=64, processes=2, descriptors=512, memory_bytes=1 << 30))
    try:
        with ProcessPool(2, spares=0) as first, ProcessPool(2, spares=0) as second:
            assert [call.result(20) for call in [first.submit(jobs.same, i) for i in range(4)]]
            calls = [pool.submit(jobs.sleep, 0.1) for pool in (first, second) for _ in range(3)]
            most = 0
            while not all(call.done() for call in calls):
                most = max(most, len(first.pids()) + len(second.pids()))
                time.sleep(0.005)
            assert most <= 2
    finally:
        set_budget(before)


def test_keys_of_outcomes_are_refused(pool):
    """They are kept in this process; the error says what to do."""
    with pytest.raises(ValueError, match="other processes"):
        pool.options(idempotency_key="once")


# ---------------------------------------------------------------- processes that come and go


def test_workers_are_replaced_after_so_many_calls():
    """Between two calls."""
    with ProcessPool(1, max_calls_per_worker=3) as pool:
        pids = [pool.submit(jobs.pid).result(20) for _ in range(9)]

    counts = [pids.count(one) for one in set(pids)]
    assert max(counts) == 3  # a spare that has just become ready may have the next call, too
    assert len(counts) >= 3


def test_idle_workers_end_and_the_least_stays():
    """After idle_timeout, down to min_workers."""
    with ProcessPool(4, idle_timeout=0.2, min_workers=1) as pool:
        _until(lambda: len(pool.pids()) == 1)
        calls = [pool.submit(jobs.sleep, 0.1) for _ in range(4)]
        assert [call.result(20) for call in calls] == [0.1] * 4
        assert len(pool.pids()) >= 4
        _until(lambda: len(pool.pids()) == 1)


def test_workers_that_are_too_old_are_replaced():
    """Between two calls."""
    with ProcessPool(1, max_worker_age=0.2) as pool:
        first = pool.submit(jobs.pid).result(20)
        _until(lambda: pool.submit(jobs.pid).result(20) != first)


@pytest.mark.skipif(not LINUX, reason="the memory of another process is read from /proc")
def test_a_worker_above_its_memory_is_ended():
    """And the call is told that memory was the cause."""
    with ProcessPool(1, max_worker_memory=150 << 20, kill_grace=0.2) as pool:
        with pytest.raises(WorkerLost, match="max_worker_memory") as caught:
            pool.submit(jobs.hold, 300 << 20).result(20)
        assert caught.value.out_of_memory
        assert pool.submit(jobs.same, 1).result(20) == 1


def test_an_initializer_runs_in_each_worker():
    """Before its first call."""
    with ProcessPool(2, initializer=jobs.remember, initargs=("x",)) as pool:
        assert pool.submit(jobs.remembered).result(20) == ["x"]


@pytest.mark.parametrize(
    ("initializer", "args"), [(jobs.fail, ("not ready",)), (jobs.die_at_start, ())]
)
def test_a_broken_initializer_is_said_and_does_not_fork_for_ever(initializer, args):
    """Everything that waits is refused, and so is what comes."""
    with ProcessPool(2, initializer=initializer, initargs=args) as pool:
        calls = [pool.submit(jobs.same, 1) for _ in range(3)]
        for call in calls:
            error = call.exception(20)
            assert isinstance(error, PoolClosed)
            assert isinstance(error, concurrent.futures.BrokenExecutor)
            assert "not ready" in str(error) or "in a row ended before their first call" in str(
                error
            )
        with pytest.raises(concurrent.futures.BrokenExecutor):
            pool.submit(jobs.same, 1)


def test_modules_are_preloaded():
    """In the zygote, or in each worker where they start threads."""
    with ProcessPool(1, preload=["decimal"]) as pool:
        assert pool.submit(eval, "'decimal' in __import__('sys').modules").result(20)


# ---------------------------------------------------------------- the end


def test_close_ends_what_does_not_end_by_itself():
    """And tells its caller."""
    pool = ProcessPool(1, kill_grace=0.2)
    running, waiting = pool.submit(jobs.sleep, 60), pool.submit(jobs.same, 1)
    _until(lambda: running.running())

    assert not pool.close(0.1)

    assert isinstance(running.exception(5), WorkerLost)
    assert isinstance(waiting.exception(5), PoolClosed)
    with pytest.raises(PoolClosed):
        pool.submit(jobs.same, 1)
    assert pool.close()


def test_a_pool_closes_from_a_callback_of_its_own():
    """Which runs on the thread that hears the processes."""
    pool = ProcessPool(1)
    closed = []
    future = pool.submit(jobs.sleep, 0.05)
    future.add_done_callback(lambda _: closed.append(pool.close(0.1)))

    assert future.result(20) == 0.05
    _until(lambda: closed)
    _until(lambda: not pool.pids())


async def test_a_pool_closes_without_holding_the_loop():
    """As an asynchronous context manager."""
    async with ProcessPool(2) as pool:
        assert await pool.run(jobs.same, 1) == 1
    assert not pool.pids()


def test_a_forgotten_pool_finishes_what_it_has_accepted():
    """And ends its processes."""
    future = ProcessPool(1).submit(jobs.sleep, 0.1)

    assert future.result(20) == 0.1


def test_an_interrupt_of_whoever_waits_loses_nothing(pool):
    """The reply comes to the future all the same."""
    future = pool.submit(jobs.sleep, 0.4)
    main = threading.get_ident()
    timer = threading.Timer(0.15, lambda: signal.pthread_kill(main, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        future.result(20)
    timer.join()

    assert future.result(20) == 0.4
    assert pool.submit(jobs.same, 1).result(20) == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_pool_without_processes(pool):
    """It starts its own; the parent's are left alone."""
    mine = {pool.submit(jobs.pid).result(20), *pool.pids()}
    child = os.fork()
    if child == 0:
        code = 1
        try:
            theirs = pool.submit(jobs.pid).result(20)
            code = 0 if theirs not in mine and pool.close() else 2
        finally:
            os._exit(code)

    _, status = os.waitpid(child, 0)

    assert status == 0
    assert pool.submit(jobs.pid).result(20) in {*mine, *pool.pids()}
    assert mine & set(pool.pids())


def _until(condition, patience=10.0):
    """Real processes come and go in their own time."""
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)
