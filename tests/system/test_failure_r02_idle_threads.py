"""Threads that pile up: idle ones that only a later call takes away, and a pool for each loop.

From pydantic-ai #4883: 40 of anyio's worker threads were still there long after a burst, because they
are pruned by the next call alone; and since limit and pool are the loop's, eight loops had 320 of them.
"""

import pytest
from tests.system.failure_programs import run_program

pytestmark = pytest.mark.system

BURST = """
import asyncio, threading
from holdfast import ThreadPool
from tests.system.failure_programs import join_workers, live_workers, report

together = threading.Barrier(40)
pool = ThreadPool(40, name="tools", idle_timeout=0.2)

async def main():
    await asyncio.gather(*[pool.run(together.wait, 20) for _ in range(200)])

asyncio.run(main())
idle = pool.stats().threads
join_workers()                                    # and nobody calls the pool meanwhile
report(peak=pool.stats().peak_in_flight, idle=idle, left=len(live_workers()))
"""

LOOPS = """
import asyncio, threading, time
from holdfast import ThreadPool
from tests.system.failure_programs import live_workers, report

LOOPS = 8
pool = ThreadPool(40, name="tools")
all_here = threading.Barrier(LOOPS)
peaks = []

def tool():
    peaks.append(len(live_workers()))
    time.sleep(0.002)

async def session():
    all_here.wait(20)                             # all loops are alive at the same time
    await asyncio.gather(*[pool.run(tool) for _ in range(200)])
    all_here.wait(20)

loops = [threading.Thread(target=lambda: asyncio.run(session())) for _ in range(LOOPS)]
for loop in loops: loop.start()
for loop in loops: loop.join()
pool.close()
report(calls=len(peaks), peak=max(peaks), completed=pool.stats().completed)
"""


def test_threads_that_are_idle_end_without_a_further_call():
    """A burst of 200 calls, 40 at once; then every thread goes by itself."""
    figures = run_program(BURST).figures

    assert figures["peak"] == 40
    assert figures["idle"] >= 1
    assert figures["left"] == 0


def test_eight_loops_share_the_forty_threads_of_one_pool():
    """The limit is the pool's, however many loops call it."""
    figures = run_program(LOOPS).figures

    assert figures["peak"] <= 40
    assert figures["calls"] == figures["completed"] == 8 * 200
