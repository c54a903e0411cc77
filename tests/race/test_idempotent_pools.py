"""Storms of calls with keys over loops, threads, submissions, cancellations and timeouts."""

import asyncio
import concurrent.futures
import random
import threading
import time
from collections import Counter

import pytest

import holdfast
from holdfast.errors import Aborted, CallTimeout, Rejected
from holdfast.flow.idempotency import Idempotent, MemoryStore
from holdfast.flow.single_flight import SingleFlight

PATIENCE = 60.0
KEYS = 40


class Work:
    """Counts what runs of each key, and what has come of it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.running = Counter()
        self.most = Counter()
        self.returned = Counter()

    def begin(self, key):
        with self.lock:
            self.running[key] += 1
            self.most[key] = max(self.most[key], self.running[key])

    def end(self, key, returned):
        with self.lock:
            self.running[key] -= 1
            self.returned[key] += returned

    def block(self, key, fails):
        self.begin(key)
        returned = False
        try:
            time.sleep(random.random() * 0.003)
            if fails:
                raise KeyError(key)
            returned = True
            return key
        finally:
            self.end(key, returned)

    async def later(self, key, fails):
        self.begin(key)
        returned = False
        try:
            await asyncio.sleep(random.random() * 0.003)
            if fails:
                raise KeyError(key)
            returned = True
            return key
        finally:
            self.end(key, returned)


FINE = (
    KeyError,
    Aborted,
    CallTimeout,
    Rejected,
    asyncio.CancelledError,
    concurrent.futures.CancelledError,
)


class Storm:
    """Callers of a few keys over two pools that share what they remember."""

    def __init__(self, once, overflow):
        options = {"max_queue": 20, "overflow": overflow, "idempotency": once}
        self.once = once
        self.work = Work()
        self.pool = holdfast.AsyncPool(3, **options)
        self.threads = holdfast.ThreadPool(3, **options)
        self.wrong = []
        self.told = Counter()

    def judge(self, key, found):
        """Note what a caller was told."""
        self.told[type(found).__name__] += 1
        if found != key and not isinstance(found, FINE):
            self.wrong.append((key, found))

    def call(self, dice):
        """A key, a view, and a function that may fail."""
        key = f"k{dice.randrange(KEYS)}"
        pool, fn = dice.choice([(self.pool, self.work.later), (self.threads, self.work.block)])
        return key, pool.options(idempotency_key=key), fn, dice.random() < 0.3

    async def one(self, dice):
        """Run or submit; perhaps leave."""
        key, view, fn, fails = self.call(dice)
        if dice.random() < 0.5:
            task = asyncio.ensure_future(view.run(fn, key, fails))
        else:
            try:
                task = asyncio.wrap_future(view.submit(fn, key, fails))
            except Rejected as error:
                self.judge(key, error)
                return
        if dice.random() < 0.3:
            await asyncio.sleep(dice.random() * 0.004)
            task.cancel()
        self.judge(key, (await asyncio.gather(task, return_exceptions=True))[0])

    async def coroutines(self, seed):
        """Crowds in one loop."""
        dice = random.Random(seed)
        for _ in range(12):
            await asyncio.gather(*(self.one(dice) for _ in range(25)))

    def blocking(self, seed):
        """One call after the other in one thread."""
        dice = random.Random(seed)
        for _ in range(60):
            key, view, fn, fails = self.call(dice)
            try:
                future = view.submit(fn, key, fails)
                if dice.random() < 0.3:
                    future.cancel()
                self.judge(key, future.result(PATIENCE))
            except FINE as error:
                self.judge(key, error)

    def run(self):
        """All of them at once, to the end."""
        crowd = [
            threading.Thread(target=lambda seed=seed: asyncio.run(self.coroutines(seed)))
            for seed in range(3)
        ]
        crowd += [threading.Thread(target=self.blocking, args=(seed,)) for seed in range(10, 13)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        give_up = time.monotonic() + PATIENCE
        while (stats := self.once.flight.stats()).in_flight or stats.waiting or stats.ending:
            assert time.monotonic() < give_up, stats
            time.sleep(0.002)
        with self.pool, self.threads:
            pass


@pytest.mark.parametrize("timeout", [None, 0.004])
@pytest.mark.parametrize("overflow", ["wait", "reject"])
def test_each_key_returns_once_whoever_asks_and_leaves(timeout, overflow):
    """Never two runs of a key at one time, at most one that returns, an outcome for every caller."""
    with Idempotent(MemoryStore(), flight=SingleFlight(timeout=timeout)) as once:
        storm = Storm(once, overflow)
        storm.run()

    assert not storm.wrong
    assert max(storm.work.most.values()) == 1
    assert max(storm.work.returned.values()) == 1
    assert not +storm.work.running
    assert sum(storm.told.values()) == 3 * 300 + 3 * 60
    assert {"str", "KeyError", "CancelledError"} <= set(storm.told)
