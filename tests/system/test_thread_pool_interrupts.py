"""A thousand interrupts that strike a program while it submits, waits and awaits: nothing is lost.

They are real signals, whose handler raises as Ctrl-C does, a random while after the one before. Where a
loop runs, asyncio's own handler is in place, which cancels the main task.
"""

import pytest
from tests.system.failure_programs import run_program

pytestmark = pytest.mark.system

INTERRUPTS = 1_000

BEGIN = f"""
import asyncio, os, random, signal, sys, threading, time
from holdfast import ThreadPool
from tests.system.failure_programs import report

random.seed(7)
signal.signal(signal.SIGALRM, signal.default_int_handler)
ran = []
interrupts = 0
INTERRUPTS = {INTERRUPTS}

def work(i):
    ran.append(i)
    return i

def strike():
    # And again after a while: an interrupt that comes in a destructor is ignored by the interpreter.
    signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 8e-4), 0.05)

def calm():
    signal.setitimer(signal.ITIMER_REAL, 0.0)
"""

END = """
unsettled = 0
for future in accepted:
    try:
        future.exception(20)
    except TimeoutError:
        unsettled += 1
later = [pool.submit(work, -1) for _ in range(20)]
answered = sum(future.result(20) == -1 for future in later)
until = time.monotonic() + 20
while pool.stats().in_flight and time.monotonic() < until:
    time.sleep(0.001)
stats = pool.stats()
names = [thread.name for thread in threading.enumerate()]
report(interrupts=interrupts, unsettled=unsettled, answered=answered, in_flight=stats.in_flight,
       in_line=stats.queued + stats.starting + stats.blocked,
       unaccounted=stats.submitted - stats.completed - stats.failed - stats.withdrawn,
       twice=len(ran) - ran.count(-1) - len(set(ran) - {-1}), crowded=max(0, stats.threads - stats.limit),
       closed=pool.close(20), workers_left=sum(not t.gone.acquire(timeout=5) for t in pool._core.crew.workers()))
"""

PLAIN = """
pool = ThreadPool({workers}, idle_timeout={idle})
accepted = []
number = 0
while interrupts < INTERRUPTS:
    mine = []
    try:
        strike()
        while True:
            number += 1
            mine.append(pool.submit(work, number))
            if number % {window} == 0:
                for future in mine:
                    future.result()
                accepted += mine
                mine = []
                del accepted[:-200]
    except KeyboardInterrupt:
        calm()
        interrupts += 1
    accepted += mine
"""

CASES = {
    "one worker": {"workers": 1, "idle": 10.0, "window": 1},
    "a window of calls": {"workers": 4, "idle": 10.0, "window": 16},
    "threads that come and go": {"workers": 3, "idle": 0.0005, "window": 2},
}

IN_A_LOOP = """
pool = ThreadPool(3)
accepted = []
number = 0
signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))

async def main():
    global number
    strike()
    while True:
        number += 3
        await asyncio.gather(*[pool.run(work, number + i) for i in range(3)])

while interrupts < INTERRUPTS:
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        calm()
        interrupts += 1
"""

WELL = {
    "unsettled": 0,
    "answered": 20,
    "in_flight": 0,
    "in_line": 0,
    "unaccounted": 0,
    "twice": 0,
    "crowded": 0,
    "closed": True,
    "workers_left": 0,
}


@pytest.mark.parametrize("case", CASES)
def test_a_thousand_interrupts_of_blocking_code_lose_no_call_and_no_worker(case):
    """Every accepted call has its outcome, once; the pool answers, and closes."""
    ended = run_program(BEGIN + PLAIN.format(**CASES[case]) + END)

    assert ended.figures == {**WELL, "interrupts": INTERRUPTS}, ended


def test_a_thousand_interrupts_of_a_loop_lose_no_call_and_no_worker():
    """Each ends one run of a loop; the pool that they share goes on."""
    ended = run_program(BEGIN + IN_A_LOOP + END)

    ended.figures.pop(
        "crowded"
    )  # calls that were left have had replacements, which may still be idle
    expected = {name: figure for name, figure in WELL.items() if name != "crowded"}
    assert ended.figures == {**expected, "interrupts": INTERRUPTS}, ended
