"""Ctrl-C while the main thread waits for a pool: before a full queue, for a result, a stream, a close.

``KeyboardInterrupt`` leaves the wait, no permit and no call is lost with it, and the process ends as
an interrupted one does. A call that is given up before it began never runs.
"""

import signal

import pytest
from tests.system.failure_programs import start_program

pytestmark = pytest.mark.system

INTERRUPTED = -signal.SIGINT
"""What the shell sees as 130."""

BEGIN = """
import asyncio, threading
from holdfast import AsyncPool, ThreadPool
from tests.system.failure_programs import join_workers, report, say_when_it_waits, wait_until

gate = threading.Event()
ran = []

def blocking(i):
    gate.wait()
    ran.append(i)
    return i

async def coroutine(i):
    while not gate.is_set():
        await asyncio.sleep(0.001)
    ran.append(i)
    return i
"""

POOLS = {
    "threads": "pool, work = ThreadPool(1, max_queue=1), blocking",
    "coroutines": "pool, work = AsyncPool(1, max_queue=1), coroutine",
}

WAIT = """
futures = [pool.submit(work, 0), pool.submit(work, 1)]      # one runs, one fills the queue
say_when_it_waits("waits")
try:
    {wait}
except KeyboardInterrupt:
    gate.set()
    results = [future.result(20) for future in futures]
    before = pool.stats()
    again = pool.submit(work, 2).result(20) if {open} else 2
    pool.drain()
    stats = pool.stats()
    report(results=results, ran=ran, again=again, in_flight=stats.in_flight, queued=stats.queued,
           blocked=stats.blocked, withdrawn=stats.withdrawn,
           unaccounted=stats.submitted - stats.completed - stats.failed - stats.withdrawn)
    raise
"""

WAITS = {
    "submit before a full queue": "pool.submit(work, 'never')",
    "result": "futures[0].result()",
    "exception": "futures[1].exception()",
    "close": "pool.drain()",
}

STREAM = """
say_when_it_waits("waits")
pulled = 0

def items():
    global pulled
    while True:
        pulled += 1
        yield pulled

try:
    for _ in pool.stream(work, items(), ordered={ordered}):
        pass
except KeyboardInterrupt:
    pass
begun = pulled
gate.set()
pool.drain()
join_workers()                                    # those whose call was left, too
stats = pool.stats()
report(pulled_later=pulled - begun, in_flight=stats.in_flight, abandoned=stats.abandoned,
       more_than_pulled=len(ran) > begun)
raise KeyboardInterrupt
"""

CLOSE = """
futures = [pool.submit(work, 0), pool.submit(work, 1)]
wait_until(lambda: pool.stats().in_flight == 1)
say_when_it_waits("waits")
try:
    pool.close(None)
except KeyboardInterrupt:
    gate.set()
    refused = type(futures[1].exception(20)).__name__
    report(result=futures[0].result(20), refused=refused, ran=ran, closed=pool.close(20),
           in_flight=pool.stats().in_flight)
    raise
"""

IN_A_LOOP = """
import holdfast

async def main():
    say_when_it_waits("waits")
    await pool.run(lambda: threading.Event().wait())          # for ever

asyncio.run(main())
"""

FOR_EVER = """
future = pool.submit(lambda: threading.Event().wait())
say_when_it_waits("waits")
try:
    future.result()
finally:
    say_when_it_waits("waits at exit")
"""


each_pool = pytest.mark.parametrize("pool", POOLS)


def interrupted(source, *words):
    """Run it, and press Ctrl-C whenever it has said the next of ``words``."""
    with start_program(source) as program:
        for word in words or ["waits"]:
            program.wait_for(word)
            program.interrupt()
        return program.end()


@each_pool
@pytest.mark.parametrize("wait", ["submit before a full queue", "result", "exception"])
def test_an_interrupted_wait_loses_no_call_and_no_permit(pool, wait):
    """What was accepted ends, what was not never runs, and the pool goes on."""
    source = BEGIN + POOLS[pool] + WAIT.format(wait=WAITS[wait], open=True)

    ended = interrupted(source)

    assert ended.code == INTERRUPTED, ended.said
    assert ended.figures == {
        "results": [0, 1],
        "ran": [0, 1, 2],
        "again": 2,
        "in_flight": 0,
        "queued": 0,
        "blocked": 0,
        "withdrawn": 1 if wait == "submit before a full queue" else 0,
        "unaccounted": 0,
    }


@each_pool
def test_an_interrupted_drain_leaves_a_closed_pool_whose_calls_end(pool):
    """Nobody who waits for the end is needed for it."""
    source = BEGIN + POOLS[pool] + WAIT.format(wait=WAITS["close"], open=False)

    ended = interrupted(source)

    assert ended.code == INTERRUPTED, ended.said
    assert ended.figures["results"] == [0, 1]
    assert (ended.figures["in_flight"], ended.figures["unaccounted"]) == (0, 0)


@each_pool
def test_an_interrupted_close_has_refused_what_waits_and_can_be_repeated(pool):
    """The call that runs ends by itself."""
    ended = interrupted(BEGIN + POOLS[pool] + CLOSE)

    assert ended.code == INTERRUPTED, ended.said
    assert ended.figures == {
        "result": 0,
        "refused": "PoolClosed",
        "ran": [0],
        "closed": True,
        "in_flight": 0,
    }


@each_pool
@pytest.mark.parametrize("ordered", [True, False])
def test_an_interrupted_stream_pulls_nothing_more_and_gives_its_permits_back(pool, ordered):
    """Its consumer has gone, so what runs is the last."""
    ended = interrupted(BEGIN + POOLS[pool] + STREAM.format(ordered=ordered))

    assert ended.code == INTERRUPTED, ended.said
    assert ended.figures == {
        "pulled_later": 0,
        "in_flight": 0,
        "abandoned": 0,
        "more_than_pulled": False,
    }


def test_an_interrupted_loop_does_not_wait_for_the_call_that_it_has_left():
    """``asyncio.run`` cancels its caller, so the call is abandoned, and nobody waits for it at exit."""
    ended = interrupted(BEGIN + POOLS["threads"] + IN_A_LOOP)

    assert ended.code == INTERRUPTED, ended.said


def test_a_second_ctrl_c_ends_a_process_that_waits_at_exit_for_a_call_without_end():
    """The first one leaves the wait; the call is not abandoned, so the interpreter would wait for it."""
    ended = interrupted(BEGIN + POOLS["threads"] + FOR_EVER, "waits", "waits at exit")

    assert ended.code == INTERRUPTED, ended.said
