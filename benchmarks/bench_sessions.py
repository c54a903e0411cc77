"""Sessions that wait: what each of a hundred thousand holds."""

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Awaitable, Callable

from benchmarks.claim import Claim
from benchmarks.command import main
from benchmarks.memory import rss_bytes
from benchmarks.meter import Meter
from holdfast import AsyncPool

CLAIM = Claim("sessions", "A session that waits in a pool holds little memory and no thread.")

FAR_S = 3600.0


async def _hold(meter: Meter, n: int, session: Callable[[], Awaitable[None]]) -> None:
    """Start ``n`` sessions, let each come to where it waits, and read what they hold."""
    gc.collect()
    before = rss_bytes()
    with meter.measure():
        sessions = [asyncio.ensure_future(session()) for _ in range(n)]
        await asyncio.sleep(0)
    gc.collect()
    meter.note(session_bytes=(rss_bytes() - before) / n, threads=_threads())
    assert not any(waiting.done() for waiting in sessions)
    for waiting in sessions:
        waiting.cancel()
    await asyncio.gather(*sessions, return_exceptions=True)


async def in_pool(meter: Meter, n: int) -> None:
    """Each session is a call that the pool lets in."""
    async with AsyncPool(1, name="bench", max_queue=n, queue_timeout=FAR_S) as pool:
        release = await _take_the_permit(pool)
        await _hold(meter, n, lambda: pool.run(_nothing))
        assert pool.stats().queued == 0
        release.set()


async def in_session(meter: Meter, n: int) -> None:
    """Each session makes a call and waits in line for it, one frame further up."""
    async with AsyncPool(1, name="bench", max_queue=n, queue_timeout=FAR_S) as pool:
        release = await _take_the_permit(pool)

        async def session() -> None:
            await pool.run(_nothing)

        await _hold(meter, n, session)
        release.set()


async def _take_the_permit(pool: AsyncPool) -> asyncio.Event:
    release = asyncio.Event()
    held = asyncio.Event()

    async def hold() -> None:
        held.set()
        await release.wait()

    _holders.add(asyncio.ensure_future(pool.run(hold)))
    await held.wait()
    return release


_holders: set[asyncio.Future[None]] = set()


async def _nothing() -> None:
    """Never reached: all sessions still wait when they are cancelled."""


async def in_timeout(meter: Meter, n: int) -> None:
    async def session() -> None:
        async with asyncio.timeout(FAR_S):
            await asyncio.sleep(FAR_S)

    await _hold(meter, n, session)


async def on_future(meter: Meter, n: int) -> None:
    """Without a deadline: the least that a waiting task holds."""
    loop = asyncio.get_running_loop()

    async def session() -> None:
        await loop.create_future()

    await _hold(meter, n, session)


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - the count is all that is wanted
    except OSError:
        return threading.active_count()


WAITING = CLAIM.case(
    "waiting",
    "sessions that wait in line, or sleep, with a deadline of an hour",
    n=100_000,
    quick_n=30_000,
    unit="session",
    most_rounds=5,
    warm_n=100,
)
WAITING.add("AsyncPool.run", in_pool, ours=True)
WAITING.add("AsyncPool.run in a session", in_session, ours=True)
WAITING.add("asyncio.timeout + sleep", in_timeout)
WAITING.add("bare future, no deadline", on_future)

if __name__ == "__main__":
    raise SystemExit(main(["sessions", *sys.argv[1:]]))
