"""Sessions that write, fail, cancel and give up at random: the file says what they were told."""

import asyncio
import random
import sqlite3
import sys
import threading

import pytest

import holdfast

pytestmark = pytest.mark.race

SCHEMA = "CREATE TABLE note (word TEXT PRIMARY KEY, pair INTEGER);"
INSERT = "INSERT INTO note VALUES (?, 0)"
BOTH = "INSERT INTO note VALUES (? || '.a', 1), (? || '.b', 1)"


@pytest.fixture(autouse=True)
def hurried():
    """Threads change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Storm:
    """What each session was told, by word."""

    def __init__(self, db, seed):
        self.db = db
        self.chance = random.Random(seed)
        self.written, self.refused, self.unknown = set(), set(), set()
        self.count = 0

    async def one(self):
        """Do one thing, perhaps be cancelled in the middle, and note what came of it."""
        self.count += 1
        word = f"w{self.count}"
        kind = self.chance.choice(
            (self.plain, self.duplicate, self.breaking, self.call, self.block, self.failing_block)
        )
        task = asyncio.ensure_future(kind(word))
        if self.chance.random() < 0.3:
            await asyncio.sleep(self.chance.random() * 0.003)
            task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            self.unknown.add(word)
        except (sqlite3.IntegrityError, KeyError):
            self.refused.add(word)
        else:
            self.written.add(word)

    async def plain(self, word):
        await self.db.execute(INSERT, (word,))

    async def duplicate(self, word):
        await self.db.execute_many(INSERT, [(word,), (word,)])

    async def breaking(self, word):
        await self.db.execute("INSERT OR ROLLBACK INTO note VALUES (?, 0), (?, 0)", (word, word))

    async def call(self, word):
        await self.db.write(lambda connection: connection.execute(BOTH, (word, word)))

    async def block(self, word):
        async with self.db.transaction() as tx:
            await tx.execute("INSERT INTO note VALUES (? || '.a', 1)", (word,))
            await asyncio.sleep(0)
            await tx.execute("INSERT INTO note VALUES (? || '.b', 1)", (word,))

    async def failing_block(self, word):
        async with self.db.transaction() as tx:
            await tx.execute(INSERT, (word,))
            raise KeyError(word)


@pytest.mark.parametrize("seed", range(6))
def test_the_file_says_what_the_sessions_were_told(tmp_path, seed):
    """Written is there, refused is not, cancelled is there whole or not at all; then all is quiet."""
    path = tmp_path / "storm.db"

    async def main(db, storm):
        async def session():
            for _ in range(12):
                await storm.one()

        await asyncio.gather(*(session() for _ in range(25)))

    with holdfast.sqlite(path, schema=SCHEMA, synchronous="normal", transaction_timeout=20) as db:
        storms = [Storm(db, seed * 10 + n) for n in range(2)]
        storms[1].count = 100_000
        threads = [
            threading.Thread(target=lambda s=storm: asyncio.run(main(db, s))) for storm in storms
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        db.blocking.execute(INSERT, ("last",))
        stats = db.stats()

    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT word, pair FROM note").fetchall()
    connection.close()
    singles = {word for word, pair in rows if not pair}
    halves = [word for word, pair in rows if pair]
    pairs = {word.removesuffix(".a") for word in halves if word.endswith(".a")}
    assert pairs == {word.removesuffix(".b") for word in halves if word.endswith(".b")}
    there = singles | pairs
    for storm in storms:
        assert storm.written <= there
        assert not storm.refused & there
    told = set().union(*(storm.written | storm.unknown for storm in storms))
    assert there - {"last"} <= told
    assert "last" in there
    assert (stats.writes_queued, stats.holder) == (0, None)
