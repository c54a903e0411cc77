"""A call that is handed to an idle worker is run, and so are those that came with it.

The interleavings are scripted: a gate stands before each look at the line and before each wait, and the
worker passes it when the test says so.
"""

import asyncio
import threading

import pytest

from holdfast.pools import ThreadPool

pytestmark = pytest.mark.race


class Door:
    """Stops whoever is watched before it goes on; anybody else passes."""

    def __init__(self):
        self.watched = None
        self._there, self._go = threading.Semaphore(0), threading.Semaphore(0)

    def stop_here(self):
        if threading.current_thread() is self.watched:
            self._there.release()
            assert self._go.acquire(timeout=10)

    def wait_for_it(self):
        assert self._there.acquire(timeout=10), "the worker did not come this way"

    def open(self):
        self._go.release()

    def take_away(self):
        self.watched = None
        self._go.release()


class Guarded:
    """A lock with a door before it."""

    def __init__(self, lock, door):
        self._lock, self._door = lock, door

    def __enter__(self):
        self._door.stop_here()
        return self._lock.__enter__()

    def __exit__(self, *error):
        return self._lock.__exit__(*error)


@pytest.fixture
def scene():
    """A pool with one idle worker on the hot seat, a door before its lock, and one before its wait."""
    pool = ThreadPool(2, idle_timeout=60)
    crew = pool._core.crew
    pool.submit(int).result(10)
    while crew.idle.hot is None:
        pool.submit(int).result(10)
    worker = crew.idle.hot
    at_the_line, at_the_wait = Door(), Door()
    wait = crew._acquire

    def guarded_wait(latch, timeout):
        at_the_wait.stop_here()
        return wait(latch, timeout)

    crew._lock = Guarded(crew._lock, at_the_line)
    crew._acquire = guarded_wait
    at_the_line.watched = worker.thread
    yield pool, worker, at_the_line, at_the_wait
    at_the_line.take_away()
    at_the_wait.take_away()
    pool.close(timeout=10)


def test_a_worker_that_was_woken_for_nothing_takes_the_call_it_is_handed_on_its_way(scene):
    """Woken by a wake-up that came late, it is handed a call before it is at the line, and one after it."""
    pool, worker, at_the_line, at_the_wait = scene
    worker.latch.release()  # of one who found it awake already
    at_the_line.wait_for_it()
    first = pool.submit(lambda: "first")
    at_the_wait.watched = worker.thread
    at_the_line.take_away()
    at_the_wait.wait_for_it()
    second = pool.submit(lambda: "second")
    at_the_wait.take_away()

    assert (first.result(10), second.result(10)) == ("first", "second")
    assert pool.stats().in_flight == 0


def test_a_worker_that_is_told_to_leave_runs_the_call_it_was_handed_before(scene):
    """The pool is shut down while a call is handed to a worker that is on its way to the line."""
    pool, worker, at_the_line, _ = scene
    worker.latch.release()
    at_the_line.wait_for_it()
    call = pool.submit(lambda: "done")
    pool.shutdown(wait=False)
    at_the_line.take_away()

    assert call.result(10) == "done"
    assert pool.stats().in_flight == 0


async def test_of_calls_that_came_together_none_is_forgotten_while_another_loop_brings_a_single_one(
    scene,
):
    """The loop stands before the lock with three calls; another thread brings one, and the worker is idle."""
    pool, _, at_the_line, _ = scene
    core = pool._core
    at_the_line.watched = threading.current_thread()
    core._lock = Guarded(core._lock, at_the_line)

    def meanwhile():
        at_the_line.wait_for_it()
        asyncio.run(pool.run(int))
        while core.crew.idle.hot is None:  # it has nothing left to do
            pass
        at_the_line.take_away()

    other = threading.Thread(target=meanwhile)
    other.start()
    together = await asyncio.gather(*(pool.run(int, text) for text in ("1", "2", "3")))
    other.join(10)

    assert together == [1, 2, 3]
