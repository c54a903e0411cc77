"""A pool for each call, so as to have a timeout.

From crewAI #4135, smolagents #2464 and Cogtrix #957: ``ThreadPoolExecutor(1)`` for each call leaks a running
thread for each timeout, 300 for 300; and in a ``with`` block the timeout is none, because the block waits
for the thread.
"""

import pytest
from tests.system.failure_programs import run_program

pytestmark = pytest.mark.system

TIMEOUTS = """
import threading
from collections import Counter
from holdfast import CallTimeout, QueueFull, ThreadPool
from tests.system.failure_programs import live_workers, join_workers, report

stop = threading.Event()
began = []
outcomes = Counter()

def stuck():
    began.append(1)
    stop.wait()

pool = ThreadPool(4, name="tools", timeout=0.01, max_abandoned=4)
for _ in range(300):
    try:
        pool.submit(stuck).result()
    except CallTimeout:
        outcomes["timed out"] += 1
    except QueueFull:
        outcomes["refused"] += 1
threads = len(live_workers())
abandoned = pool.stats().abandoned
stop.set()
while True:                                       # until the first of them has ended
    try:
        again = pool.submit(pow, 2, 10).result()
        break
    except QueueFull:
        pass
pool.close()
join_workers()
report(outcomes=outcomes, began=len(began), threads=threads, abandoned=abandoned, again=again,
       in_flight=pool.stats().in_flight)
"""

WITH_BLOCK = """
import threading
from holdfast import CallTimeout, ThreadPool
from tests.system.failure_programs import report

for_ever = threading.Event()
stopped = None
with ThreadPool(1, name="tools", timeout=0.1) as pool:
    try:
        pool.submit(for_ever.wait).result()
    except CallTimeout as error:
        stopped = error.stopped
report(stopped=stopped, still_runs=pool.stats().abandoned)
"""


def test_timeouts_leave_as_many_threads_as_the_pool_may_have():
    """One pool, 300 calls that never end: four workers and four replacements, then refusals."""
    figures = run_program(TIMEOUTS).figures

    assert figures["outcomes"] == {"timed out": 8, "refused": 292}
    assert figures["began"] == figures["abandoned"] == figures["threads"] == 8
    assert figures["again"] == 1024
    assert figures["in_flight"] == 0


def test_neither_the_block_nor_the_process_waits_for_a_call_that_timed_out():
    """The caller is told that it still runs; leaving the block, and the interpreter, is not held up."""
    figures = run_program(WITH_BLOCK).figures

    assert figures == {"stopped": False, "still_runs": 1}
