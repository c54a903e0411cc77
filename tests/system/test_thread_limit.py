"""Ten thousand calls where the system allows 24 threads, the main one included.

The pool asks for 200. With a budget that was detected it knows better; with one that is too high the
system refuses threads, and the pool learns. What a caller may see is exactly one outcome for each call,
and what a call may see is to be run exactly once; a refused thread is the pool's business alone.
"""

import pytest
from tests.system.failure_programs import run_program, thread_limit

pytestmark = pytest.mark.system

each_kind = pytest.mark.parametrize("kind", ["pids.max", "RLIMIT_NPROC"])

CALLS = """
import asyncio, sys, threading, time
from collections import Counter
from dataclasses import replace
from holdfast import Budget, ThreadPool, set_budget
from tests.system.failure_programs import enter_thread_limit, join_workers, report

CALLS = 10_000
ran, errors, outcomes = [], [], Counter()

def work(i):
    time.sleep(0.0015)
    ran.append(i)                                 # appended, so that nothing is overlooked
    return 2 * i

def note(i, ask):
    try:
        assert ask() == 2 * i
        outcomes[i] += 1
    except Exception as error:
        errors.append(repr(error))

def submit(pool):
    futures = [(i, pool.submit(work, i)) for i in range(CALLS)]
    for i, future in futures:
        note(i, future.result)

def map_(pool):
    for i, value in enumerate(pool.map(work, range(CALLS))):
        note(i, lambda value=value: value)

def stream(pool):
    for i, value in enumerate(pool.stream(work, range(CALLS))):
        note(i, lambda value=value: value)

def many_loops(pool):
    def loop(offset):
        async def call(i):
            value = await pool.run(work, i)
            note(i, lambda: value)

        async def main():
            await asyncio.gather(*[call(i) for i in range(offset, CALLS, 3)])

        asyncio.run(main())

    loops = [threading.Thread(target=loop, args=(offset,)) for offset in range(3)]
    for thread in loops: thread.start()
    for thread in loops: thread.join()

def deadlines(pool):
    async def call(i):
        value = await pool.options(timeout=60, queue_timeout=60).run(work, i)
        note(i, lambda: value)

    async def main():
        await asyncio.gather(*[call(i) for i in range(CALLS)])

    asyncio.run(main())

enter_thread_limit()
if sys.argv[2] == "too high":                     # so that the system refuses what the budget would allow
    set_budget(replace(Budget.detect(), threads=200))
pool = ThreadPool(200, name="tools")
{"submit": submit, "map": map_, "stream": stream, "many_loops": many_loops, "deadlines": deadlines}[
    sys.argv[1]
](pool)
pool.drain()
join_workers()
stats = pool.stats()
times = Counter(ran)
assert bool(stats.refused_threads) == (sys.argv[2] == "too high"), stats
report(errors=errors[:5], outcomes=len(outcomes), twice_told=sum(n != 1 for n in outcomes.values()),
       ran=len(times), twice_run=sum(n != 1 for n in times.values()), in_flight=stats.in_flight,
       queued=stats.queued, unaccounted=stats.submitted - stats.completed)
"""

LATER = """
import threading
from dataclasses import replace
from holdfast import Budget, ThreadPool, set_budget
from tests.system.failure_programs import enter_thread_limit, join_workers, report, wait_until

together = threading.Barrier(12)                  # twelve calls that end when all twelve run
gone = threading.Event()
others = []

def other():
    gone.wait()

enter_thread_limit()
set_budget(replace(Budget.detect(), threads=24))
for _ in range(20):                               # the rest of the program has most of the 24
    others.append(threading.Thread(target=other))
    others[-1].start()
pool = ThreadPool(12, name="tools")
calls = pool.options(timeout=60)                  # the timer has its thread before there is none left
futures = [calls.submit(together.wait, 6) for _ in range(12)]
wait_until(lambda: pool.stats().refused_threads)
gone.set()                                        # and gives them up again; nobody calls the pool
for thread in others: thread.join()
met = sum(future.exception(10) is None for future in futures)
pool.drain()
join_workers()
report(met=met, completed=pool.stats().completed)
"""


@each_kind
@pytest.mark.parametrize(
    ("way", "budget"),
    [
        ("submit", "detected"),
        ("submit", "too high"),
        ("map", "too high"),
        ("stream", "too high"),
        ("many_loops", "too high"),
        ("deadlines", "too high"),
    ],
)
def test_ten_thousand_calls_at_a_limit_of_24_threads_run_once_each(kind, way, budget):
    """From blocking code, as a map, as a stream, from three loops, with deadlines: no error, no hang."""
    with thread_limit(kind, 24) as limit:
        figures = run_program(CALLS, way, budget, limit=limit).figures

    assert figures == {
        "errors": [],
        "outcomes": 10_000,
        "twice_told": 0,
        "ran": 10_000,
        "twice_run": 0,
        "in_flight": 0,
        "queued": 0,
        "unaccounted": 0,
    }


@each_kind
def test_threads_that_were_refused_are_asked_for_again_when_there_is_room(kind):
    """Without a further call to remind the pool: those in line would wait for ever for each other."""
    with thread_limit(kind, 24) as limit:
        figures = run_program(LATER, limit=limit).figures

    assert figures == {"met": 12, "completed": 12}
