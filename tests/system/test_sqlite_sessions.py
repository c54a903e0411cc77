"""A thousand sessions read and write their history over ten threads."""

import asyncio
import sqlite3
import threading

import pytest

import holdfast

pytestmark = pytest.mark.system

SESSIONS, TURNS, THREADS = 1000, 5, 10
SCHEMA = """
CREATE TABLE message (
    id INTEGER PRIMARY KEY, session INTEGER NOT NULL, turn INTEGER NOT NULL, text TEXT NOT NULL
);
CREATE INDEX message_by_session ON message (session, turn);
"""
HISTORY = "SELECT text FROM message WHERE session = ? ORDER BY turn"
SAVE = "INSERT INTO message (session, turn, text) VALUES (?, ?, ?)"


def said(session, turn):
    return f"session {session} said {turn}"


async def session(db, number):
    """Read what was said, check that it is whole and in order, say one thing more."""
    for turn in range(TURNS):
        history = [row[0] for row in await db.fetch_all(HISTORY, (number,))]
        assert history == [said(number, before) for before in range(turn)]
        if turn % 2:
            await db.execute(SAVE, (number, turn, said(number, turn)))
        else:
            async with db.transaction() as tx:
                last = await tx.fetch_value(
                    "SELECT max(turn) FROM message WHERE session = ?", (number,)
                )
                next_ = 0 if last is None else last + 1
                await tx.execute(SAVE, (number, next_, said(number, next_)))


def test_every_message_is_there_in_order_and_nothing_was_locked(tmp_path):
    """A stranger with a connection of his own writes to the file meanwhile, too."""
    path = tmp_path / "history.db"
    stop = threading.Event()
    others = []

    def stranger():
        connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        while not stop.is_set():
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(SAVE, (-1, len(others), "beside"))
            stop.wait(0.002)
            connection.execute("COMMIT")
            others.append(1)
            stop.wait(0.005)
        connection.close()

    async def main():
        before = threading.active_count()
        async with holdfast.sqlite(path, schema=SCHEMA, max_readers=THREADS - 1) as db:
            await db.fetch_all(HISTORY, (0,))
            thread = threading.Thread(target=stranger)
            thread.start()
            try:
                await asyncio.gather(*(session(db, number) for number in range(SESSIONS)))
                threads = threading.active_count() - before
            finally:
                stop.set()
                thread.join()
            return threads, db.stats()

    threads, stats = asyncio.run(main())

    rows = sqlite3.connect(path)
    found = rows.execute("SELECT session, turn, text FROM message WHERE session >= 0 ORDER BY id")
    by_session = {}
    for number, turn, text in found:
        by_session.setdefault(number, []).append((turn, text))
    beside = rows.execute("SELECT count(*) FROM message WHERE session = -1").fetchone()[0]
    rows.close()
    assert by_session == {
        number: [(turn, said(number, turn)) for turn in range(TURNS)] for number in range(SESSIONS)
    }
    assert beside == len(others) > 0
    assert threads <= THREADS + 2  # the stranger, and the timer
    assert stats.connections <= 2 * THREADS + 2
    assert stats.writes_failed == stats.writes_refused == stats.cut_transactions == 0
