"""Work that waits, inside of a bounded pool, for work of the same pool.

From langchain #10638 and xorq #2243: a call in a ``ThreadPoolExecutor`` submits to the same executor and
blocks on the result. With as many outer calls as workers nobody is left to run the inner ones: 8 of 8
calls hang for ever, without a word.
"""

import pytest
from tests.system.failure_programs import run_program

pytestmark = pytest.mark.system

PROGRAM = """
import sys, threading
from holdfast import ThreadPool, WouldDeadlock
from tests.system.failure_programs import report

WORKERS, OUTERS, RESERVED = map(int, sys.argv[1:])
pool = ThreadPool(WORKERS, name="tools", reserved=RESERVED)
inner_pool = pool.options(reserved=True) if RESERVED else pool
all_inside = threading.Barrier(OUTERS)

def inner():
    return 1

def outer():
    all_inside.wait(20)                           # let every outer start first
    return inner_pool.submit(inner).result()      # waits inside the pool, for the pool

futures = [pool.submit(outer) for _ in range(OUTERS)]
right, errors = 0, []
for future in futures:
    try:
        right += future.result(20)
    except WouldDeadlock as error:
        errors.append(str(error))
after = [pool.submit(inner).result(20) for _ in range(20)]
pool.drain()
stats = pool.stats()
report(right=right, errors=errors, after=sum(after), in_flight=stats.in_flight, queued=stats.queued)
"""


def test_a_full_pool_of_calls_that_wait_for_it_goes_on():
    """One call of the eight is told, with the pool and the line; its worker then runs all the others."""
    figures = run_program(PROGRAM, 8, 8, 0).figures

    errors = figures.pop("errors")
    assert errors
    assert figures.pop("right") == 8 - len(errors)
    assert all("pool 'tools'" in error and "in outer" in error for error in errors)
    assert figures == {"after": 20, "in_flight": 0, "queued": 0}


def test_with_one_worker_to_spare_nobody_is_told_anything():
    """Seven of eight wait, and the eighth runs what they wait for: no deadlock, and none is claimed."""
    figures = run_program(PROGRAM, 8, 7, 0).figures

    assert figures == {"right": 7, "errors": [], "after": 20, "in_flight": 0, "queued": 0}


def test_with_a_worker_that_is_kept_for_them_all_are_run():
    """The outer calls fill all other workers; the inner ones have one that none of them can take."""
    figures = run_program(PROGRAM, 9, 8, 1).figures

    assert figures == {"right": 8, "errors": [], "after": 20, "in_flight": 0, "queued": 0}
