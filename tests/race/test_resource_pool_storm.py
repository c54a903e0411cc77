"""Borrowers of a resource pool, cancelled at every moment, from several loops and threads at once."""

import asyncio
import contextlib
import gc
import logging
import random
import sys
import threading
from functools import partial

import pytest

from holdfast import Rejected, ResourcePool
from holdfast.track import DESCRIPTORS

pytestmark = pytest.mark.race

LOOPS, THREADS, TASKS, CALLS = 3, 2, 150, 60


class Thing:
    """Knows whether it is used by one at a time, and closed once."""

    made = 0
    lock = threading.Lock()

    def __init__(self):
        self.users = 0
        self.closed = False
        with Thing.lock:
            Thing.made += 1

    def enter(self):
        self.users += 1
        if self.users != 1 or self.closed:
            Thing.faults.append(f"{self.users} users, closed: {self.closed}")

    def leave(self):
        self.users -= 1

    def close(self):
        if self.closed or self.users:
            Thing.faults.append(f"closed with {self.users} users, closed before: {self.closed}")
        self.closed = True
        with Thing.lock:
            Thing.made -= 1


@pytest.fixture(params=[0.005, 1e-6], ids=["usual turns", "short turns"])
def switch_interval(request):
    """How long a thread may keep the interpreter."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(request.param)
    yield
    sys.setswitchinterval(before)


def _pool(rng, *, blocking):
    """A pool whose functions fail now and then."""

    def create():
        if rng.random() < 0.1:
            raise ConnectionRefusedError
        return Thing()

    def reset(thing):
        if rng.random() < 0.05:
            raise ConnectionResetError

    def check(thing):
        return rng.random() > 0.05

    def later(fn):
        async def run(*args):
            await asyncio.sleep(rng.choice((0, 0, 0.0005)))
            return fn(*args)

        return run

    functions = [create, Thing.close, reset, check]
    if not blocking:
        functions = [later(fn) for fn in functions]
    create, destroy, reset, check = functions
    return ResourcePool(
        create,
        destroy,
        reset=reset,
        check=check,
        max_size=4,
        max_opening=2,
        max_waiting=10_000,
        timeout=20.0,
        idle_timeout=0.05,
        max_lifetime=0.2,
        name="storm",
    )


async def _borrow(pool, rng):
    async with pool.borrow(timeout=rng.choice((20.0, 0.001))) as thing:
        thing.enter()
        try:
            await asyncio.sleep(rng.choice((0, 0.0002, 0.001)))
        finally:
            thing.leave()


async def _loop(pool, rng):
    """Many borrowers, of which half are cancelled at some moment."""
    loop = asyncio.get_running_loop()
    tasks = []
    for _ in range(TASKS):
        task = asyncio.create_task(_borrow(pool, rng))
        tasks.append(task)
        how = rng.random()
        if how < 0.1:
            task.cancel()
        elif how < 0.5:
            loop.call_later(rng.random() * 0.05, task.cancel)
        if rng.random() < 0.1:
            await asyncio.sleep(0)
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception) and not isinstance(outcome, Rejected):
            Thing.faults.append(repr(outcome))


def _thread(pool, rng):
    for n in range(CALLS):
        with contextlib.suppress(Rejected):
            lease = pool.acquire(timeout=rng.choice((20.0, 0.001)))
            thing = lease.resource
            thing.enter()
            thing.leave()
            if n % 5 == 0:
                cycle = [lease]  # dropped: the collector gives it back, wherever it runs
                cycle.append(cycle)
                del cycle
            elif n % 7 == 0:
                lease.discard()
            else:
                lease.release()
            del lease, thing


@pytest.mark.usefixtures("switch_interval")
@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "loop"])
@pytest.mark.parametrize("seed", range(4))
def test_a_storm_of_cancellations_leaves_nothing_lent_or_open(seed, blocking, monkeypatch):
    """Each resource has one user at a time, is closed once, and everybody was served or told."""
    monkeypatch.setattr(
        logging.getLogger("holdfast.track"), "disabled", True
    )  # failures on purpose
    Thing.made, Thing.faults = 0, []
    pool = _pool(random.Random(seed), blocking=blocking)
    works = [
        partial(lambda rng: asyncio.run(_loop(pool, rng)), random.Random(seed * 100 + n))
        for n in range(LOOPS)
    ]
    if blocking:
        works += [partial(_thread, pool, random.Random(seed * 200 + n)) for n in range(THREADS)]
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for _ in range(3000):
        gc.collect(1)  # whose finalizers run in this thread, in the middle of whatever it does
        alive = [thread for thread in threads if thread.is_alive()]
        if not alive:
            break
        alive[0].join(0.01)
    assert not any(thread.is_alive() for thread in threads), pool.stats()
    gc.collect()
    pool.close()
    stats = pool.stats()

    assert Thing.faults == []
    assert Thing.made == 0
    assert (stats.size, stats.lent, stats.waiting, stats.opening, stats.closing) == (0,) * 5
    assert stats.opened == sum(stats.closed.values())
    assert "pool 'storm'" not in dict(DESCRIPTORS.holders())
    assert stats.peak_size <= 4
