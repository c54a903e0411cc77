"""The interpreter ends while pools have work: what was accepted is finished, what is stuck holds nobody.

Each program ends in its last line, or by an error or ``sys.exit``, and never closes its pool.
"""

import pytest
from tests.system.failure_programs import run_program, start_program

pytestmark = pytest.mark.system

THREADS = """
import sys, threading
from holdfast import ThreadPool
from tests.system.failure_programs import say

main_has_ended = threading.Event()
threading.Thread(target=lambda: (threading.main_thread().join(), main_has_ended.set())).start()

def work(i):
    main_has_ended.wait()
    say(f"ran {i}")

pool = ThreadPool(2)
futures = [pool.submit(work, i) for i in range(20)]
for future in futures:
    future.add_done_callback(lambda _: say("settled"))
"""

COROUTINES = """
import asyncio, threading
from holdfast import AsyncPool
from tests.system.failure_programs import say

async def work(i):
    while threading.main_thread().is_alive():
        await asyncio.sleep(0.001)
    say(f"ran {i}")

pool = AsyncPool(2)
futures = [pool.submit(work, i) for i in range(20)]
for future in futures:
    future.add_done_callback(lambda _: say("settled"))
"""

WAYS_OUT = {"": 0, "sys.exit(3)": 3, "raise KeyError": 1}

LATE_THREAD = """
import threading
from holdfast import ThreadPool
from tests.system.failure_programs import report

pool = ThreadPool(2)

def goes_on():
    threading.main_thread().join()
    report(results=[pool.submit(pow, 2, i).result() for i in range(5)])

threading.Thread(target=goes_on).start()
"""

BLOCKED_DAEMON = """
import threading
from holdfast import PoolClosed, ThreadPool
from tests.system.failure_programs import say, wait_until

pool = ThreadPool(1, max_queue=0)
refused = threading.Event()

def run():
    refused.wait(20)
    say("ran")

def one_more():
    try:
        pool.submit(say, "ran too much")
    except PoolClosed:
        refused.set()

pool.submit(run)
threading.Thread(target=one_more, daemon=True).start()
wait_until(lambda: pool.stats().blocked)
"""

AT_EXIT = """
import atexit
from tests.system.failure_programs import say

def late():
    try:
        pool.submit(say, "ran too late")
    except PoolClosed:
        say("refused")

atexit.register(late)                             # before holdfast's own, so it is called after it
from holdfast import PoolClosed, ThreadPool

pool = ThreadPool(1)
atexit.register(lambda: pool.submit(say, "ran in time"))
"""

ABANDONED = """
import asyncio, threading
from holdfast import ThreadPool
from tests.system.failure_programs import say

pool = ThreadPool(2)
for_ever = threading.Event()

async def main():
    stuck = asyncio.create_task(pool.run(for_ever.wait))
    while not pool.stats().in_flight:
        await asyncio.sleep(0)
    pool.submit(say, "ran")

asyncio.run(main())                               # which cancels what is left
"""


@pytest.mark.parametrize("way_out", WAYS_OUT)
def test_queued_and_running_blocking_calls_are_finished_at_exit(way_out):
    """All twenty run after the main thread has ended, and the exit code is what it would have been."""
    with start_program(f"{THREADS}{way_out}") as program:
        ended = program.end()

    said = ended.said.splitlines()
    assert ended.code == WAYS_OUT[way_out]
    assert sorted(line for line in said if line.startswith("ran")) == sorted(
        f"ran {i}" for i in range(20)
    )
    assert said.count("settled") == 20


def test_queued_and_running_coroutines_of_blocking_code_are_finished_at_exit():
    """Their loop is holdfast's own, so nobody else could see to it."""
    said = run_program(COROUTINES).said.splitlines()

    assert sorted(line for line in said if line.startswith("ran")) == sorted(
        f"ran {i}" for i in range(20)
    )
    assert said.count("settled") == 20


def test_a_thread_that_outlives_the_main_one_still_has_its_pool():
    """The standard pools refuse it; here the pool ends after the last thread that can use it."""
    assert run_program(LATE_THREAD).figures == {"results": [1, 2, 4, 8, 16]}


def test_who_is_blocked_in_a_daemon_thread_is_refused_at_exit():
    """The call that runs is finished; the one that never had a place is not begun."""
    assert run_program(BLOCKED_DAEMON).said.splitlines() == ["ran"]


def test_a_call_that_comes_after_the_end_is_refused_and_one_before_it_runs():
    """Exit handlers are called last in, first out; holdfast's is as old as its import."""
    assert run_program(AT_EXIT).said.splitlines() == ["ran in time", "refused"]


def test_an_abandoned_call_that_never_ends_does_not_hold_the_interpreter():
    """The others are finished all the same."""
    assert "ran" in run_program(ABANDONED).said.splitlines()


STUCK_THREAD = """
import threading
from holdfast import ThreadPool
from tests.system.failure_programs import say

for_ever = threading.Event()

def never_ends():
    for_ever.wait()

pool = ThreadPool(1, name="stuck")
pool.submit(never_ends)
pool.submit(say, "ran")
"""

STUCK_COROUTINE = """
import asyncio
from holdfast import AsyncPool

async def never_ends():
    await asyncio.Event().wait()

pool = AsyncPool(1, name="stuck")
pool.submit(never_ends)
"""


@pytest.mark.parametrize("source", [STUCK_THREAD, STUCK_COROUTINE])
def test_a_call_that_never_ends_holds_the_interpreter_and_it_says_what_it_waits_for(source):
    """After some seconds, once, on standard error: the pool, the numbers, the function and its line."""
    with start_program(source) as program:
        program.wait_for("about to exit")
        said = program._said[-1]

        assert "pool 'stuck': 1 of its calls run" in said
        assert "in never_ends" in said
        program.process.kill()
