"""What a deadline for each item adds to its cost."""

import asyncio
import sys

from benchmarks import maps
from benchmarks.claim import Claim
from benchmarks.command import main
from benchmarks.peers import load

CLAIM = Claim("deadlines", "A deadline for each item costs next to nothing: one sweep for all.")

FAR_S = 30.0


async def with_asyncio_timeout(item: int) -> int:
    async with asyncio.timeout(FAR_S):
        return await maps.suspends(item)


async def with_wait_for(item: int) -> int:
    return await asyncio.wait_for(maps.suspends(item), FAR_S)


async def with_fail_after(item: int) -> int:
    with load("anyio").fail_after(FAR_S):
        return await maps.suspends(item)


EACH = CLAIM.case(
    "each",
    "items of `await asyncio.sleep(0)`, 100 at once, with a deadline of 30 s for each",
    n=20_000,
    quick_n=20_000,
    repeats=5,
)
EACH.add(
    "stream with timeout", maps.holdfast_stream, ours=True, work=maps.suspends, deadline_s=FAR_S
)
EACH.add("stream", maps.holdfast_stream, ours=True, work=maps.suspends)
EACH.add("bare loop", maps.bare_workers, work=maps.suspends)
EACH.add("bare loop + asyncio.timeout", maps.bare_workers, work=with_asyncio_timeout)
EACH.add("bare loop + asyncio.wait_for", maps.bare_workers, work=with_wait_for)
EACH.add("bare loop + anyio.fail_after", maps.bare_workers, work=with_fail_after)

if __name__ == "__main__":
    raise SystemExit(main(["deadlines", *sys.argv[1:]]))
