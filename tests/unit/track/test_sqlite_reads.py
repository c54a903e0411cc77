"""Reads: in place where they are short, on a thread otherwise, in bounded memory where they are long."""

import asyncio
import os
import sqlite3
import threading

import pytest

import holdfast
from holdfast.track import opened

SCHEMA = "CREATE TABLE note (id INTEGER PRIMARY KEY, word TEXT);"
BY_ID = "SELECT word FROM note WHERE id = ?"
ALL = "SELECT id FROM note ORDER BY id"
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
LONG = (
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT ?) "
    "SELECT let_pass(count(*)) FROM n"
)
SLOW = "SELECT let_pass(?)"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "notes.db"


@pytest.fixture
async def db(path):
    async with holdfast.sqlite(path, schema=SCHEMA, max_readers=2) as database:
        await database.execute_many(
            "INSERT INTO note (word) VALUES (?)", ((str(n),) for n in range(1000))
        )
        yield database


class Time:
    """Passes when a statement says so, so that no busy machine makes a short one long."""

    def __init__(self):
        self.seconds = 0.0

    def now(self):
        return self.seconds

    def let_pass(self, microseconds):
        self.seconds += microseconds / 1e6
        return microseconds


@pytest.fixture
async def steady(path):
    """A database that judges by such a time how long its reads take; SQL has ``let_pass``."""
    time = Time()

    def register(connection):
        connection.create_function("let_pass", 1, time.let_pass)

    async with holdfast.sqlite(path, schema=SCHEMA, on_connect=register) as database:
        await database.execute_many(
            "INSERT INTO note (word) VALUES (?)", ((str(n),) for n in range(1000))
        )
        database._core.reads._now = time.now
        yield database


async def prove_short(db, sql, params):
    """Run a statement twice: on a thread, which sees that it is short, and in place."""
    await db.fetch_all(sql, params)
    await db.fetch_all(sql, params)
    assert db.stats().inline_reads == 1


async def test_rows_come_as_tuples_or_as_the_factory_makes_them(path, db):
    """All, the first, its first column; None where there is none."""
    assert await db.fetch_all("SELECT id, word FROM note WHERE id < 3") == [(1, "0"), (2, "1")]
    assert await db.fetch_one(BY_ID, (7,)) == ("6",)
    assert await db.fetch_one(BY_ID, (-1,)) is None
    assert await db.fetch_value(BY_ID, (7,)) == "6"
    assert await db.fetch_value(BY_ID, (-1,)) is None

    def as_dict(cursor, row):
        return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}

    async with holdfast.sqlite(path, row_factory=as_dict) as other:
        assert await other.fetch_one(BY_ID, (7,)) == {"word": "6"}
        assert await other.fetch_value(BY_ID, (7,)) == "6"
    async with holdfast.sqlite(path, row_factory=sqlite3.Row) as other:
        assert (await other.fetch_one(BY_ID, (7,)))["word"] == "6"


async def test_a_short_statement_is_executed_in_place(steady):
    """After a thread has seen that it is short; and it sees what was written just before."""
    await prove_short(steady, BY_ID, (1,))
    submitted = steady.stats().readers.submitted

    await steady.execute("UPDATE note SET word = 'new' WHERE id = 1")

    assert await steady.fetch_value(BY_ID, (1,)) == "new"
    assert steady.stats().readers.submitted == submitted


async def test_one_that_grows_long_is_broken_off_and_run_on_a_thread(steady):
    """The answer is the same, and from then on the statement does not keep the loop waiting."""
    await prove_short(steady, LONG, (1,))

    assert await steady.fetch_value(LONG, (100_000,)) == 100_000
    assert steady.stats().inline_given_up == 1
    submitted = steady.stats().readers.submitted
    assert await steady.fetch_value(LONG, (100_001,)) == 100_001
    assert steady.stats().readers.submitted == submitted + 1
    assert (steady.stats().inline_reads, steady.stats().inline_given_up) == (1, 1)


@pytest.mark.parametrize("taken", [(50_000,), (5_000, 5_000)])
async def test_one_that_takes_long_in_place_is_run_on_a_thread_from_then_on(steady, taken):
    """It was not broken off, as it has few steps; but the loop has waited for it: very long, or again."""
    await prove_short(steady, SLOW, (1,))

    for microseconds in taken:
        assert await steady.fetch_value(SLOW, (microseconds,)) == microseconds
    submitted = steady.stats().readers.submitted
    assert await steady.fetch_value(SLOW, (5_000,)) == 5_000
    assert steady.stats().readers.submitted == submitted + 1
    assert (steady.stats().inline_reads, steady.stats().inline_given_up) == (1 + len(taken), 0)


async def test_one_that_takes_long_now_and_then_stays_in_place(steady):
    """A busy machine does not give a thread its turn at once, whatever the statement."""
    await prove_short(steady, SLOW, (1,))
    submitted = steady.stats().readers.submitted

    for _ in range(3):
        await steady.fetch_value(SLOW, (5_000,))
        for _ in range(100):
            await steady.fetch_value(SLOW, (1,))

    assert steady.stats().readers.submitted == submitted


async def test_steps_are_counted_for_each_execution_alone(steady):
    """SQLite counts on between executions: thousands of short ones must not add up to a long one."""
    await prove_short(steady, BY_ID, (1,))

    for n in range(3000):
        await steady.fetch_all(BY_ID, (n,))

    assert steady.stats().inline_given_up == 0
    assert steady.stats().inline_reads == 3001


async def test_an_error_is_the_same_in_place(steady):
    """What can't be executed in place is left to the pool, which says why."""
    await prove_short(steady, BY_ID, (1,))

    with pytest.raises(sqlite3.ProgrammingError, match="bindings"):
        await steady.fetch_all(BY_ID, (1, 2))


async def test_readers_can_not_write(db):
    """A statement that writes belongs to ``execute``."""
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await db.fetch_all("INSERT INTO note (word) VALUES ('x') RETURNING id")


async def test_reads_do_not_wait_for_writes(db):
    """The write-ahead log keeps them apart."""
    async with db.transaction() as tx:
        await tx.execute("DELETE FROM note")

        assert await db.fetch_value("SELECT count(*) FROM note") == 1000


async def test_a_function_reads_one_snapshot(db):
    """Between its statements, a write may come: it does not see it."""
    loop = asyncio.get_running_loop()

    def twice(connection):
        before = connection.execute("SELECT count(*) FROM note").fetchone()
        writing = asyncio.run_coroutine_threadsafe(db.execute("DELETE FROM note"), loop)
        writing.result()
        return before, connection.execute("SELECT count(*) FROM note").fetchone()

    assert await db.read(twice) == ((1000,), (1000,))
    assert await db.fetch_value("SELECT count(*) FROM note") == 0


async def test_a_read_past_its_time_limit_is_stopped(path):
    """Interrupted, not abandoned: its reader is free again."""
    async with holdfast.sqlite(path, schema=SCHEMA, timeout=0.05, max_readers=1) as db:
        with pytest.raises(holdfast.CallTimeout) as told:
            await db.fetch_all(ENDLESS)

        assert told.value.stopped
        assert await db.fetch_value("SELECT 1") == 1


async def test_a_cancelled_read_is_interrupted(db):
    """The reader comes back: as many cancelled ones as it takes do not use them up."""
    for _ in range(5):
        task = asyncio.create_task(db.fetch_all(ENDLESS))
        while not db.stats().readers.in_flight:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert await db.fetch_value("SELECT 1") == 1
    assert db.stats().connections <= 4


async def test_a_deadline_stops_a_read(db):
    """Whichever of the two notices first."""
    with holdfast.deadline(0.05), pytest.raises((holdfast.CallTimeout, holdfast.QueueTimeout)):
        await db.fetch_all(ENDLESS)


# ---------------------------------------------------------------- rows


async def test_rows_are_streamed_in_batches(db):
    """One batch in memory, whatever the size of the result; for coroutines and for blocking code."""
    rows = db.rows(ALL, batch=10)
    seen, held = [], []
    async for row in rows:
        seen.append(row[0])
        held.append(len(rows._rows))

    assert max(held) == 9
    assert seen == list(range(1, 1001))
    assert [row[0] for row in db.rows(ALL, batch=999)] == seen
    assert db.stats().streams == 0


async def test_rows_left_early_give_their_connection_back(db):
    """By the end of their block."""
    async with db.rows(ALL, batch=10) as rows:
        async for _ in rows:
            break
        assert db.stats().streams == 1

    assert db.stats().streams == 0


async def test_rows_that_are_dropped_give_their_connection_back(db):
    """Nobody closed them, and nobody has them."""
    rows = db.rows(ALL, batch=10)
    await anext(rows)
    assert db.stats().streams == 1

    del rows

    while db.stats().streams:  # at once, unless the collector came at a bad moment
        await asyncio.sleep(0.001)


async def test_too_many_open_rows_are_refused_with_the_lines_of_the_others(db):
    """As many as readers; the message says where to look."""
    held = [db.rows(ALL, batch=10) for _ in range(2)]
    for rows in held:
        await anext(rows)

    with pytest.raises(holdfast.QueueFull, match=r"test_sqlite_reads\.py"):
        await anext(db.rows(ALL))

    held[0].close()
    assert [row async for row in db.rows("SELECT 1")] == [(1,)]
    held[1].close()


async def test_rows_that_nobody_reads_on_are_closed(path, caplog):
    """An idle snapshot keeps the log from being cut: after its time it is ended, and says so."""
    async with holdfast.sqlite(path, schema=SCHEMA, transaction_timeout=0.05) as db:
        await db.execute_many("INSERT INTO note VALUES (?, '')", ((n,) for n in range(100)))
        rows = db.rows(ALL, batch=10)
        await anext(rows)
        while db.stats().streams:
            await asyncio.sleep(0.01)

        with pytest.raises(holdfast.CallTimeout, match=r"test_sqlite_reads\.py"):
            [row async for row in rows]
    assert "read faster" in caplog.text


async def test_rows_see_the_state_at_their_first_row(db):
    """What is written meanwhile is not among them."""
    rows = db.rows(ALL, batch=10)
    await anext(rows)
    await db.execute("DELETE FROM note")

    assert len([row async for row in rows]) == 999


async def test_an_error_ends_the_rows(db):
    """And gives the connection back."""
    with pytest.raises(sqlite3.OperationalError):
        [row async for row in db.rows("SELECT nothing")]

    assert db.stats().streams == 0


# ---------------------------------------------------------------- the file


async def test_connections_are_in_the_registry_with_the_line_that_opened_the_database(db):
    """Owner, role, line; and none is left when it is closed."""
    await db.fetch_value("SELECT 1")
    mine = [one for one in opened() if one.owner == "sqlite 'notes.db'"]

    assert {one.name for one in mine} >= {"writer", "reader"}
    assert all("test_sqlite_reads.py" in one.where for one in mine)
    assert sum(one.descriptors for one in mine) >= 5
    await db.aclose()
    assert not [one for one in opened() if one.owner == "sqlite 'notes.db'"]


async def test_closing_leaves_one_file_and_no_descriptor(db, path):
    """The log is merged, its files are gone; calls are refused from then on."""
    await db.fetch_all(ALL)
    await db.aclose()

    assert os.listdir(path.parent) == ["notes.db"]
    for call in (db.execute("SELECT 1"), db.fetch_all("SELECT 1"), anext(db.rows(ALL))):
        with pytest.raises(holdfast.PoolClosed):
            await call
    assert await db.aclose()


async def test_closing_stops_what_does_not_end(path):
    """After ``timeout`` seconds what still runs is interrupted, and what waits is refused."""
    inside = set()

    def seen():
        inside.add(threading.get_ident())
        return 1

    db = holdfast.sqlite(
        path,
        schema=SCHEMA,
        on_connect=lambda connection: connection.create_function("seen", 0, seen),
    )
    reading = asyncio.create_task(db.fetch_all(ENDLESS + " WHERE seen()"))
    writing = asyncio.create_task(db.execute(f"INSERT INTO note (id) {ENDLESS} WHERE seen()"))
    while len(inside) < 2:
        await asyncio.sleep(0.001)
    waiting = asyncio.create_task(db.execute("INSERT INTO note VALUES (1, '')"))
    while not db.stats().writes_queued:
        await asyncio.sleep(0)

    assert not await db.aclose(0.1)

    outcomes = await asyncio.gather(reading, writing, waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [
        holdfast.Failed,
        holdfast.Failed,
        holdfast.PoolClosed,
    ]
    # Two connections that close in the same moment may leave the log of the file behind, each for the other.
    while inside & {thread.ident for thread in threading.enumerate()}:  # until they have noticed
        await asyncio.sleep(0.001)


async def test_a_forgotten_database_closes_its_connections(path):
    """Without a word to anybody, as the collector does."""
    db = holdfast.sqlite(path, schema=SCHEMA)
    await db.execute("INSERT INTO note VALUES (1, '')")
    assert os.path.exists(f"{path}-wal")

    del db

    while os.path.exists(f"{path}-wal"):  # as soon as the thread that wrote has sat down
        await asyncio.sleep(0.001)


async def test_read_only_never_writes(path, db):
    """Not a byte beside the file's own log; a missing file is an error, not a new one."""
    async with holdfast.sqlite(path, read_only=True) as other:
        assert await other.fetch_value("SELECT count(*) FROM note") == 1000
        with pytest.raises(holdfast.PoolClosed, match="read_only"):
            await other.execute("DELETE FROM note")
    async with holdfast.sqlite(path.with_name("missing.db"), read_only=True) as other:
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            await other.fetch_value("SELECT 1")


async def test_pragmas_and_functions_reach_every_connection(path):
    """Foreign keys are on; what ``on_connect`` registers is there for reads and writes."""

    def register(connection):
        connection.create_function("twice", 1, lambda x: 2 * x)

    async with holdfast.sqlite(path, on_connect=register, pragmas={"cache_size": -5000}) as db:
        assert await db.fetch_value("PRAGMA foreign_keys") == 1
        assert await db.fetch_value("PRAGMA cache_size") == -5000
        assert await db.fetch_value("SELECT twice(4)") == 8
        assert (await db.execute("SELECT twice(5)")).rows == [(10,)]
        assert (await db.execute("PRAGMA synchronous")).rows == [(2,)]


async def test_a_backup_is_a_database(db, path):
    """Taken while it is in use."""
    await db.backup(path.with_name("copy.db"))

    async with holdfast.sqlite(path.with_name("copy.db")) as copy:
        assert await copy.fetch_value("SELECT count(*) FROM note") == 1000


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"path": ":memory:"}, "database of its own"),
        ({"path": "file:x?mode=memory"}, "database of its own"),
        ({"max_readers": 0}, "at least 1"),
        ({"busy_timeout": None}, "for ever"),
        ({"pragmas": {"synchronous": "OFF"}}, "own"),
        ({"pragmas": {"a; drop": 1}}, "small letters"),
        ({"pragmas": {"cache_size": "1; x"}}, "one word"),
        ({"synchronous": "off"}, "'full', 'normal'"),
        ({"read_only": True, "schema": "x"}, "leave out one"),
    ],
)
def test_arguments_are_checked_when_it_is_opened(path, arguments, why):
    """Each with what would do."""
    with pytest.raises(ValueError, match=why):
        holdfast.sqlite(**{"path": path, **arguments})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_after_a_fork_has_connections_of_its_own(path):
    """It neither uses nor closes the parent's, and both go on writing."""
    with holdfast.sqlite(path, schema=SCHEMA) as db:
        db.blocking.execute("INSERT INTO note VALUES (1, 'parent')")
        for _ in range(20):
            db.blocking.fetch_value("SELECT count(*) FROM note")
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                db.blocking.execute("INSERT INTO note VALUES (2, 'child')")
                seen = db.blocking.fetch_value("SELECT count(*) FROM note")
                os.write(writing, f"{seen} {db.stats().connections}".encode())
            finally:
                os._exit(0)
        os.close(writing)
        os.waitpid(child, 0)
        told = os.read(reading, 100)
        os.close(reading)
        db.blocking.execute("INSERT INTO note VALUES (3, 'parent')")

        assert told.split()[0] == b"2"
        assert db.blocking.fetch_value("SELECT count(*) FROM note") == 3
