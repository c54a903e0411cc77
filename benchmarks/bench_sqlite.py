"""SQLite for many sessions, beside aiosqlite and beside a connection for each call.

All on one file with a write-ahead log that is synchronised at each commit, as a program has it that must
not lose what it has acknowledged.
"""

import asyncio
import sqlite3
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.claim import Claim
from benchmarks.command import main
from benchmarks.meter import Meter
from benchmarks.peers import load
from holdfast.track.sqlite import SQLite, sqlite

CLAIM = Claim(
    "sqlite",
    "A read costs a fifth of one by aiosqlite, and a durable write half; a connection for each call "
    "costs many times either.",
)

READ = "SELECT text FROM message WHERE id = ?"
WRITE = "INSERT INTO message (session, text) VALUES (?, ?)"
ROWS = 10_000
TEXT = "x" * 200

Call = Callable[[int], Awaitable[Any]]


def _make(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE message (id INTEGER PRIMARY KEY, session INTEGER, text TEXT)")
    connection.execute("CREATE INDEX by_session ON message (session)")
    connection.executemany(WRITE, ((n % 100, TEXT) for n in range(ROWS)))
    connection.commit()
    connection.close()


@asynccontextmanager
async def _file() -> AsyncGenerator[Path]:
    # Beside the program, because a temporary folder may be in memory, where nothing is durable.
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".sqlite-") as folder:
        path = Path(folder) / "bench.db"
        _make(path)
        yield path


async def _sessions(meter: Meter, n: int, at_once: int, call: Call) -> None:
    """So many sessions, each doing one call after the other."""
    for warm in range(50):
        await call(warm)

    async def session(first: int) -> None:
        for number in range(first, n, at_once):
            await call(number % ROWS)

    with meter.measure():
        await asyncio.gather(*map(session, range(at_once)))


# ---------------------------------------------------------------- reads and writes


async def ours(meter: Meter, n: int, *, at_once: int, write: bool, inline: bool = True) -> None:
    async with _file() as path, sqlite(path, inline_reads=inline) as db:
        await _sessions(meter, n, at_once, _our_call(db, write=write))


def _our_call(db: SQLite, *, write: bool) -> Call:
    async def read_one(number: int) -> None:
        await db.fetch_all(READ, (number,))

    async def write_one(number: int) -> None:
        await db.execute(WRITE, (number, TEXT))

    return write_one if write else read_one


async def by_aiosqlite(
    meter: Meter, n: int, *, at_once: int, write: bool, locked: bool = False
) -> None:
    """One connection for all sessions; with ``locked``, each write and its commit are nobody else's."""
    aiosqlite = load("aiosqlite")
    async with _file() as path, aiosqlite.connect(path) as db:
        await db.execute("PRAGMA synchronous = FULL")
        lock = asyncio.Lock()

        async def read_one(number: int) -> None:
            async with db.execute(READ, (number,)) as cursor:
                await cursor.fetchall()

        async def write_one(number: int) -> None:
            await db.execute(WRITE, (number, TEXT))
            await db.commit()

        async def write_alone(number: int) -> None:
            async with lock:
                await write_one(number)

        call = (write_alone if locked else write_one) if write else read_one
        await _sessions(meter, n, at_once, call)


async def by_connection_each(meter: Meter, n: int, *, at_once: int, write: bool) -> None:
    """A connection for each call, on the loop's default threads."""
    async with _file() as path:

        def one(number: int) -> None:
            connection = sqlite3.connect(path, timeout=30)
            try:
                connection.execute("PRAGMA synchronous = FULL")
                if write:
                    connection.execute(WRITE, (number, TEXT))
                    connection.commit()
                else:
                    connection.execute(READ, (number,)).fetchall()
            finally:
                connection.close()

        async def call(number: int) -> None:
            await asyncio.to_thread(one, number)

        await _sessions(meter, n, at_once, call)


READS = (("read-one", "one session", 1, 2_000), ("read-many", "50 sessions at once", 50, 5_000))
for _name, _who, _at_once, _n in READS:
    _case = CLAIM.case(
        _name, f"reads by key, {_who}", n=_n, quick_n=_n // 2, unit="read", repeats=3, warm_n=50
    )
    _case.add("holdfast.sqlite", ours, ours=True, at_once=_at_once, write=False)
    _case.add(
        "holdfast.sqlite, inline_reads=False",
        ours,
        ours=True,
        at_once=_at_once,
        write=False,
        inline=False,
    )
    _case.add("aiosqlite", by_aiosqlite, at_once=_at_once, write=False)
    _case.add("a connection each", by_connection_each, at_once=_at_once, write=False)

WRITES = (
    ("write-fifty", "50 sessions", 50, 4_000),
    ("write-many", "200 sessions", 200, 4_000),
    ("write-thousand", "1,000 sessions", 1_000, 10_000),
)
for _name, _who, _at_once, _n in WRITES:
    _case = CLAIM.case(
        _name,
        f"durable writes, {_who} at once",
        n=_n,
        quick_n=_n // 2,
        unit="write",
        repeats=3,
        warm_n=_at_once,
        compared="each_wall_s",
    )
    _case.add("holdfast.sqlite", ours, ours=True, at_once=_at_once, write=True)
    _case.add("aiosqlite", by_aiosqlite, at_once=_at_once, write=True)

ALONE = CLAIM.case(
    "write-alone",
    "durable writes that share nothing, 200 sessions at once",
    n=400,
    quick_n=200,
    unit="write",
    warm_n=20,
    compared="each_wall_s",
)
ALONE.add("holdfast.sqlite", ours, ours=True, at_once=200, write=True)
ALONE.add("aiosqlite, locked", by_aiosqlite, at_once=200, write=True, locked=True)
ALONE.add("a connection each", by_connection_each, at_once=200, write=True)


if __name__ == "__main__":
    raise SystemExit(main(["sqlite", *sys.argv[1:]]))
