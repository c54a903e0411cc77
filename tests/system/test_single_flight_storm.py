"""The retry storm that has wedged agents: a thousand duplicates of a request that itself needs a thread."""

import asyncio
import json
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.flow.single_flight import SingleFlight

pytestmark = pytest.mark.system

LOOPS = 4
DUPLICATES = 1000
PATIENCE = 40.0


def test_a_thousand_duplicates_over_four_loops_park_no_thread():
    """The leader needs the default executor, which has one thread here; one run, a thousand equal results."""
    flight = SingleFlight(timeout=PATIENCE)
    began, threads, runs = threading.Event(), [], []
    everyone_waits = threading.Event()
    results = [None] * LOOPS

    def model_call():
        began.set()
        assert everyone_waits.wait(PATIENCE)
        threads.append(threading.active_count())
        return {"answer": 42}

    async def agent():
        runs.append(threading.current_thread().name)
        await asyncio.sleep(0.01)  # the duplicates come first, as in the report
        return await asyncio.to_thread(model_call)

    async def storm(i):
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        calls = [flight.run("token", agent) for _ in range(DUPLICATES // LOOPS)]
        results[i] = await asyncio.gather(*calls)

    callers = [
        threading.Thread(target=lambda i=i: asyncio.run(storm(i)), daemon=True)
        for i in range(LOOPS)
    ]
    before = threading.active_count()
    for caller in callers:
        caller.start()
    assert began.wait(PATIENCE)
    while flight.stats().waiting < DUPLICATES:
        callers[0].join(0.001)
    everyone_waits.set()
    for caller in callers:
        caller.join(PATIENCE)
        assert not caller.is_alive(), "a loop hangs"

    answers = [answer for found in results for answer in found]
    assert len(answers) == DUPLICATES
    assert all(answer is answers[0] for answer in answers)
    assert answers[0] == {"answer": 42}
    assert len(runs) == 1
    assert threads == [before + LOOPS + 1]  # the loops, and the one thread that the work uses
    stats = flight.stats()
    assert (stats.leaders, stats.joiners, stats.shared) == (1, DUPLICATES - 1, DUPLICATES - 1)


PROGRAM = """
    import asyncio, json, os, threading
    from holdfast.flow.single_flight import SingleFlight

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:2]))

    async def main():
        flight, runs = SingleFlight(timeout=30), []

        async def primary():
            runs.append(1)
            await asyncio.sleep(0.05)
            await asyncio.to_thread(int)
            return "done"

        found = await asyncio.gather(*(flight.run("token", primary) for _ in range(1000)))
        print(json.dumps([len(runs), found == ["done"] * 1000, threading.active_count()]))

    asyncio.run(main())
"""


def test_a_fresh_process_survives_the_storm_and_exits():
    """On two cores, with the default executor as it comes: one run, and one thread besides the loop's."""
    answer = subprocess.run(  # noqa: S603 - this interpreter, with a program of ours
        [sys.executable, "-c", textwrap.dedent(PROGRAM)],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )

    assert json.loads(answer.stdout) == [1, True, 2]
