"""Everything at once in memory.

From backend.ai #10735, cpython #115201 and pydantic-ai #6884: ``asyncio.gather`` over 100,000 items makes
as many coroutines, tasks and results, up to 270 MB; a semaphore bounds what runs, not what is held.
"""

import pytest
from tests.system.failure_programs import run_program

pytestmark = pytest.mark.system

PROGRAM = """
import asyncio, gc, sys
import holdfast
from tests.system.failure_programs import memory_mib, peak_memory_mib, report

ITEMS, LIMIT = 100_000, 32
how = sys.argv[1]
now = most = 0

async def work(i):
    global now, most
    now += 1
    most = max(most, now)
    prompt = bytes(2048)                          # held while it is suspended
    await asyncio.sleep(0)
    now -= 1
    return len(prompt)

async def main():
    if how == "one-liner":
        stream = holdfast.stream(work, range(ITEMS), limit=LIMIT)
    else:
        pool = holdfast.AsyncPool(LIMIT)
        stream = pool.stream(work, range(ITEMS), ordered=how == "ordered")
    gc.collect()
    before = memory_mib()
    replies = total = 0
    async for reply in stream:
        replies += 1
        total += reply
    return before, replies, total

before, replies, total = asyncio.run(main())
report(grown_mib=peak_memory_mib() - before, replies=replies, total=total, at_once=most)
"""


@pytest.mark.parametrize("how", ["one-liner", "ordered", "unordered"])
def test_a_stream_over_a_hundred_thousand_items_needs_ten_megabytes_at_most(how):
    """Input is pulled as there is room: memory is for the limit, not for the length."""
    figures = run_program(PROGRAM, how).figures

    assert figures["replies"] == 100_000
    assert figures["total"] == 100_000 * 2048
    assert figures["at_once"] <= 32
    assert figures["grown_mib"] < 10
