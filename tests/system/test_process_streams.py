"""Streams through worker processes: order, bounds, errors, deaths, and who is left behind."""

import asyncio
import fcntl
import os
import signal
import sys
import threading
import time

import pytest
from tests.system import process_jobs as jobs

from holdfast import CallTimeout, ProcessPool, Retry, WorkerLost
from holdfast.limits.retry_budget import RetryBudget
from holdfast.pools import _process_delivery
from holdfast.pools._child import wire
from holdfast.pools._process_worker import WorkerProcess
from holdfast.pools._retries import RETRIES, set_retry_budget

pytestmark = pytest.mark.system


@pytest.fixture
def pool():
    """A pool of two, closed after the test."""
    with ProcessPool(2, name="test", kill_grace=0.5) as one:
        yield one


def numbers(count):
    """A generator, which may run anybody's code."""
    yield from range(count)


@pytest.mark.parametrize(
    "make", [range, lambda n: list(range(n)), numbers], ids=["range", "list", "generator"]
)
@pytest.mark.parametrize("count", [0, 1, 500])
def test_outcomes_come_in_input_order(pool, make, count):
    """From any kind of input."""
    assert list(pool.stream(jobs.same, make(count))) == list(range(count))
    assert sorted(pool.stream(jobs.same, make(count), ordered=False)) == list(range(count))


@pytest.mark.skipif(sys.platform != "linux", reason="items are sent ahead on Linux only")
def test_no_more_is_sent_ahead_than_a_small_pipe_takes(monkeypatch):
    """Whoever has very many pipes gets small ones; the thread that writes must never wait for a worker."""
    written = []
    real_open, real_send = WorkerProcess._open, WorkerProcess.send_raw

    def open_small(worker):
        real_open(worker)
        fcntl.fcntl(worker.writing_fd, fcntl.F_SETPIPE_SZ, 4096)
        worker.measure()

    def send_raw(worker, data):
        written.append(len(data))
        real_send(worker, data)

    monkeypatch.setattr(WorkerProcess, "_open", open_small)
    monkeypatch.setattr(WorkerProcess, "send_raw", send_raw)

    with ProcessPool(1, name="test") as pool:
        assert list(pool.stream(jobs.same, range(2000))) == list(range(2000))

    assert max(written) <= 4 * wire.SLOT


@pytest.mark.skipif(sys.platform != "linux", reason="pipes are measured on Linux only")
@pytest.mark.parametrize("how", ["submit", "run", "stream"])
@pytest.mark.parametrize("value", ["x" * 9000, [b"x"] * 5000, bytearray(9000)], ids=type)
def test_what_a_small_pipe_does_not_take_goes_through_shared_memory(how, value, monkeypatch):
    """The thread that writes must never wait for a worker, which may have been stopped."""
    written = []
    real_open, real_write = WorkerProcess._open, os.write

    def open_small(worker):
        real_open(worker)
        fcntl.fcntl(worker.writing_fd, fcntl.F_SETPIPE_SZ, 4096)
        worker.measure()

    def write(fd, data):
        written.append(len(data))
        return real_write(fd, data)

    monkeypatch.setattr(WorkerProcess, "_open", open_small)
    with ProcessPool(1, name="test") as pool:
        pool.submit(jobs.same, 0).result(20)
        monkeypatch.setattr(os, "write", write)
        monkeypatch.setattr(_process_delivery, "_write", write)
        if how == "submit":
            found = [pool.submit(jobs.same, value).result(20) for _ in range(3)]
        elif how == "run":
            found = [asyncio.run(pool.run(jobs.same, value)) for _ in range(3)]
        else:
            found = list(pool.stream(jobs.same, [value] * 3))

    assert found == [value] * 3
    assert max(written) <= 4096


async def test_a_coroutine_consumes_an_asynchronous_input(pool):
    """Which is pulled on its loop."""

    async def slowly():
        for i in range(20):
            await asyncio.sleep(0)
            yield i

    assert [value async for value in pool.stream(jobs.same, slowly())] == list(range(20))


async def test_all_that_an_async_input_gave_before_it_broke_is_run(pool):
    """The error comes behind what lay in line."""

    async def breaks():
        for i in range(9):
            yield i
        raise OSError("the input broke")

    found = []
    with pytest.raises(OSError, match="broke"):
        async for value in pool.stream(jobs.same, breaks(), buffer=10):
            found.append(value)

    assert found == list(range(9))
    assert await pool.gather(jobs.same, range(20)) == list(range(20))


def test_an_input_is_pulled_no_further_than_the_window(pool):
    """Limit + buffer items are between input and consumer."""
    pulled = []

    def watched():
        for i in range(100):
            pulled.append(i)
            yield i

    stream = iter(pool.stream(jobs.same, watched(), limit=2, buffer=3))
    next(stream)
    time.sleep(0.3)
    assert len(pulled) <= 1 + 5 + 1
    del stream


def test_the_first_error_ends_the_stream(pool):
    """And the processes of those that still run."""
    began = time.monotonic()
    with pytest.raises(TypeError):
        list(pool.stream(jobs.sleep, [60, "no number", 60], ordered=False))

    assert time.monotonic() - began < 20
    _until(lambda: pool.stats().in_flight == 0)


def test_an_error_of_the_input_comes_behind_what_it_gave(pool):
    """As in every stream."""

    def broken():
        yield 1
        yield 2
        raise KeyError

    found = []
    with pytest.raises(KeyError):
        for value in pool.stream(jobs.same, broken()):
            found.append(value)  # noqa: PERF402 - what came before the error

    assert found == [1, 2]


def test_a_worker_that_dies_costs_one_item(pool, tmp_path):
    """Or none, where items may be run again."""
    outcomes = list(pool.stream(jobs.leave, [3, 4], outcomes=True))
    assert [type(outcome.error) for outcome in outcomes] == [WorkerLost, WorkerLost]
    assert [outcome.error.exitcode for outcome in outcomes] == [3, 4]

    again = pool.options(idempotent=True)
    assert list(again.stream(jobs.once, [str(tmp_path / f"{i}") for i in range(4)])) == ["done"] * 4
    retried = pool.stream(jobs.once, [str(tmp_path / "retried")], retry=Retry(3, on=(WorkerLost,)))
    assert list(retried) == ["done"]


def test_an_item_past_its_timeout_is_ended(pool):
    """The others are not."""
    outcomes = list(pool.options(timeout=0.4).stream(jobs.sleep, [0, 60, 0, 60, 0], outcomes=True))

    assert [outcome.value for outcome in outcomes] == [0, None, 0, None, 0]
    assert all(isinstance(outcomes[i].error, CallTimeout) for i in (1, 3))
    assert outcomes[1].error.stopped


def test_what_was_sent_ahead_of_a_slow_item_is_taken_back(pool):
    """It runs elsewhere meanwhile, and once."""
    began = time.monotonic()
    found = list(pool.stream(jobs.slow_at, range(400), ordered=False))
    slow = next(pid for index, pid in found if index == 40)

    assert sorted(index for index, _ in found) == list(range(400))
    assert {index for index, pid in found if pid != slow} >= {399}
    assert time.monotonic() - began < 10


def test_a_consumer_that_leaves_ends_what_runs(pool):
    """With its process."""
    for _ in pool.stream(jobs.sleep, [0, 60, 60, 60]):
        break

    _until(lambda: pool.stats().in_flight == 0)
    assert pool.submit(jobs.same, 1).result(20) == 1


def test_deaths_in_the_middle_of_a_stream_lose_nothing(pool, tmp_path):
    """Items that may be run again all come out, once and in order."""
    seen = str(tmp_path / "seen")
    stop = threading.Event()

    def shoot():
        while not stop.wait(0.05):
            for pid in pool.pids()[:1]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    shooter = threading.Thread(target=shoot)
    shooter.start()
    try:
        work = pool.options(idempotent=True).stream(
            jobs.Noting(seen), range(600), retry=Retry(50, on=(WorkerLost,), wait=0.0)
        )
        assert list(work) == [2 * i for i in range(600)]
    finally:
        stop.set()
        shooter.join()


def test_a_stream_in_a_storm_makes_no_more_retries_than_the_budget_has(pool):
    """One for every tenth item and one more; an item that gets none has failed with its own error."""
    before = set_retry_budget(RetryBudget(ratio=0.1, per_s=0.0))
    try:
        RETRIES.after_fork()
        retry = Retry(5, wait=0.0, on=(ValueError,))
        outcomes = list(pool.stream(jobs.fail, map(str, range(100)), outcomes=True, retry=retry))
        spent, refused = RETRIES.counts()
    finally:
        set_retry_budget(before)
        RETRIES.after_fork()

    assert [str(outcome.error) for outcome in outcomes] == [str(n) for n in range(100)]
    assert 10 <= spent <= 11
    assert sum(outcome.attempts for outcome in outcomes) == 100 + spent
    notes = [getattr(outcome.error, "__notes__", []) for outcome in outcomes]
    assert sum(any("used up" in note for note in each) for each in notes) == refused


def _until(condition, patience=10.0):
    """Real processes come and go in their own time."""
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)
