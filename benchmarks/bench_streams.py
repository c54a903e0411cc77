"""A stream of coroutines, beside the other ways to run many with a bound."""

import sys

from benchmarks import maps
from benchmarks.claim import Case, Claim
from benchmarks.command import main

CLAIM = Claim("streams", "A stream costs little more than a loop of workers written by hand.")


def _add_common(case: Case, work: maps.Work) -> None:
    case.add("AsyncPool.stream", maps.holdfast_stream, ours=True, work=work)
    case.add("bare loop of workers", maps.bare_workers, work=work)
    case.add("Semaphore + gather", maps.semaphore_gather, work=work)


SUSPENDS = CLAIM.case(
    "suspends",
    "items of `await asyncio.sleep(0)`, 100 at once, in order",
    n=10_000,
    quick_n=10_000,
    repeats=3,
    watch_loop=True,
)
_add_common(SUSPENDS, maps.suspends)
SUSPENDS.add("Semaphore + TaskGroup", maps.semaphore_task_group, work=maps.suspends)
SUSPENDS.add("streamable", maps.streamable_map, work=maps.suspends)
SUSPENDS.add("aiometer.amap", maps.aiometer_amap, work=maps.suspends)
SUSPENDS.add("anyio task group + limiter", maps.anyio_limiter, work=maps.suspends)

AT_ONCE = CLAIM.case(
    "at-once",
    "items that return at once, 100 at once, in order",
    n=10_000,
    quick_n=10_000,
    repeats=3,
    watch_loop=True,
)
_add_common(AT_ONCE, maps.at_once)
AT_ONCE.add("streamable", maps.streamable_map, work=maps.at_once)

MILLION = CLAIM.case(
    "million",
    "a million items of `await asyncio.sleep(0)`",
    n=1_000_000,
    quick_n=0,
    most_rounds=2,
    watch_loop=True,
    needs_bytes=3 << 30,
)
_add_common(MILLION, maps.suspends)

if __name__ == "__main__":
    raise SystemExit(main(["streams", *sys.argv[1:]]))
