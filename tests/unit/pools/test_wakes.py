"""Nobody is forgotten: whoever could start is started, by the one event that made it possible."""

import asyncio
import threading

import pytest

from holdfast.pools import AsyncPool, ThreadPool
from holdfast.pools._admission import Admission
from holdfast.testing.clock import FakeClock


class _Entry:
    counted, size, abandoned, state = True, 0, False, 0

    def accepted(self):
        pass

    def refuse(self, error):
        raise error


def test_a_larger_pool_starts_those_that_wait_and_nothing_else_happens():
    """Three stuck calls hold the only permit's line; the resize alone brings the others to threads."""
    release, began = threading.Event(), threading.Semaphore(0)

    def stuck():
        began.release()
        assert release.wait(20)

    pool = ThreadPool(1)
    futures = [pool.submit(stuck) for _ in range(3)]
    assert began.acquire(timeout=10)

    pool.resize(3)
    started = [began.acquire(timeout=10) for _ in range(2)]
    release.set()

    assert started == [True, True]
    assert [future.result(10) for future in futures] == [None] * 3
    pool.close()


async def test_a_larger_pool_of_coroutines_starts_those_that_wait():
    """Resized from another thread, while the loop has nothing else to do."""
    release = asyncio.Event()
    pool = AsyncPool(1)
    calls = [asyncio.ensure_future(pool.run(release.wait)) for _ in range(3)]
    while pool.stats().queued != 2:
        await asyncio.sleep(0)

    threading.Thread(target=pool.resize, args=(3,)).start()
    for _ in range(2000):
        if pool.stats().in_flight == 3:
            break
        await asyncio.sleep(0.001)
    begun = pool.stats().in_flight
    release.set()
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    assert begun == 3


@pytest.mark.parametrize("calls", [2, 5])
def test_each_of_many_blocking_calls_gets_a_thread_of_its_own(calls):
    """They were submitted at once; each worker that starts one sends the next worker."""
    meet = threading.Barrier(calls + 1)
    pool = ThreadPool(calls)
    futures = [pool.submit(meet.wait, 20) for _ in range(calls)]

    meet.wait(10)  # broken, if one of them has no thread

    assert sorted(future.result(10) for future in futures) != []
    pool.close()


async def test_each_of_many_blocking_calls_of_one_pass_gets_a_thread_of_its_own():
    """The same where a loop hands them over together."""
    meet = threading.Barrier(4)
    pool = ThreadPool(4)

    await asyncio.gather(*[pool.run(meet.wait, 10) for _ in range(4)])

    await pool.aclose()


def test_a_call_that_ends_above_the_ceiling_is_followed_by_none():
    """A pool made smaller comes down call by call, though others wait."""
    with FakeClock() as clock:
        pool = Admission(
            "shrinks", 3, max_queue=9, overflow="wait", max_abandoned=0, gate=None, clock=clock
        )
        entries = [_Entry() for _ in range(5)]
        for entry in entries:
            pool.line_up(entry, may_block=False)
        running = [pool.claim() for _ in range(3)]
        pool.resize(1)

        then = [pool.end(entry, ok=True) for entry in running]

        assert then == [None, None, entries[3]]
        assert pool.stats().in_flight == 1


def test_a_call_that_ends_above_the_ceiling_of_its_replacements_is_followed_by_none():
    """An abandoned call that ends takes its replacement's place with it."""
    with FakeClock() as clock:
        pool = Admission(
            "late", 1, max_queue=9, overflow="wait", max_abandoned=1, gate=None, clock=clock
        )
        entries = [_Entry() for _ in range(3)]
        for entry in entries:
            pool.line_up(entry, may_block=False)
        stuck = pool.claim()
        assert pool.claim() is None
        pool.abandon(stuck, timed_out=True)
        replacement = pool.claim()

        assert pool.end(stuck, ok=True) is None
        assert pool.end(replacement, ok=True) is entries[2]
