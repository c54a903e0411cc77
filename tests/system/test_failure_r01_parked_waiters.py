"""Waiters that park the workers which the work itself needs.

From strands-agents/sdk-python #2932: duplicates of a request waited with ``asyncio.to_thread(event.wait)``.
As many of them as the default executor has workers, and the one that was to set the event never got
a worker for its own call: everything hung for ever.
"""

import pytest
from tests.system.failure_programs import run_program

pytestmark = pytest.mark.system

DUPLICATES_AWAIT = """
import asyncio, threading
from holdfast import ThreadPool
from tests.system.failure_programs import live_workers, report

gate = threading.Event()

def call_model():
    assert gate.wait(20)
    return "answer"

async def main():
    async with ThreadPool(1, name="model") as pool:
        primary = pool.submit(call_model)

        async def duplicate():
            return await primary

        duplicates = [asyncio.create_task(duplicate()) for _ in range(5000)]
        await asyncio.sleep(0)
        workers = len(live_workers())
        gate.set()
        replies = await asyncio.gather(*duplicates)
        stats = pool.stats()
    report(replies=replies.count("answer"), workers=workers, completed=stats.completed)

asyncio.run(main())
"""

DUPLICATES_PARK = """
import asyncio, threading
from collections import Counter
from holdfast import CallTimeout, ThreadPool
from tests.system.failure_programs import join_workers, live_workers, report

N = 6
done = threading.Event()
outcomes, peak = Counter(), [0]

def park():
    done.wait()
    return "parked"

def call_model():
    peak[0] = len(live_workers())
    done.set()
    return "answer"

async def main():
    pool = ThreadPool(N, name="model")

    async def duplicate():
        try:
            outcomes[await pool.options(timeout=0.05).run(park)] += 1
        except CallTimeout as error:
            outcomes["abandoned" if not error.stopped else "stopped"] += 1

    duplicates = [asyncio.create_task(duplicate()) for _ in range(N)]
    await asyncio.sleep(0)
    primary = asyncio.create_task(pool.run(call_model))
    reply = await primary
    await asyncio.gather(*duplicates)
    await pool.aclose()
    join_workers()
    stats = pool.stats()
    report(reply=reply, outcomes=outcomes, peak=peak[0], in_flight=stats.in_flight,
           abandoned=stats.abandoned, submitted=stats.submitted,
           settled=stats.completed + stats.failed + stats.withdrawn)

asyncio.run(main())
"""


def test_five_thousand_duplicates_wait_for_one_call_and_hold_no_thread():
    """A waiter is a coroutine on the call's future: the pool of one worker has one."""
    figures = run_program(DUPLICATES_AWAIT).figures

    assert figures == {"replies": 5000, "workers": 1, "completed": 1}


def test_waiters_that_do_park_every_worker_are_replaced_when_their_time_is_up():
    """The very pattern of the issue, with a deadline: the primary gets a worker, and everybody an outcome."""
    figures = run_program(DUPLICATES_PARK).figures

    assert figures["reply"] == "answer"
    assert sum(figures["outcomes"].values()) == 6
    assert figures["outcomes"]["abandoned"] >= 1
    assert figures["peak"] <= 6 + 6
    assert (figures["in_flight"], figures["abandoned"]) == (0, 0)
    assert figures["submitted"] == figures["settled"] == 7
