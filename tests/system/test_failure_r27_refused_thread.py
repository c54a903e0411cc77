"""A submission that raises, of a call that runs all the same.

From langgraph #2873 and skypilot #10559, "can't start new thread": ``ThreadPoolExecutor.submit`` puts the
call in its queue before it starts a thread. When the system refuses the thread, ``submit`` raises, a
worker that exists runs the call, and a caller that tries again has it run twice: 30 of 40 calls.
"""

import pytest
from tests.system.failure_programs import run_program, thread_limit

pytestmark = pytest.mark.system

PROGRAM = """
import threading, time
from collections import Counter
from dataclasses import replace
from holdfast import Budget, Rejected, ThreadPool, set_budget
from tests.system.failure_programs import enter_thread_limit, report

CALLS = 40
ran = []

def tool(i):
    time.sleep(0.02)
    ran.append(i)
    return i

enter_thread_limit()
set_budget(replace(Budget.detect(), threads=64))  # so that it is the system that refuses
pool = ThreadPool(32, name="tools")
futures, refused = {}, []
for i in range(CALLS):
    try:
        futures[i] = pool.submit(tool, i)
    except Rejected:
        refused.append(i)
for i in refused:                                 # what every retry helper does
    futures[i] = pool.submit(tool, i)
right = sum(future.result(30) == i for i, future in futures.items())
pool.drain()
stats = pool.stats()
assert stats.refused_threads
report(right=right, twice=sum(times > 1 for times in Counter(ran).values()), ran=len(ran),
       completed=stats.completed, submitted=stats.submitted, in_flight=stats.in_flight)
"""

NO_THREAD_AT_ALL = """
import threading
from holdfast import Rejected, ThreadPool
from tests.system.failure_programs import enter_thread_limit, report

ran, reasons = [], []
enter_thread_limit()
pool = ThreadPool(4, name="tools")
for i in range(5):
    try:
        pool.submit(ran.append, i)
    except Rejected as error:
        reasons.append(error.reason)
pool.drain()
stats = pool.stats()
report(ran=ran, reasons=reasons, queued=stats.queued, in_flight=stats.in_flight)
"""


@pytest.mark.parametrize("kind", ["pids.max", "RLIMIT_NPROC"])
def test_a_refused_thread_costs_no_call_and_runs_none_twice(kind):
    """40 calls at a limit of 12 threads: each runs once and has its outcome."""
    with thread_limit(kind, 12) as limit:
        figures = run_program(PROGRAM, limit=limit).figures

    assert figures == {
        "right": 40,
        "twice": 0,
        "ran": 40,
        "completed": 40,
        "submitted": 40,
        "in_flight": 0,
    }


@pytest.mark.parametrize("kind", ["pids.max", "RLIMIT_NPROC"])
def test_a_call_that_no_thread_can_ever_run_is_refused_and_does_not_run(kind):
    """With room for the main thread alone there is nobody to wait for: the caller is told at once."""
    with thread_limit(kind, 1) as limit:
        figures = run_program(NO_THREAD_AT_ALL, limit=limit).figures

    assert figures == {"ran": [], "reasons": ["pressure"] * 5, "queued": 0, "in_flight": 0}
