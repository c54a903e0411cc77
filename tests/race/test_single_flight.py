"""Storms on one key and on a few: many loops and threads, with threads that switch all the time.

After each, nobody waits, nothing is in flight, and every caller has had exactly one outcome.
"""

import asyncio
import random
import sys
import threading

import pytest

from holdfast.errors import Aborted, CallTimeout
from holdfast.flow.single_flight import SingleFlight

pytestmark = pytest.mark.race


@pytest.fixture(autouse=True)
def switch_often():
    """Let threads take turns after a microsecond instead of five milliseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(count, work):
    """Run ``work(i)`` in so many threads and raise the first error of any."""
    errors = []

    def guarded(i):
        try:
            work(i)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


class Gauge:
    """How many run at once for each key, over all threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.now = {}
        self.most = 0
        self.runs = 0

    def enter(self, key):
        with self.lock:
            self.runs += 1
            self.now[key] = self.now.get(key, 0) + 1
            self.most = max(self.most, self.now[key])

    def leave(self, key):
        with self.lock:
            self.now[key] -= 1


def at_rest(flight):
    stats = flight.stats()
    return (stats.in_flight, stats.waiting, stats.ending, stats.runs) == (0, 0, 0, ())


@pytest.mark.parametrize("seed", range(3))
def test_at_most_one_runs_of_each_key_over_loops_and_threads(seed):
    """Two loops and two blocking threads, three keys; nobody leaves, so nobody overlaps."""
    flight, gauge = SingleFlight(), Gauge()
    calls = [0] * 4

    async def work(key, rng):
        gauge.enter(key)
        for _ in range(rng.randrange(3)):
            await asyncio.sleep(0)
        gauge.leave(key)
        return key

    def blocking_work(key):
        gauge.enter(key)
        gauge.leave(key)
        return key

    async def in_loop(i, rng):
        async def caller():
            key = rng.randrange(3)
            calls[i] += 1
            assert await flight.run(key, work, key, rng) == key

        for _ in range(40):
            await asyncio.gather(*(caller() for _ in range(rng.randrange(1, 20))))

    def in_thread(i, rng):
        for _ in range(400):
            key = rng.randrange(3)
            calls[i] += 1
            assert flight.run_sync(key, blocking_work, key) == key

    def one(i):
        rng = random.Random(seed * 10 + i)
        if i % 2:
            in_thread(i, rng)
        else:
            asyncio.run(in_loop(i, rng))

    in_threads(4, one)

    stats = flight.stats()
    assert gauge.most == 1
    assert gauge.runs == stats.leaders
    assert stats.leaders + stats.joiners == sum(calls)
    assert stats.shared == stats.joiners
    assert at_rest(flight)


@pytest.mark.parametrize("promote", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_everyone_is_told_once_while_callers_leave_and_leaders_are_aborted(seed, promote):  # noqa: PLR0915 - one storm, told in one piece
    """Cancelled, timed out, aborted at random moments; loops come and go with callers in them."""
    flight = SingleFlight(promote=promote)
    counted = {"began": 0, "value": 0, "error": 0, "gone": 0}
    lock = threading.Lock()

    async def work(rng):
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        if rng.random() < 0.2:
            raise KeyError
        if rng.random() < 0.2:
            asyncio.current_task().cancel()
            await asyncio.sleep(0)
        return "value"

    async def call(rng):
        with lock:
            counted["began"] += 1  # a task that is cancelled before its first step does not
        view = flight.options(timeout=rng.choice([None, 0.0005, 5]))
        return await view.run(rng.randrange(2), work, rng)

    async def in_loop(rng):
        tasks = []
        for _ in range(150):
            tasks.append(asyncio.ensure_future(call(rng)))
            if rng.random() < 0.5:
                await asyncio.sleep(0)
            if rng.random() < 0.5:
                rng.choice(tasks).cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for one in ended:
            count(one)

    def count(outcome):
        kind = {str: "value", KeyError: "error"}.get(type(outcome), "gone")
        if kind == "gone":
            assert type(outcome) in {asyncio.CancelledError, CallTimeout, Aborted}
        with lock:
            counted[kind] += 1

    def in_thread(rng):
        for _ in range(150):
            try:
                count(
                    flight.options(timeout=rng.choice([None, 0.0005])).run_sync(
                        rng.randrange(2), str
                    )
                )
            except (KeyError, CallTimeout, Aborted) as error:
                count(error)

    def one(i):
        rng = random.Random(seed * 10 + i)
        if i == 3:
            in_thread(rng)
        else:
            for _ in range(5):
                asyncio.run(in_loop(rng))

    in_threads(4, one)

    stats = flight.stats()
    assert at_rest(flight)
    assert stats.leaders + stats.joiners == counted["began"] + 150
    assert counted["value"] + counted["error"] + counted["gone"] == 3 * 5 * 150 + 150
    assert stats.stalls == 0
    assert counted["value"] > 0
    assert (stats.promotions > 0) is promote


@pytest.mark.parametrize("seed", range(4))
def test_a_run_that_settles_while_callers_join_strands_none_of_them(seed):
    """A ticket is settled in one thread while coroutines and threads come in others."""
    flight = SingleFlight()

    async def join(rng):
        for _ in range(200):
            with flight.begin("k") as ticket:
                if ticket.leads:
                    for _ in range(rng.randrange(3)):
                        await asyncio.sleep(0)
                    ticket.settle("value")
                else:
                    assert await ticket.join() == "value"

    def join_blocking(rng):
        for _ in range(200):
            with flight.begin("k") as ticket:
                if not ticket.leads:
                    assert ticket.join_sync() == "value"
                elif rng.random() < 0.5:
                    settler = threading.Thread(target=ticket.settle, args=("value",))
                    settler.start()
                    settler.join()
                else:
                    ticket.settle("value")

    def one(i):
        rng = random.Random(seed * 10 + i)
        if i % 2:
            join_blocking(rng)
        else:
            asyncio.run(join(rng))

    in_threads(4, one)

    assert at_rest(flight)
    assert flight.stats().shared == flight.stats().joiners


@pytest.mark.parametrize("seed", range(4))
def test_a_flight_that_closes_under_load_tells_everyone(seed):
    """Nobody hangs, and nobody is let in afterwards."""
    flight = SingleFlight()
    closed = threading.Event()

    async def work():
        await asyncio.sleep(0)
        return "value"

    async def in_loop(rng):
        outcomes = []
        for _ in range(100):
            outcomes += await asyncio.gather(
                *(flight.run(rng.randrange(3), work) for _ in range(3)), return_exceptions=True
            )
        assert {type(one).__name__ for one in outcomes} <= {"str", "Aborted", "PoolClosed"}
        if not closed.is_set():
            closed.set()
            flight.close()

    in_threads(3, lambda i: asyncio.run(in_loop(random.Random(seed * 10 + i))))

    assert at_rest(flight)
