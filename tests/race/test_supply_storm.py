"""Pools that come and go, under a supply of few threads: nobody starves, nothing leaks."""

import random
import sys
import threading

import pytest

from holdfast.pools import ThreadPool
from holdfast.pools._supply import SUPPLY

LIMIT = 5
MAKERS = 4
ROUNDS = 60


@pytest.fixture
def tiny_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class _Count:
    """How many calls run at once, over all pools."""

    def __init__(self):
        self._lock = threading.Lock()
        self.now = self.most = self.done = 0

    def __call__(self, *_):
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        with self._lock:
            self.now -= 1
            self.done += 1
        return 1


def _live(count, seed, wrong):
    """Make pools, use them in every way, close them; add what is wrong."""
    dice = random.Random(seed)
    try:
        for _ in range(ROUNDS):
            limit = dice.randint(1, 4)
            pool = ThreadPool(limit, min_workers=dice.choice([0, 0, 0, 1]), idle_timeout=0.01)
            futures = [pool.submit(count) for _ in range(dice.randint(0, 20))]
            cancelled = sum(future.cancel() for future in futures if dice.random() < 0.2)
            streamed = sum(pool.stream(count, range(dice.randint(0, 50))))
            pool.resize(dice.randint(1, 4))
            more = [pool.submit(count) for _ in range(dice.randint(0, 10))]
            if dice.random() < 0.5:
                got = sum(f.result(30) for f in [*futures, *more] if not f.cancelled())
                if got != len(futures) + len(more) - cancelled:
                    wrong.append(
                        f"{got} outcomes of {len(futures)} and {len(more)}, {cancelled} cancelled"
                    )
            pool.shutdown()
            stats = pool.stats()
            if stats.submitted != stats.completed + stats.failed + stats.withdrawn:
                wrong.append(f"{streamed} items: {stats}")
    except BaseException as error:
        wrong.append(repr(error))
        raise


@pytest.mark.race
@pytest.mark.usefixtures("tiny_switches")
def test_pools_that_come_and_go_share_a_few_threads(monkeypatch):
    """Never more calls at once than slots; every call has its outcome; no slot is lost."""
    monkeypatch.setattr(SUPPLY, "limit", LIMIT)
    count, wrong = _Count(), []
    seeds = [random.random() for _ in range(MAKERS)]
    makers = [threading.Thread(target=_live, args=(count, seed, wrong)) for seed in seeds]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()

    assert wrong == [], seeds
    assert count.most <= LIMIT
    assert (SUPPLY.threads, SUPPLY.unfilled, SUPPLY.reserved, SUPPLY.hungry) == (0, 0, 0, 0)
