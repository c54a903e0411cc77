"""SQLite connections that are lent and come back."""

import sqlite3

import pytest
from connections import Connections


def connect():
    """Open a database in memory."""
    return sqlite3.connect(":memory:", check_same_thread=False)


def is_open(connection):
    """Say whether a connection can be used."""
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return False
    return True


def test_a_connection_that_came_back_is_lent_again():
    """One after the other needs one."""
    connections = Connections(connect)

    with connections.lend() as first:
        pass
    with connections.lend() as second:
        same = first is second

    connections.close()
    assert same


def test_there_are_as_many_as_are_lent_at_once():
    """Two at a time need two, and two stay."""
    connections = Connections(connect)

    with connections.lend(), connections.lend():
        together = connections.open_count
    after = connections.open_count

    connections.close()
    assert (together, after, connections.open_count) == (2, 2, 0)


def test_a_connection_that_could_not_be_opened_does_not_count():
    """The error passes through."""

    def fail():
        raise sqlite3.OperationalError("no")

    connections = Connections(fail)

    with pytest.raises(sqlite3.OperationalError), connections.lend():
        pass

    assert connections.open_count == 0


def test_an_error_in_the_block_brings_the_connection_back():
    """It is not lost."""
    connections = Connections(connect)

    with pytest.raises(ZeroDivisionError), connections.lend():
        raise ZeroDivisionError

    assert connections.open_count == 1
    connections.close()


def test_closing_reaches_the_idle_now_and_the_lent_when_they_come_back():
    """Nothing stays open in the end."""
    connections = Connections(connect)
    with connections.lend() as idle:
        pass

    with connections.lend() as lent, connections.lend() as other:
        assert lent is idle
        connections.close()
        while_lent = (is_open(lent), is_open(other))

    assert while_lent == (True, True)
    assert (is_open(lent), is_open(other), connections.open_count) == (False, False, 0)


def test_nothing_is_lent_after_closing():
    """The error says why."""
    connections = Connections(connect)
    connections.close()

    with pytest.raises(ValueError, match="were closed"), connections.lend():
        pass
