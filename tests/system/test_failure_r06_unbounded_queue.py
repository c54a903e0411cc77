"""A queue that takes whatever comes.

From litellm (which made a ``BoundedLoggingThreadPoolExecutor`` of its own) and OpenHands #3143: the work
queue of ``ThreadPoolExecutor`` has no bound, so a producer that is faster than its workers keeps every
payload in memory: 15,000 calls and 300 MB after a third of a second.
"""

import pytest
from tests.system.failure_programs import run_program

pytestmark = pytest.mark.system

BACKPRESSURE = """
import os, time
from holdfast import ThreadPool
from tests.system.failure_programs import memory_mib, peak_memory_mib, report

CALLS = 20_000
ran = []

def log(i, payload):
    time.sleep(0.0003)                            # four workers are slower than one producer
    ran.append(i)

pool = ThreadPool(4, name="log", max_queue=100)
before = memory_mib()
for i in range(CALLS):
    pool.submit(log, i, bytearray(os.urandom(16)) * 1024)       # 16 KiB
pool.drain()
stats = pool.stats()
report(grown_mib=peak_memory_mib() - before, ran=len(ran), distinct=len(set(ran)),
       peak_queued=stats.peak_queued, completed=stats.completed)
"""

REFUSAL = """
import os, threading
from holdfast import QueueFull, ThreadPool
from tests.system.failure_programs import memory_mib, peak_memory_mib, report

CALLS = 20_000
network = threading.Event()
ran = []

def log(i, payload):
    network.wait()                                # the receiver is down
    ran.append(i)

pool = ThreadPool(4, name="log", max_queue=100, overflow="reject")
accepted, refused = [], 0
before = memory_mib()
for i in range(CALLS):
    try:
        pool.submit(log, i, bytearray(os.urandom(16)) * 1024)
        accepted.append(i)
    except QueueFull:
        refused += 1
grown = peak_memory_mib() - before
network.set()
pool.drain()
report(grown_mib=grown, refused=refused, as_told=sorted(ran) == accepted,
       rejected=pool.stats().rejected)
"""


def test_a_producer_that_is_too_fast_is_made_to_wait():
    """20,000 payloads of 16 KiB: about a hundred wait, none is lost, and memory stays flat."""
    figures = run_program(BACKPRESSURE).figures

    assert figures["ran"] == figures["distinct"] == figures["completed"] == 20_000
    assert figures["peak_queued"] <= 100
    assert figures["grown_mib"] < 20


def test_a_producer_that_must_not_wait_is_told_what_was_not_taken():
    """With workers that stand still: what was accepted runs, what was refused never does."""
    figures = run_program(REFUSAL).figures

    assert figures["refused"] == 20_000 - 4 - 100
    assert figures["rejected"] == {"full": figures["refused"]}
    assert figures["as_told"] is True
    assert figures["grown_mib"] < 20
