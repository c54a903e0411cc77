"""A permit that is given back when the caller leaves, not when the thread ends.

From anyio #71 and trio #57: ``to_thread.run_sync(abandon_on_cancel=True)`` returns its limiter's token at
the caller's cancellation. A loop of calls with a timeout had 600 threads under a limit of 40, and the
limiter showed none as borrowed; pydantic-ai uses just that for the timeouts of tools.
"""

import pytest
from tests.system.failure_programs import run_program

pytestmark = pytest.mark.system

PROGRAM = """
import asyncio, threading
from collections import Counter
import anyio
from holdfast import QueueFull, ThreadPool
from tests.system.failure_programs import join_workers, live_workers, report

stop = threading.Event()
began = []
outcomes = Counter()
pool = ThreadPool(40, name="tools", max_abandoned=10)

def tool():
    began.append(1)
    stop.wait()

async def call_with_timeout():
    with anyio.move_on_after(0.05) as scope:
        try:
            await pool.run(tool)
            outcomes["done"] += 1
        except QueueFull:
            outcomes["refused"] += 1
    if scope.cancelled_caught:
        outcomes["left"] += 1

async def main():
    for _ in range(20):
        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(call_with_timeout)

asyncio.run(main())
stuck = pool.stats()
threads = len(live_workers())
stop.set()
pool.close()
join_workers()
after = pool.stats()
report(outcomes=outcomes, began=len(began), threads=threads, stuck=stuck.in_flight,
       abandoned=stuck.abandoned, in_flight=after.in_flight, late=after.late,
       never_began=after.withdrawn, submitted=after.submitted)
"""


def test_a_permit_is_out_until_the_thread_has_ended():
    """600 calls that are given up: 40 threads and 10 replacements, then refusals, and all of it shown."""
    figures = run_program(PROGRAM).figures

    assert figures["threads"] <= 40 + 10
    assert sum(figures["outcomes"].values()) == 600
    assert figures["outcomes"].keys() == {"left", "refused"}
    assert figures["stuck"] == figures["abandoned"] == figures["began"] == 40 + 10
    assert figures["in_flight"] == 0
    assert figures["late"] == figures["began"]
    assert figures["submitted"] == figures["began"] + figures["never_began"]
