"""What an order of waiting promises: fairness by key, priority with ageing, and first come first served."""

import asyncio
import random
import threading
from collections import OrderedDict

import pytest

from holdfast.errors import PoolClosed, QueueFull
from holdfast.pools import AsyncPool, ThreadPool
from holdfast.pools._order_line import OrderedLine
from holdfast.pools.order import Fair, Priority


async def settle():
    """Let everything that is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


class Held:
    """A pool of one permit that is out, and the names of those that were served after it."""

    def __init__(self, pool):
        self.pool = pool
        self.served = []
        self.tasks = []
        self._free = asyncio.Event()

    async def __aenter__(self):
        self._holder = asyncio.ensure_future(self.pool.run(self._free.wait))
        await settle()
        return self

    async def __aexit__(self, *exc):
        self._free.set()
        await asyncio.gather(self._holder, *self.tasks, return_exceptions=True)
        await self.pool.aclose()

    def call(self, name, **options):
        """Send a call that waits."""
        self.tasks.append(
            asyncio.ensure_future(self.pool.options(**options).run(self._serve, name))
        )
        return self.tasks[-1]

    async def _serve(self, name):
        self.served.append(name)
        return name

    async def release(self):
        """Give the permit back, and wait until nobody waits."""
        self._free.set()
        await asyncio.gather(self._holder, *self.tasks, return_exceptions=True)


def line_of(pool):
    return pool._core.admission._line


def blocked_of(pool):
    return pool._core.admission._blocked


# ---------------------------------------------------------------- fair


async def test_a_quiet_key_waits_for_one_call_of_a_noisy_one():
    """However many the noisy one has sent before."""
    async with Held(AsyncPool(1, order=Fair())) as held:
        for i in range(100):
            held.call(f"noisy {i}", key="noisy")
        held.call("quiet", key="quiet")
        held.call("quiet again", key="quiet")
        await settle()

        await held.release()

    assert held.served[:4] == ["noisy 0", "quiet", "noisy 1", "quiet again"]
    assert held.served[4:] == [f"noisy {i}" for i in range(2, 100)]


async def test_calls_without_a_key_share_one():
    """They are one more session among the others."""
    async with Held(AsyncPool(1, order=Fair())) as held:
        for name, options in (("a", {}), ("b", {}), ("c", {"key": None}), ("d", {"key": "d"})):
            held.call(name, **options)
        await settle()

        await held.release()

    assert held.served == ["a", "d", "b", "c"]


async def test_who_is_blocked_before_a_full_queue_gets_in_by_turns():
    """A noisy key fills the queue and the way to it; a quiet one still comes soon."""
    async with Held(AsyncPool(1, max_queue=4, order=Fair())) as held:
        for i in range(50):
            held.call(f"noisy {i}", key="noisy")
        await settle()
        held.call("quiet", key="quiet")
        await settle()
        assert held.pool.stats().blocked == 47

        await held.release()

    assert held.served.index("quiet") <= 4
    noisy = [name for name in held.served if name != "quiet"]
    assert noisy == [f"noisy {i}" for i in range(50)]


async def test_a_fair_pool_drops_the_oldest_call_of_the_key_that_has_most():
    """Whoever crowds the queue makes room, not the session that has one call in it."""
    async with Held(AsyncPool(1, max_queue=3, overflow="drop_oldest", order=Fair())) as held:
        quiet = held.call("quiet", key="quiet")
        noisy = [held.call(f"noisy {i}", key="noisy") for i in range(4)]
        await settle()

        assert [task.done() for task in noisy] == [True, True, False, False]
        assert not quiet.done()
        await held.release()

    assert held.served == ["quiet", "noisy 2", "noisy 3"]
    for dropped in noisy[:2]:
        assert isinstance(dropped.exception(), QueueFull)
    assert held.pool.stats().rejected == {"full": 2}


async def test_a_fair_pool_that_rejects_refuses_whoever_comes():
    """The queue is bounded as a whole; nobody who was accepted is thrown out again."""
    async with Held(AsyncPool(1, max_queue=2, overflow="reject", order=Fair())) as held:
        held.call("noisy 0", key="noisy")
        held.call("noisy 1", key="noisy")
        late = held.call("quiet", key="quiet")
        await settle()

        assert isinstance(late.exception(), QueueFull)
        await held.release()

    assert held.served == ["noisy 0", "noisy 1"]


def test_blocking_calls_are_served_by_turns():
    """The same in a thread pool, for submitted calls."""
    free, served = threading.Event(), []
    with ThreadPool(1, order=Fair()) as pool:
        pool.submit(free.wait, 20)
        for i in range(3):
            pool.options(key="noisy").submit(served.append, f"noisy {i}")
        pool.options(key="quiet").submit(served.append, "quiet")
        free.set()

    assert served == ["noisy 0", "quiet", "noisy 1", "noisy 2"]


async def test_blocking_calls_that_are_awaited_are_served_by_turns():
    """Calls that one pass of a loop brings together, too."""
    free, served = threading.Event(), []
    async with ThreadPool(1, order=Fair()) as pool:
        noisy, quiet = pool.options(key="noisy"), pool.options(key="quiet")
        pool.submit(free.wait, 20)
        calls = [asyncio.ensure_future(noisy.run(served.append, i)) for i in range(3)]
        calls.append(asyncio.ensure_future(quiet.run(served.append, "quiet")))
        await settle()
        free.set()
        await asyncio.gather(*calls)

    assert served == [0, "quiet", 1, 2]


async def test_a_stream_stands_in_line_with_its_key():
    """Its turns are those of the session that it belongs to."""
    pool = AsyncPool(1, order=Fair())
    async with Held(pool) as held:
        for i in range(3):
            held.call(f"noisy {i}", key="noisy")
        await settle()
        quiet = pool.options(key="quiet")
        reading = asyncio.ensure_future(quiet.gather(held._serve, ["item"]))
        await settle()

        await held.release()
        await reading

    assert held.served == ["noisy 0", "item", "noisy 1", "noisy 2"]


def test_a_stream_of_blocking_calls_stands_in_line_with_its_priority():
    """It is served before calls that came earlier and are less urgent."""
    free, served = threading.Event(), []
    with ThreadPool(1, order=Priority()) as pool:
        pool.submit(free.wait, 20)
        later = [pool.options(priority=3).submit(served.append, i) for i in range(3)]
        stream = iter(pool.options(priority=1).stream(served.append, ["item"]))
        reader = threading.Thread(target=lambda: list(stream))
        reader.start()
        while len(line_of(pool)) < 4:
            threading.Event().wait(0.001)
        free.set()
        reader.join(20)
        for call in later:
            call.result(20)

    assert served == ["item", 0, 1, 2]


async def test_nothing_is_kept_of_keys_that_do_not_wait():
    """A thousand sessions come, wait, are cancelled or served: the line is as it was."""
    rng = random.Random(7)
    async with Held(AsyncPool(1, max_queue=500, order=Fair())) as held:
        tasks = [held.call(i, key=f"session-{i % 250}") for i in range(1000)]
        await settle()
        assert line_of(held.pool).keys == 250
        for task in rng.sample(tasks, 400):
            task.cancel()
        await settle()

        await held.release()

    assert len(held.served) == 600
    assert (line_of(held.pool).keys, len(line_of(held.pool))) == (0, 0)
    assert (blocked_of(held.pool).keys, len(blocked_of(held.pool))) == (0, 0)
    stats = held.pool.stats()
    assert (stats.in_flight, stats.queued, stats.blocked) == (0, 0, 0)
    assert stats.submitted == stats.completed + stats.failed + stats.withdrawn


# ---------------------------------------------------------------- priority


async def test_the_most_urgent_is_first_and_equals_keep_their_order():
    """Lower is more urgent; a call that says nothing has 0."""
    async with Held(AsyncPool(1, order=Priority())) as held:
        for name, options in (
            ("low", {"priority": 5}),
            ("usual", {}),
            ("high", {"priority": -1}),
            ("usual too", {"priority": 0}),
            ("high too", {"priority": -1.0}),
        ):
            held.call(name, **options)
        await settle()

        await held.release()

    assert held.served == ["high", "high too", "usual", "usual too", "low"]


def test_waiting_outweighs_priority(fake_clock):
    """A level is worth ``ageing`` seconds: what has waited for longer goes first."""

    async def main():
        async with Held(AsyncPool(1, order=Priority(ageing=10.0))) as held:
            held.call("low", priority=2)
            await settle()
            fake_clock.advance(19.0)
            held.call("just in time", priority=0)
            await settle()
            fake_clock.advance(2.0)
            held.call("too late", priority=0)
            await settle()
            await held.release()
        return held.served

    with asyncio.Runner(loop_factory=fake_clock.new_event_loop) as runner:
        served = runner.run(main())

    assert served == ["just in time", "low", "too late"]


def test_who_was_blocked_does_not_lose_its_age(fake_clock):
    """The way from before a full queue into it does not begin the waiting anew."""

    async def main():
        async with Held(AsyncPool(1, max_queue=1, order=Priority(ageing=10.0))) as held:
            held.call("first")
            await settle()
            held.call("low", priority=1)  # blocked before the queue
            await settle()
            fake_clock.advance(15.0)
            held.call("high", priority=0)
            await settle()
            assert held.pool.stats().blocked == 2
            await held.release()
        return held.served

    with asyncio.Runner(loop_factory=fake_clock.new_event_loop) as runner:
        served = runner.run(main())

    assert served == ["first", "low", "high"]


async def test_the_most_urgent_of_the_blocked_gets_the_next_place():
    """A full queue does not keep the urgent behind all those that came before."""
    async with Held(AsyncPool(1, max_queue=1, order=Priority())) as held:
        for i in range(10):
            held.call(i, priority=1)
        await settle()
        held.call("urgent", priority=0)
        await settle()

        await held.release()

    assert held.served == ["urgent", *range(10)]


async def test_by_priority_the_oldest_is_dropped_whatever_its_priority():
    """``drop_oldest`` goes by arrival."""
    async with Held(AsyncPool(1, max_queue=2, overflow="drop_oldest", order=Priority())) as held:
        urgent = held.call("urgent", priority=-5)
        held.call("low", priority=5)
        held.call("usual")
        await settle()

        await held.release()

    assert isinstance(urgent.exception(), QueueFull)
    assert held.served == ["usual", "low"]


# ---------------------------------------------------------------- all of them

ORDERS = [None, Fair(), Priority()]


@pytest.mark.parametrize("order", ORDERS)
async def test_within_a_key_or_priority_it_is_first_come_first_served(order):
    """Nobody overtakes an equal."""
    async with Held(AsyncPool(1, order=order)) as held:
        for i in range(50):
            held.call(i)
        await settle()

        await held.release()

    assert held.served == list(range(50))


@pytest.mark.parametrize("order", ORDERS)
async def test_closing_refuses_all_that_wait(order):
    """In line and blocked before it, each once."""
    async with Held(AsyncPool(1, max_queue=2, order=order)) as held:
        tasks = [held.call(i) for i in range(5)]
        await settle()

        closing = asyncio.ensure_future(held.pool.aclose())
        await settle()
        await held.release()
        await closing

    assert all(isinstance(task.exception(), PoolClosed) for task in tasks)
    assert held.pool.stats().withdrawn == 5


@pytest.mark.parametrize("order", ORDERS)
async def test_the_oldest_call_is_dropped_and_not_a_stream_before_it(order):
    """A stream's turn stays, also when several calls are dropped one after the other."""
    pool = AsyncPool(1, max_queue=1, overflow="drop_oldest", order=order)
    async with Held(pool) as held:
        readings = [
            asyncio.ensure_future(pool.gather(held._serve, [f"item {i}"])) for i in range(3)
        ]
        await settle()
        tasks = [held.call(i) for i in range(4)]
        await settle()

        assert [task.done() for task in tasks] == [True, True, True, False]
        assert isinstance(line_of(pool), OrderedLine), "looked for behind the streams each time"
        await held.release()
        await asyncio.gather(*readings)

    assert sorted(held.served, key=str) == [3, "item 0", "item 1", "item 2"]


@pytest.mark.parametrize("order", ORDERS)
def test_a_storm_of_callers_that_leave_loses_nobody(order):
    """Threads and loops at once, cancelled at random: every call ends once, and nothing is left."""
    pool = AsyncPool(2, max_queue=20, order=order)
    option = order.option if order is not None else None

    async def one(rng):
        view = pool.options(**{option: rng.randrange(5)}) if option else pool
        await view.run(asyncio.sleep, 0)

    async def main(seed):
        rng = random.Random(seed)
        tasks = [asyncio.ensure_future(one(rng)) for _ in range(150)]
        for task in rng.sample(tasks, 60):
            await asyncio.sleep(0)
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in done)

    threads = [threading.Thread(target=lambda s=seed: asyncio.run(main(s))) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)

    stats = pool.stats()
    assert (stats.in_flight, stats.queued, stats.blocked) == (0, 0, 0)
    assert stats.submitted == stats.completed + stats.failed + stats.withdrawn
    assert (len(line_of(pool)), len(blocked_of(pool))) == (0, 0)
    pool.close()


def test_a_pool_without_an_order_has_a_plain_line():
    """First come first served is a dictionary; nothing of the orders is in its way."""
    with AsyncPool(1) as coroutines, ThreadPool(1) as threads:
        assert type(line_of(coroutines)) is OrderedDict
        assert type(line_of(threads)) is OrderedDict


def test_one_order_serves_several_pools():
    """It is a value: each pool has a line of its own."""
    order = Fair()

    with AsyncPool(1, order=order) as first, ThreadPool(1, order=order) as second:
        assert line_of(first) is not line_of(second)
    assert Fair() == order
    assert Priority(10.0) != Priority(20.0)


def test_views_of_views_keep_their_key():
    """``options`` changes what is given, and nothing else."""
    with AsyncPool(1, order=Fair()) as pool:
        view = pool.options(key="mine").options(timeout=5.0)

        assert view._options.rank == "mine"
        assert view._options.timeout == 5.0


@pytest.mark.parametrize("make", [AsyncPool, ThreadPool])
def test_a_key_or_priority_that_means_nothing_is_told(make):
    """An option that the pool would ignore is a mistake of the caller."""
    with make(1) as plain, make(1, order=Fair()) as fair, make(1, order=Priority()) as urgent:
        with pytest.raises(ValueError, match=r"key='a' would mean nothing.*first come.*Fair\(\)"):
            plain.options(key="a")
        with pytest.raises(
            ValueError, match=r"priority=1 would mean nothing.*by key.*Priority\(\)"
        ):
            fair.options(priority=1)
        with pytest.raises(ValueError, match="key='a' would mean nothing: the pool serves by prio"):
            urgent.options(key="a")
        with pytest.raises(TypeError, match="key must be hashable"):
            fair.options(key=["a"])
        for wrong in ("high", None, True, 1j):
            with pytest.raises(TypeError, match="priority must be a finite number"):
                urgent.options(priority=wrong)
        for wrong in (float("nan"), float("inf"), 10**400, -1e300):
            with pytest.raises(ValueError, match="priority must be a finite number"):
                urgent.options(priority=wrong)


@pytest.mark.parametrize("make", [AsyncPool, ThreadPool])
def test_an_order_must_be_one(make):
    """The class for the object is the likely mistake."""
    with pytest.raises(TypeError, match=r"order must be one such as Fair\(\)"):
        make(1, order=Fair)
    with pytest.raises(ValueError, match="ageing must be more than 0"):
        Priority(ageing=0)
    with pytest.raises(TypeError, match="the low would starve"):
        Priority(ageing=None)
