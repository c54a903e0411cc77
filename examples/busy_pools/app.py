"""A program under load, to look at with ``holdfast top``: three pools, of which one is too small.

Run it, and in another terminal ``holdfast top``:

    python examples/busy_pools/app.py --seconds 300
"""

import argparse
import asyncio
import random
import time
from contextlib import suppress

import holdfast
from holdfast.watch import Monitor

CHAOS = random.Random(7)  # noqa: S311 - an example, not a secret
SLOW_CALLS, STUCK_PAGES = 0.05, 0.02


async def call_model(prompt: int) -> int:
    """Stand for a call of a model: a third of a second, sometimes two."""
    await asyncio.sleep(2.0 if CHAOS.random() < SLOW_CALLS else CHAOS.uniform(0.1, 0.5))
    return prompt


def read_rows(session: int) -> int:
    """Stand for a slow database."""
    time.sleep(CHAOS.uniform(0.05, 0.3))
    return session


def index_page(page: int) -> int:
    """Stand for a parser that now and then does not come back in time."""
    time.sleep(8.0 if CHAOS.random() < STUCK_PAGES else 0.05)
    return page


async def session(
    number: int, llm: holdfast.AsyncPool, db: holdfast.ThreadPool, files: holdfast.ThreadPool
) -> None:
    """One session: rows, a model, a page; again and again."""
    while True:
        await db.run(read_rows, number)
        await llm.run(call_model, number)
        with suppress(holdfast.errors.CallTimeout):
            await files.options(timeout=1).run(index_page, number)


async def main(seconds: float, sessions: int) -> None:
    """Run the sessions for so long."""
    async with Monitor(serve=True), holdfast.AsyncPool(20, name="llm") as llm:
        with holdfast.ThreadPool(4, name="db") as db, holdfast.ThreadPool(8, name="files") as files:
            tasks = [
                asyncio.create_task(session(number, llm, db, files), name=f"session-{number}")
                for number in range(sessions)
            ]
            await asyncio.sleep(seconds)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--sessions", type=int, default=60)
    options = parser.parse_args()
    asyncio.run(main(options.seconds, options.sessions))
