"""Transactions that their owner steers: whole or gone, bounded in time, and never in a ring."""

import asyncio
import gc
import sqlite3
import threading

import pytest

import holdfast

SCHEMA = "CREATE TABLE note (id INTEGER PRIMARY KEY, word TEXT UNIQUE);"
INSERT = "INSERT INTO note (word) VALUES (?)"
COUNT = "SELECT count(*) FROM note"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "notes.db"


@pytest.fixture
async def db(path):
    async with holdfast.sqlite(path, schema=SCHEMA) as database:
        yield database


async def test_it_is_committed_at_the_end_and_seen_by_nobody_before(db):
    """Its own reads see its writes; others do from the commit on."""
    async with db.transaction() as tx:
        await tx.execute(INSERT, ("a",))
        await tx.execute_many(INSERT, [("b",), ("c",)])
        inside = await tx.fetch_value(COUNT), await tx.fetch_one(COUNT), await tx.fetch_all(COUNT)
        outside = await db.fetch_value(COUNT)

    assert inside == (3, (3,), [(3,)])
    assert outside == 0
    assert await db.fetch_value(COUNT) == 3


async def test_an_error_rolls_it_back(db):
    """Nothing of it remains, and the error passes through."""
    with pytest.raises(KeyError):
        async with db.transaction() as tx:
            await tx.execute(INSERT, ("a",))
            raise KeyError

    assert await db.fetch_value(COUNT) == 0


async def test_a_statement_that_fails_leaves_the_rest_to_its_owner(db):
    """A broken constraint undoes that statement; what to make of it is the block's to say."""
    async with db.transaction() as tx:
        await tx.execute(INSERT, ("a",))
        with pytest.raises(sqlite3.IntegrityError):
            await tx.execute(INSERT, ("a",))
        await tx.execute(INSERT, ("b",))

    assert await db.fetch_value(COUNT) == 2


async def test_a_savepoint_is_undone_alone(db):
    """What came before it stays, also when they are nested."""
    async with db.transaction() as tx:
        await tx.execute(INSERT, ("a",))
        async with tx.savepoint():
            await tx.execute(INSERT, ("b",))
            with pytest.raises(KeyError):
                async with tx.savepoint():
                    await tx.execute(INSERT, ("c",))
                    raise KeyError

    assert await db.fetch_all("SELECT word FROM note") == [("a",), ("b",)]


async def test_others_wait_for_its_end(db):
    """A write beside it is taken after it, and holds no thread meanwhile."""
    async with db.transaction() as tx:
        beside = asyncio.create_task(db.execute(INSERT, ("beside",)))
        await tx.execute(INSERT, ("inside",))
        await asyncio.sleep(0)
        assert not beside.done()
        assert db.stats().writes_queued == 1
        assert "test_sqlite_transactions.py" in db.stats().holder

    await beside
    assert await db.fetch_all("SELECT word FROM note") == [("inside",), ("beside",)]
    assert db.stats().holder is None


async def test_a_write_beside_it_by_its_own_task_would_deadlock(db):
    """The message names the line that began the transaction, and what to call instead."""
    async with db.transaction() as tx:
        with pytest.raises(holdfast.WouldDeadlock, match=r"tx\.execute") as refusal:
            await db.execute(INSERT, ("a",))
        with pytest.raises(holdfast.WouldDeadlock):
            async with db.transaction():
                pass
        await tx.execute(INSERT, ("b",))

    assert len(refusal.value.cycle) == 2
    assert await db.fetch_value(COUNT) == 1


async def test_one_that_takes_too_long_is_rolled_back_and_told(path, caplog):
    """The writer is for everybody: who holds it too long loses it, and its next call says why."""
    async with holdfast.sqlite(path, schema=SCHEMA, transaction_timeout=0.05) as db:
        with pytest.raises(holdfast.CallTimeout, match="transaction_timeout") as told:
            async with db.transaction() as tx:
                await tx.execute(INSERT, ("a",))
                await asyncio.create_task(db.execute(INSERT, ("beside",)))  # waits for its end
                await tx.execute(INSERT, ("b",))

        assert "test_sqlite_transactions.py" in str(told.value)
        assert await db.fetch_all("SELECT word FROM note") == [("beside",)]
        assert db.stats().cut_transactions == 1
    assert "rolled back" in caplog.text


async def test_one_that_is_cut_while_a_statement_runs_stops_it(path):
    """The statement is interrupted, and told what happened to its transaction."""
    endless = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    )
    async with holdfast.sqlite(path, schema=SCHEMA, transaction_timeout=0.05) as db:
        with pytest.raises(holdfast.CallTimeout, match="transaction"):
            async with db.transaction() as tx:
                await tx.fetch_all(endless)


async def test_an_end_that_comes_too_late_raises(path):
    """A block that ends well, but after the cut, must not look as if it had been committed."""
    async with holdfast.sqlite(path, schema=SCHEMA, transaction_timeout=0.02) as db:
        with pytest.raises(holdfast.CallTimeout):
            async with db.transaction() as tx:
                await tx.execute(INSERT, ("a",))
                while not db.stats().cut_transactions:
                    await asyncio.sleep(0.01)

        assert await db.fetch_value(COUNT) == 0


async def test_a_cancelled_owner_rolls_it_back(db):
    """Also when the cancellation comes in the middle of a statement."""
    inside = asyncio.Event()

    async def owner():
        async with db.transaction() as tx:
            await tx.execute(INSERT, ("a",))
            inside.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(owner())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await db.execute(INSERT, ("b",))
    assert await db.fetch_all("SELECT word FROM note") == [("b",)]


async def test_who_is_cancelled_as_it_is_granted_gives_it_back(db):
    """Cancelled at every step on the way in: the writer is never left with nobody."""
    for steps in range(12):

        async def owner():
            async with db.transaction() as tx:
                await tx.execute(INSERT, ("never",))
                await asyncio.sleep(3600)

        task = asyncio.create_task(owner())
        for _ in range(steps):
            await asyncio.sleep(0.0005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await db.execute(INSERT, (str(steps),))

    assert await db.fetch_value(COUNT) == 12


async def test_what_sqlite_rolls_back_by_itself_ends_it(db):
    """``OR ROLLBACK`` takes the whole transaction: what follows must not be committed alone."""
    with pytest.raises(holdfast.Failed, match="rolled back the transaction"):
        async with db.transaction() as tx:
            await tx.execute(INSERT, ("a",))
            with pytest.raises(sqlite3.IntegrityError):
                await tx.execute("INSERT OR ROLLBACK INTO note (word) VALUES ('a')")
            await tx.execute(INSERT, ("b",))

    assert await db.fetch_value(COUNT) == 0


async def test_it_is_over_after_its_block(db):
    """A transaction that is kept can't be used, nor entered again."""
    async with db.transaction() as tx:
        pass

    with pytest.raises(holdfast.PoolClosed, match="is over"):
        await tx.execute(INSERT, ("a",))
    with pytest.raises(RuntimeError, match="entered once"):
        await tx.__aenter__()
    with pytest.raises(ValueError, match="VACUUM"):
        async with db.transaction() as tx:
            await tx.execute("VACUUM")


def test_in_blocking_code_it_is_the_same(path):
    """``with db.blocking.transaction()``: committed, rolled back, nested, and never in a ring."""
    with holdfast.sqlite(path, schema=SCHEMA) as db:
        with db.blocking.transaction() as tx:
            tx.execute(INSERT, ("a",))
            with pytest.raises(KeyError), tx.savepoint():
                tx.execute(INSERT, ("b",))
                raise KeyError
            assert tx.fetch_value(COUNT) == 1
            with pytest.raises(holdfast.WouldDeadlock):
                db.blocking.execute(INSERT, ("c",))
        with pytest.raises(KeyError), db.blocking.transaction() as tx:
            tx.execute_many(INSERT, [("d",), ("e",)])
            raise KeyError

        assert db.blocking.fetch_all("SELECT word FROM note") == [("a",)]


def test_a_loop_that_closes_in_the_middle_leaves_the_writer_free(path):
    """The owner's loop is gone: the transaction is cut after its time, the next write goes on."""
    with holdfast.sqlite(path, schema=SCHEMA, transaction_timeout=0.05) as db:
        loop = asyncio.new_event_loop()

        async def begin():
            tx = db.transaction()
            await tx.__aenter__()
            await tx.execute(INSERT, ("a",))
            return tx

        tx = loop.run_until_complete(begin())
        loop.close()

        db.blocking.execute(INSERT, ("b",))

        assert db.blocking.fetch_all("SELECT word FROM note") == [("b",)]
        del tx
        gc.collect()


def test_many_threads_and_a_loop_take_turns(path):
    """Read, add one, write, in twenty tasks and eight threads: no update is lost."""
    schema = "CREATE TABLE n (x INTEGER); INSERT INTO n VALUES (0);"
    with holdfast.sqlite(path, schema=schema) as db:

        def count():
            for _ in range(10):
                with db.blocking.transaction() as tx:
                    x = tx.fetch_value("SELECT x FROM n")
                    tx.execute("UPDATE n SET x = ?", (x + 1,))

        async def count_async():
            async with db.transaction() as tx:
                x = await tx.fetch_value("SELECT x FROM n")
                await tx.execute("UPDATE n SET x = ?", (x + 1,))

        async def main():
            await asyncio.gather(*(count_async() for _ in range(20)))

        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        asyncio.run(main())
        for thread in threads:
            thread.join()

        assert db.blocking.fetch_value("SELECT x FROM n") == 100
