"""The system refuses the timer its thread: what stands still is looked at all the same, by whoever waits."""

import asyncio
import threading

import pytest

from holdfast.limits import Rate
from holdfast.pools import AsyncPool, ThreadPool, _thread_hire, _timer
from holdfast.pools._timer import TIMER


@pytest.fixture
def no_timer(monkeypatch):
    """Refuse every thread that is started for the timer, and count how often."""
    refusals = []

    def refuse(name, target):
        refusals.append(name)
        raise RuntimeError("can't start new thread")

    TIMER.settle()
    monkeypatch.setattr(_timer, "start_thread", refuse)
    yield refusals
    TIMER._wheel.pop_due(float("inf"))
    TIMER.threadless = False


def test_calls_that_a_rate_holds_back_start_in_blocking_code(no_timer):
    """The idle worker that found the rate used up looks again when it allows a start."""
    with ThreadPool(2, rate=Rate(1, per=0.05, burst=1)) as pool:
        futures = [pool.submit(pow, 2, n) for n in range(4)]

        assert [future.result(20) for future in futures] == [1, 2, 4, 8]
    assert no_timer


async def test_calls_that_a_rate_holds_back_start_in_a_loop(no_timer):
    """The loop on which the permits are waited for has a timer of its own."""
    async with AsyncPool(2, rate=Rate(1, per=0.05, burst=1)) as pool:
        calls = [pool.run(asyncio.sleep, 0, n) for n in range(4)]

        assert await asyncio.wait_for(asyncio.gather(*calls), 20) == [0, 1, 2, 3]
    assert no_timer


async def test_calls_of_a_loop_that_a_rate_holds_back_in_a_thread_pool_start(no_timer):
    """There it is the worker that looks; the loop knows nothing of the rate."""
    async with ThreadPool(2, rate=Rate(1, per=0.05, burst=1)) as pool:
        calls = [pool.run(pow, 2, n) for n in range(4)]

        assert await asyncio.wait_for(asyncio.gather(*calls), 20) == [1, 2, 4, 8]
    assert no_timer


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_pool_whose_further_threads_were_refused_gets_them_later(no_timer, monkeypatch):
    """Its only worker is busy, and no call comes any more: the thread that waits asks again."""
    start, refused = _thread_hire.start_thread, []
    release = threading.Event()

    def refuse_twice(name, target):
        if name.endswith("/1") and not refused:
            refused.append(name)
            raise RuntimeError("can't start new thread")
        return start(name, target)

    with ThreadPool(2, name="few") as pool:
        first = pool.submit(release.wait, 20)
        while not first.running():
            release.wait(0.001)
        monkeypatch.setattr(_thread_hire, "start_thread", refuse_twice)
        second = pool.submit(release.set)

        assert second.result(20) is None
        assert first.result(20)
    assert refused
    assert no_timer


def test_a_call_with_a_deadline_is_refused_where_nobody_can_watch_it(no_timer):
    """As ever: who stands in comes late perhaps, and a deadline is a promise."""
    with ThreadPool(1, timeout=10) as pool, pytest.raises(Exception, match="watches deadlines"):
        pool.submit(int)


def test_the_thread_does_the_work_again_as_soon_as_it_can_be_had(monkeypatch):
    """Who stands in asks for it at every look."""
    start, refused = _timer.start_thread, []

    def refuse_once(name, target):
        if not refused:
            refused.append(name)
            raise RuntimeError("can't start new thread")
        return start(name, target)

    TIMER.settle()
    monkeypatch.setattr(_timer, "start_thread", refuse_once)
    with ThreadPool(1, rate=Rate(1, per=0.05, burst=1)) as pool:
        futures = [pool.submit(pow, 2, n) for n in range(3)]

        assert [future.result(20) for future in futures] == [1, 2, 4]
    assert refused
    assert not TIMER.threadless
