"""What a stream holds, and for how long it holds the loop, whatever the length of its input."""

import itertools
import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable

from benchmarks import maps
from benchmarks.claim import Claim
from benchmarks.command import main
from benchmarks.meter import Meter
from holdfast import AsyncPool

CLAIM = Claim(
    "memory",
    "A stream's memory and the stalls of the loop do not grow with the number of items.",
)


async def _take(meter: Meter, n: int, items: Iterable[int] | AsyncIterable[int]) -> None:
    """Take ``n`` values, keep none, leave."""
    taken = 0
    async with AsyncPool(maps.WIDTH, name="bench") as pool:
        with meter.measure():
            async with pool.stream(maps.suspends, items) as stream:
                async for _ in stream:
                    taken += 1
                    if taken == n:
                        break
    assert taken == n


async def of_range(meter: Meter, n: int) -> None:
    await _take(meter, n, range(n))


async def of_endless(meter: Meter, n: int) -> None:
    await _take(meter, n, itertools.count())


async def of_endless_async(meter: Meter, n: int) -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in itertools.count():
            yield number

    await _take(meter, n, numbers())


# A single item warms these up: a longer run would leave memory behind, to be used again unseen.
SMALL = CLAIM.case("small", "10,000 items, values not kept", n=10_000, quick_n=10_000, warm_n=1)
SMALL.add("AsyncPool.stream", of_range, ours=True)
SMALL.add("Semaphore + gather", maps.semaphore_gather, work=maps.suspends)

LARGE = CLAIM.case(
    "large",
    "1,000,000 items, values not kept",
    n=1_000_000,
    quick_n=100_000,
    most_rounds=3,
    warm_n=1,
)
LARGE.add("AsyncPool.stream", of_range, ours=True)

ENDLESS = CLAIM.case(
    "endless",
    "an endless input, left after a while",
    n=300_000,
    quick_n=50_000,
    most_rounds=3,
    warm_n=1,
)
ENDLESS.add("AsyncPool.stream", of_endless, ours=True)
ENDLESS.add("AsyncPool.stream, async input", of_endless_async, ours=True)

STALL = CLAIM.case(
    "stall",
    "100,000 items, and a timer that should fire every millisecond",
    n=100_000,
    quick_n=100_000,
    watch_loop=True,
)
STALL.add("AsyncPool.stream", maps.holdfast_stream, ours=True, work=maps.suspends)
STALL.add(
    "AsyncPool.stream, items that return at once",
    maps.holdfast_stream,
    ours=True,
    work=maps.at_once,
)
STALL.add("Semaphore + gather", maps.semaphore_gather, work=maps.suspends)

if __name__ == "__main__":
    raise SystemExit(main(["memory", *sys.argv[1:]]))
