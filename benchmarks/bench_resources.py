"""What it costs to borrow a resource and to give it back, beside a bare queue of them."""

import asyncio
import queue
import sys
from collections.abc import Awaitable, Callable

from benchmarks.claim import Claim
from benchmarks.command import main
from benchmarks.meter import Meter
from holdfast import ResourcePool, scope, track

CLAIM = Claim(
    "resources",
    "A borrowed resource has a line, an age, a bound and a way back, for a few microseconds.",
)

_SIZE = 10


class Thing:
    """Something to be lent."""

    def close(self) -> None:
        """Nothing to do."""


async def _make() -> Thing:
    return Thing()


async def _share(n: int, borrowers: int, use: Callable[[], Awaitable[None]]) -> None:
    """Have ``n`` loans in all, by so many borrowers at once."""

    async def one() -> None:
        for _ in range(n // borrowers):
            await use()

    await asyncio.gather(*(one() for _ in range(borrowers)))


async def pooled(meter: Meter, n: int, *, borrowers: int, in_loop: bool) -> None:
    """Our pool, with functions of the loop or blocking ones."""
    create = _make if in_loop else Thing
    async with ResourcePool(create, Thing.close, max_size=_SIZE, descriptors=0) as pool:

        async def use() -> None:
            async with pool.borrow():
                await asyncio.sleep(0)

        await _share(_SIZE, _SIZE, use)
        with meter.measure():
            await _share(n, borrowers, use)


async def queued(meter: Meter, n: int, *, borrowers: int) -> None:
    """What one would write: a queue of the resources."""
    idle: asyncio.LifoQueue[Thing] = asyncio.LifoQueue()
    for _ in range(_SIZE):
        idle.put_nowait(Thing())

    async def use() -> None:
        thing = await idle.get()
        try:
            await asyncio.sleep(0)
        finally:
            idle.put_nowait(thing)

    with meter.measure():
        await _share(n, borrowers, use)


def pooled_blocking(meter: Meter, n: int) -> None:
    """Our pool in blocking code."""
    with ResourcePool(Thing, Thing.close, max_size=_SIZE, descriptors=0) as pool:
        with pool.borrow():
            pass
        with meter.measure():
            for _ in range(n):
                with pool.borrow():
                    pass


def queued_blocking(meter: Meter, n: int) -> None:
    """The same with a queue of the standard library."""
    idle: queue.LifoQueue[Thing] = queue.LifoQueue()
    idle.put(Thing())
    with meter.measure():
        for _ in range(n):
            thing = idle.get()
            try:
                pass
            finally:
                idle.put(thing)


def tracked(meter: Meter, n: int, *, scoped: bool) -> None:
    """Something that is tracked and dropped, alone or in a scope of its own."""
    with meter.measure():
        for _ in range(n):
            if scoped:
                with scope("session"):
                    track(Thing())
            else:
                track(Thing())


FREE = CLAIM.case(
    "free",
    "borrow one of ten, `await asyncio.sleep(0)`, give back; ten borrowers, so nobody waits",
    n=20_000,
    quick_n=10_000,
    unit="loan",
    repeats=5,
)
FREE.add("pool of the loop", pooled, ours=True, borrowers=_SIZE, in_loop=True)
FREE.add("pool of blocking functions", pooled, ours=True, borrowers=_SIZE, in_loop=False)
FREE.add("asyncio.LifoQueue", queued, borrowers=_SIZE)

SHORT = CLAIM.case(
    "short",
    "the same with a hundred borrowers, so that ninety wait",
    n=20_000,
    quick_n=10_000,
    unit="loan",
    repeats=5,
)
SHORT.add("pool of the loop", pooled, ours=True, borrowers=100, in_loop=True)
SHORT.add("pool of blocking functions", pooled, ours=True, borrowers=100, in_loop=False)
SHORT.add("asyncio.LifoQueue", queued, borrowers=100)

BLOCKING = CLAIM.case(
    "blocking",
    "borrow and give back in one thread",
    n=50_000,
    quick_n=20_000,
    unit="loan",
    repeats=5,
)
BLOCKING.add("pool", pooled_blocking, ours=True)
BLOCKING.add("queue.LifoQueue", queued_blocking)

TRACK = CLAIM.case(
    "track",
    "track something and drop it",
    n=50_000,
    quick_n=20_000,
    unit="thing",
    repeats=5,
)
TRACK.add("track", tracked, ours=True, scoped=False)
TRACK.add("track in a scope", tracked, ours=True, scoped=True)

if __name__ == "__main__":
    raise SystemExit(main(["resources", *sys.argv[1:]]))
