"""Writes: durable, in groups, each as a whole, and nobody's failure is a neighbour's."""

import asyncio
import sqlite3
import threading

import pytest

import holdfast
from holdfast.track._sqlite import core

SCHEMA = """
CREATE TABLE note (id INTEGER PRIMARY KEY, word TEXT UNIQUE, parent INTEGER REFERENCES note (id)
    DEFERRABLE INITIALLY DEFERRED);
"""
INSERT = "INSERT INTO note (word) VALUES (?)"
WORDS = "SELECT word FROM note ORDER BY id"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "notes.db"


@pytest.fixture
async def db(path):
    async with holdfast.sqlite(path, schema=SCHEMA, inline_reads=False) as database:
        yield database


def on_disk(path):
    """Read the file the way a stranger would."""
    with sqlite3.connect(path) as connection:
        rows = [row[0] for row in connection.execute(WORDS)]
    connection.close()
    return rows


class Busy:
    """Keeps the writer at work until it is let go."""

    def __init__(self, db):
        self._db = db
        self._here, self._go = threading.Event(), threading.Event()

    async def __aenter__(self):
        self._task = asyncio.create_task(self._db.write(self._wait))
        await asyncio.to_thread(self._here.wait)
        return self

    def _wait(self, _connection):
        self._here.set()
        self._go.wait()

    async def __aexit__(self, *error):
        self._go.set()
        await self._task


async def together(db, *calls):
    """Put calls in line while the writer is at work, so that they meet in one group."""
    async with Busy(db):
        tasks = [asyncio.create_task(call) for call in calls]
        while db.stats().writes_queued < len(calls):
            await asyncio.sleep(0)
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_write_that_returned_is_in_the_file(db, path):
    """Committed, not only executed; and it says what it did."""
    written = await db.execute(INSERT, ("one",))

    assert written == (1, 1, [])
    assert on_disk(path) == ["one"]


async def test_returning_returns_rows(db):
    """``RETURNING`` belongs to writes, and its rows come with the outcome."""
    written = await db.execute(INSERT + " RETURNING id, word", ("one",))

    assert written.rows == [(1, "one")]


async def test_an_update_does_not_report_the_rowid_of_somebody_elses_insert(db):
    """``lastrowid`` is of the statement's own insert, or None."""
    await db.execute(INSERT, ("one",))

    written = await db.execute("UPDATE note SET word = 'two'")

    assert written.lastrowid is None


async def test_writes_that_wait_share_one_commit(db):
    """Twenty in line at once are one transaction, in the order of the line."""
    before = db.stats().commits

    await together(db, *(db.execute(INSERT, (str(n),)) for n in range(20)))

    assert db.stats().commits - before == 2  # the one that kept the writer busy, and the group
    assert await db.fetch_all(WORDS) == [(str(n),) for n in range(20)]


async def test_a_thousand_sessions_that_write_at_once_pay_for_one_commit(path, monkeypatch):
    """As many as the default line takes; however long they take here to be executed."""
    monkeypatch.setattr("holdfast.track._sqlite.writer._LONGEST", 3600.0)
    async with holdfast.sqlite(path, schema=SCHEMA) as db:
        await db.execute(INSERT, ("first",))  # the file and the schema are there
        before = db.stats().commits

        await together(db, *(db.execute(INSERT, (str(n),)) for n in range(1000)))

        assert db.stats().commits - before == 2  # the one that kept the writer busy, and the group
    assert on_disk(path) == ["first", *map(str, range(1000))]


async def test_one_that_fails_does_not_touch_its_neighbours(db, path):
    """A broken constraint is told to who broke it, and to nobody else."""
    outcomes = await together(
        db, db.execute(INSERT, ("a",)), db.execute(INSERT, ("a",)), db.execute(INSERT, ("b",))
    )

    assert isinstance(outcomes[1], sqlite3.IntegrityError)
    assert on_disk(path) == ["a", "b"]
    assert db.stats().broken_groups == 0


@pytest.mark.parametrize("how", ["OR ROLLBACK", "OR FAIL"])
async def test_a_statement_that_breaks_the_transaction_costs_its_neighbours_nothing(db, path, how):
    """SQLite throws the group away, or keeps half a statement: the others are run again."""
    half = f"INSERT {how} INTO note (word) VALUES ('c'), ('a')"  # noqa: S608 - one of two words

    outcomes = await together(
        db, db.execute(INSERT, ("a",)), db.execute(half), db.execute(INSERT, ("b",))
    )

    assert isinstance(outcomes[1], sqlite3.IntegrityError)
    assert [outcomes[0].rowcount, outcomes[2].rowcount] == [1, 1]
    assert on_disk(path) == ["a", "b"]
    assert db.stats().broken_groups == 1


async def test_what_fails_at_the_commit_fails_alone(db, path):
    """A foreign key that is looked at late is found by who left it open."""
    orphan = "INSERT INTO note (word, parent) VALUES ('orphan', 99)"

    outcomes = await together(
        db, db.execute(INSERT, ("a",)), db.execute(orphan), db.execute(INSERT, ("b",))
    )

    assert isinstance(outcomes[1], sqlite3.IntegrityError)
    assert on_disk(path) == ["a", "b"]


async def test_many_rows_are_all_or_none_and_leave_the_group_whole(db, path):
    """``execute_many`` undoes its first rows when a later one fails."""
    outcomes = await together(
        db,
        db.execute(INSERT, ("a",)),
        db.execute_many(INSERT, [("b",), ("c",), ("a",)]),
        db.execute_many(INSERT, [("d",), ("e",)]),
    )

    assert isinstance(outcomes[1], sqlite3.IntegrityError)
    assert outcomes[2].rowcount == 2
    assert on_disk(path) == ["a", "d", "e"]
    assert db.stats().broken_groups == 0


async def test_a_function_runs_once_in_a_transaction_of_its_own(db, path):
    """Committed when it returns, gone when it raises, and never run again for others."""
    runs = []

    def move(connection, word):
        runs.append(word)
        connection.execute(INSERT, (word,))
        if word == "bad":
            raise KeyError(word)
        return word.upper()

    good, bad, broken = await together(
        db,
        db.write(move, "good"),
        db.write(move, "bad"),
        db.execute("INSERT OR ROLLBACK INTO note (word) VALUES ('good')"),
    )

    assert good == "GOOD"
    assert isinstance(bad, KeyError)
    assert isinstance(broken, sqlite3.IntegrityError)
    assert runs == ["good", "bad"]
    assert on_disk(path) == ["good"]


async def test_a_function_that_ends_its_own_transaction_is_told_so(db):
    """Commit belongs to the database."""
    with pytest.raises(holdfast.Failed, match="leave commit"):
        await db.write(lambda connection: connection.execute("COMMIT"))


async def test_a_script_is_all_or_none(db, path):
    """Triggers are whole statements, and the last statement undoes the first."""
    script = """
    INSERT INTO note (word) VALUES ('a;b');
    CREATE TRIGGER echo AFTER DELETE ON note BEGIN SELECT 1; SELECT 2; END;
    INSERT INTO nowhere VALUES (1);
    """

    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        await db.execute_script(script)

    assert on_disk(path) == []
    await db.execute_script("INSERT INTO note (word) VALUES ('a;b'); -- the end")
    assert on_disk(path) == ["a;b"]


@pytest.mark.parametrize(
    "sql", ["BEGIN", " -- why\n commit", "/* */ ROLLBACK", "SAVEPOINT x", "ATTACH 'x' AS y"]
)
async def test_transactions_are_not_for_statements(db, sql):
    """One that would end the group behind the writer's back is refused before it is in line."""
    with pytest.raises(ValueError, match="not for a statement"):
        await db.execute(sql)


async def test_vacuum_runs_outside_of_transactions(db):
    """What SQLite refuses inside of one stands alone."""
    await db.execute(INSERT, ("a",))

    assert await db.execute("VACUUM")
    assert (await db.execute("PRAGMA user_version = 7")).rowcount == -1
    assert await db.fetch_value("PRAGMA user_version") == 7


async def test_a_caller_that_is_cancelled_in_line_has_not_written(db, path):
    """Its statement leaves the line, and never runs."""
    async with Busy(db):
        task = asyncio.create_task(db.execute(INSERT, ("never",)))
        while not db.stats().writes_queued:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert db.stats().writes_queued == 0

    await db.execute(INSERT, ("after",))

    assert on_disk(path) == ["after"]


ENDLESS = (
    "INSERT INTO note (word) WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
    "SELECT x FROM n WHERE x < 0"
)


async def test_a_caller_that_is_cancelled_has_its_statement_interrupted(db, path):
    """A statement without end ends with its caller, and the writer goes on."""
    task = asyncio.create_task(db.execute(ENDLESS))
    while not db.stats().connections or db.stats().writes_queued:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await db.execute(INSERT, ("after",))

    assert on_disk(path) == ["after"]


async def test_a_statement_past_its_time_limit_is_stopped(path):
    """Stopped for real: nothing of it runs on, nothing of it remains, its neighbours are committed."""
    async with holdfast.sqlite(path, schema=SCHEMA, timeout=0.05) as db:
        outcomes = await asyncio.gather(
            db.execute(INSERT, ("a",)),
            db.execute(ENDLESS),
            db.execute(INSERT, ("b",)),
            return_exceptions=True,
        )

        assert isinstance(outcomes[1], holdfast.CallTimeout)
        assert outcomes[1].stopped
        assert on_disk(path) == ["a", "b"]


async def test_a_write_waits_in_line_no_longer_than_it_may(path):
    """``queue_timeout``: refused in line, so it is safe to repeat."""
    async with holdfast.sqlite(path, schema=SCHEMA, queue_timeout=0.02) as db:
        async with Busy(db):
            with pytest.raises(holdfast.QueueTimeout, match="nothing was written"):
                await db.execute(INSERT, ("never",))

        assert on_disk(path) == []


class NoTime:
    """A timer for which every time has come at once."""

    def watch(self, entry, _seconds):
        entry.expire()
        return 0.0

    def unwatch(self, _entry, _due):
        """Nothing is watched."""


async def test_a_write_whose_time_comes_as_soon_as_it_is_watched_is_given_up(path, monkeypatch):
    """It stands in line by then."""
    async with holdfast.sqlite(path, schema=SCHEMA, queue_timeout=20) as db:
        async with Busy(db):
            monkeypatch.setattr(core, "TIMER", NoTime())
            with pytest.raises(holdfast.QueueTimeout, match="waited 20 s in line"):
                await asyncio.wait_for(db.execute(INSERT, ("never",)), 10)
            monkeypatch.undo()
        await db.execute(INSERT, ("a",))

        assert on_disk(path) == ["a"]


async def test_a_deadline_bounds_the_wait_in_line(db, path):
    """The inherited deadline counts as it does in pools."""
    async with Busy(db):
        with holdfast.deadline(0.02), pytest.raises(holdfast.QueueTimeout, match="deadline"):
            await db.execute(INSERT, ("never",))

    with holdfast.deadline(0), pytest.raises(holdfast.QueueTimeout):
        await db.execute(INSERT, ("never",))
    assert on_disk(path) == []


async def test_a_deadline_stops_a_statement(db):
    """It bounds the run as well as the wait."""
    with holdfast.deadline(0.05), pytest.raises(holdfast.CallTimeout):
        await db.execute(ENDLESS)


async def test_a_line_with_a_bound_refuses_the_next(path):
    """``overflow='reject'`` says how many wait."""
    async with holdfast.sqlite(path, schema=SCHEMA, max_queue=1, overflow="reject") as db:
        async with Busy(db):
            waiting = asyncio.create_task(db.execute(INSERT, ("a",)))
            await asyncio.sleep(0)
            with pytest.raises(holdfast.QueueFull, match="1 writes wait"):
                await db.execute(INSERT, ("b",))
        await waiting

        assert on_disk(path) == ["a"]


async def test_a_write_inside_of_a_function_that_writes_would_deadlock(db):
    """It would wait for a turn that comes after itself."""
    with pytest.raises(holdfast.WouldDeadlock, match="connection that it was given"):
        await db.write(lambda _: db.blocking.execute(INSERT, ("a",)))


async def test_a_lock_that_another_process_has_is_waited_for(path):
    """SQLite's ``database is locked`` becomes a wait."""
    async with holdfast.sqlite(path, schema=SCHEMA) as db:
        await db.execute(INSERT, ("a",))
        stranger = sqlite3.connect(path, isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(db.execute(INSERT, ("b",)))
        while not db.stats().lock_waits:
            await asyncio.sleep(0.01)
        stranger.execute("COMMIT")
        stranger.close()

        await task

        assert on_disk(path) == ["a", "b"]


async def test_a_lock_that_never_comes_free_is_reported(path):
    """After ``busy_timeout``: never started, safe to repeat, with the file and the seconds."""
    async with holdfast.sqlite(path, schema=SCHEMA, busy_timeout=0.1) as db:
        await db.execute(INSERT, ("a",))
        stranger = sqlite3.connect(path, isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")

        outcomes = await asyncio.gather(
            *(db.execute(INSERT, (word,)) for word in "bc"), return_exceptions=True
        )

        stranger.close()
        assert [type(outcome) for outcome in outcomes] == [holdfast.QueueTimeout] * 2
        assert "busy_timeout" in str(outcomes[0])
        assert on_disk(path) == ["a"]


def test_threads_and_coroutines_share_the_line(path):
    """Blocking code in eight threads beside a loop: every row is there."""
    with holdfast.sqlite(path, schema=SCHEMA) as db:
        threads = [
            threading.Thread(
                target=lambda n=n: [db.blocking.execute(INSERT, (f"{n}.{i}",)) for i in range(20)]
            )
            for n in range(8)
        ]
        for thread in threads:
            thread.start()

        async def main():
            await asyncio.gather(*(db.execute(INSERT, (f"loop.{i}",)) for i in range(100)))

        asyncio.run(main())
        for thread in threads:
            thread.join()

        assert db.blocking.fetch_value("SELECT count(*) FROM note") == 8 * 20 + 100
