"""Exchanges are saved once each, whoever saves them."""

import sqlite3

import pytest
from exchanges import Exchanges

from holdfast import ThreadPool


@pytest.fixture
def exchanges(tmp_path):
    """A file that does not exist yet."""
    saved = Exchanges(tmp_path / "new" / "exchanges.db")
    yield saved
    saved.close()


def test_an_exchange_is_there_for_others_to_read(exchanges):
    """With all that was saved."""
    exchanges.save("t1", "How?", ["a.b", "c"], "So.")

    other = sqlite3.connect(exchanges.path)
    row = other.execute("SELECT ticket, question, sources, answer FROM exchange").fetchall()
    other.close()
    assert row == [("t1", "How?", '["a.b", "c"]', "So.")]


def test_a_session_that_was_tried_again_leaves_one_exchange(exchanges):
    """The later one stands."""
    exchanges.save("t1", "How?", [], "So.")
    exchanges.save("t1", "How?", [], "Otherwise.")

    assert exchanges.count() == 1


def test_ten_threads_save_through_one_connection_and_lose_nothing(exchanges):
    """One writer at a time."""
    with ThreadPool(10, name="db") as db:
        futures = [
            db.submit(exchanges.save, f"t{number}", "How?", [], "So.") for number in range(200)
        ]
        for future in futures:
            future.result()

    assert exchanges.count() == 200
    assert exchanges.connections.open_count == 1


def test_closing_leaves_one_whole_file(exchanges):
    """The write-ahead log has gone into it."""
    exchanges.save("t1", "How?", [], "So.")

    exchanges.close()

    assert [path.name for path in exchanges.path.parent.iterdir()] == ["exchanges.db"]


def test_a_file_that_is_no_database_is_an_error_that_leaves_nothing_open(tmp_path):
    """It is neither emptied nor replaced."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    exchanges = Exchanges(path)

    with pytest.raises(sqlite3.DatabaseError):
        exchanges.save("t1", "How?", [], "So.")

    assert exchanges.connections.open_count == 0
    assert path.read_text().startswith("not a database")
