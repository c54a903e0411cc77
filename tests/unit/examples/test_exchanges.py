"""Exchanges are saved once each, whoever saves them."""

import asyncio
import sqlite3

import pytest
from exchanges import Exchanges


@pytest.fixture
def exchanges(tmp_path):
    """A file that does not exist yet."""
    saved = Exchanges(tmp_path / "new" / "exchanges.db")
    yield saved
    saved.close()


async def test_an_exchange_is_there_for_others_to_read(exchanges):
    """With all that was saved."""
    await exchanges.save("t1", "How?", ["a.b", "c"], "So.")

    other = sqlite3.connect(exchanges.path)
    row = other.execute("SELECT ticket, question, sources, answer FROM exchange").fetchall()
    other.close()
    assert row == [("t1", "How?", '["a.b", "c"]', "So.")]


async def test_a_session_that_was_tried_again_leaves_one_exchange(exchanges):
    """The later one stands."""
    await exchanges.save("t1", "How?", [], "So.")
    await exchanges.save("t1", "How?", [], "Otherwise.")

    assert await exchanges.count() == 1


async def test_many_sessions_save_through_one_connection_and_lose_nothing(exchanges):
    """One writer at a time, and a few commits for all."""
    await asyncio.gather(
        *(exchanges.save(f"t{number}", "How?", [], "So.") for number in range(200))
    )

    assert await exchanges.count() == 200
    assert exchanges.db.stats().commits < 200


async def test_closing_leaves_one_whole_file(exchanges):
    """The write-ahead log has gone into it."""
    await exchanges.save("t1", "How?", [], "So.")

    exchanges.close()

    assert [path.name for path in exchanges.path.parent.iterdir()] == ["exchanges.db"]


async def test_a_file_that_is_no_database_is_an_error_that_leaves_nothing_open(tmp_path):
    """It is neither emptied nor replaced."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    exchanges = Exchanges(path)

    with pytest.raises(sqlite3.DatabaseError):
        await exchanges.save("t1", "How?", [], "So.")

    assert exchanges.db.stats().connections == 0
    exchanges.close()
    assert path.read_text().startswith("not a database")
