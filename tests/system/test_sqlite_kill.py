"""SIGKILL in the middle of writes: what was acknowledged is there, and nothing is there by half.

Eight kills here; ``HOLDFAST_KILLS=50 make test ARGS="tests/system/test_sqlite_kill.py --timeout 300"`` for
more.
"""

import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.system

KILLS = int(os.environ.get("HOLDFAST_KILLS", "8"))
SESSIONS = 40

PROGRAM = """
import asyncio, os, sys
import holdfast

path, = sys.argv[1:]
SESSIONS = 40
SCHEMA = '''
CREATE TABLE IF NOT EXISTS message (session INTEGER, turn INTEGER, part INTEGER, text TEXT,
    PRIMARY KEY (session, turn, part));
CREATE TABLE IF NOT EXISTS total (n INTEGER);
INSERT INTO total SELECT 0 WHERE NOT EXISTS (SELECT * FROM total);
'''
SAVE = "INSERT INTO message VALUES (?, ?, ?, ?)"

def both(connection, session, turn):                   # a function, a transaction of its own
    connection.execute(SAVE, (session, turn, 0, "q" * 500))
    connection.execute("UPDATE total SET n = n + 1")
    connection.execute(SAVE, (session, turn, 1, "a" * 500))

async def say(db, session, turn):
    kind = turn % 3
    if kind == 0:
        await db.write(both, session, turn)
    elif kind == 1:
        async with db.transaction() as tx:             # steered statement by statement
            await tx.execute(SAVE, (session, turn, 0, "q" * 500))
            await tx.execute("UPDATE total SET n = n + 1")
            await tx.execute(SAVE, (session, turn, 1, "a" * 500))
    else:                                              # one statement, in a group with others
        rows = "INSERT INTO message VALUES (?, ?, 0, ?), (?, ?, 1, ?)"
        await db.execute(rows, (session, turn, "g" * 500) * 2)

async def talk(db, session):
    last = await db.fetch_value("SELECT max(turn) FROM message WHERE session = ?", (session,))
    turn = 0 if last is None else last + 1
    while True:
        await say(db, session, turn)
        os.write(1, f"{session} {turn}\\n".encode())    # acknowledged
        turn += 1

async def main():
    async with holdfast.sqlite(path, schema=SCHEMA) as db:
        await asyncio.gather(*(talk(db, n) for n in range(SESSIONS)))

asyncio.run(main())
"""


def run_and_kill(path, after, wait_s):
    """Run the program, kill it some time after its ``after``-th acknowledgement, return all of them."""
    process = subprocess.Popen(  # noqa: S603 - the program under test
        [sys.executable, "-c", PROGRAM, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    text = b""
    with process:
        try:
            assert process.stdout is not None
            while text.count(b"\n") < after:
                ready, _, _ = select.select([process.stdout], [], [], 30)
                chunk = os.read(process.stdout.fileno(), 65536) if ready else b""
                if not chunk:
                    process.kill()
                    raise AssertionError(process.stderr.read().decode()[-2000:])
                text += chunk
            time.sleep(wait_s)
        finally:
            process.send_signal(signal.SIGKILL)
        text += process.stdout.read()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    return [tuple(map(int, line.split())) for line in text.split(b"\n")[:-1]]


def test_a_killed_process_has_lost_nothing_that_it_acknowledged(tmp_path):
    """The same file again and again: whole, complete, in order, and its sum right, each time."""
    path = tmp_path / "history.db"
    chance = random.Random(7)
    acknowledged = set()

    for _ in range(KILLS):
        acknowledged |= set(
            run_and_kill(path, after=chance.randrange(1, 400), wait_s=chance.random() * 0.01)
        )

        connection = sqlite3.connect(path)
        check = connection.execute("PRAGMA integrity_check").fetchone()[0]
        rows = connection.execute(
            "SELECT session, turn, count(*), sum(part) FROM message GROUP BY session, turn"
        ).fetchall()
        total = connection.execute("SELECT n FROM total").fetchone()[0]
        connection.close()
        assert check == "ok"
        assert all((count, parts) == (2, 1) for _, _, count, parts in rows)  # none by half
        there = {(session, turn) for session, turn, _, _ in rows}
        assert acknowledged <= there
        for session in range(SESSIONS):
            turns = sorted(turn for number, turn in there if number == session)
            assert turns == list(range(len(turns)))
        assert total == sum(turn % 3 != 2 for _, turn in there)
    assert acknowledged
