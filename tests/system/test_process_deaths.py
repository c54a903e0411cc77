"""Random deaths of workers: every call has one outcome, whatever it is."""

import contextlib
import os
import random
import signal
import threading

import pytest
from tests.system import process_jobs as jobs

from holdfast import ProcessPool, WorkerLost

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

CALLS = 5_000
KILLS = 50


class Killer:
    """Kills a random worker now and then, so many in all."""

    def __init__(self, pool):
        self.pool = pool
        self.killed = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        chance = random.Random(7)
        while self.killed < KILLS and not self._stop.wait(chance.uniform(0.01, 0.06)):
            workers = [w for w in tuple(self.pool._core.workers.values()) if w.call is not None]
            if workers:
                pid = chance.choice(workers).pid
                if pid is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        self.killed += 1


def test_idempotent_calls_survive_fifty_deaths(tmp_path):
    """5,000 calls, 5,000 results, each the right one."""
    with ProcessPool(4, max_queue=CALLS, preload=[jobs.__name__]) as pool, Killer(pool) as killer:
        again = pool.options(idempotent=True)
        calls = [again.submit(jobs.note, str(tmp_path / "ran"), i) for i in range(CALLS)]
        found = [call.result(60) for call in calls]

    assert found == [2 * i for i in range(CALLS)]
    assert killer.killed >= KILLS / 2
    ran = (tmp_path / "ran").read_text().split()
    assert len(ran) <= CALLS + killer.killed


def test_lost_calls_are_reported_one_by_one(tmp_path):
    """None is missing, none hangs, and no more are lost than workers have died."""
    with ProcessPool(4, max_queue=CALLS, preload=[jobs.__name__]) as pool, Killer(pool) as killer:
        calls = [pool.submit(jobs.note, str(tmp_path / "ran"), i) for i in range(CALLS)]
        errors = [call.exception(60) for call in calls]

    lost = [error for error in errors if error is not None]
    assert all(isinstance(error, WorkerLost) for error in lost)
    assert len(lost) <= killer.killed
    assert [c.result() for c in calls if c.exception() is None] == [
        2 * i for i, error in enumerate(errors) if error is None
    ]
