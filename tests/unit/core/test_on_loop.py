"""What is kept on a loop's object."""

import asyncio
import pathlib
import re

import pytest

import holdfast
from holdfast._core.on_loop import before_close, keep, kept


def test_what_is_kept_on_a_loop_is_found_there_and_on_no_other(new_loop):
    """The last one counts."""
    loop, other = new_loop(), new_loop()
    keep(loop, "_tests_thing", 1)
    keep(loop, "_tests_thing", 2)

    found = kept(loop, "_tests_thing"), kept(other, "_tests_thing")
    loop.close()
    other.close()

    assert found == (2, None)


def test_what_is_to_be_done_before_a_loop_closes_is_done_while_it_is_open(new_loop):
    """By all who asked, the last one first."""
    loop, done = new_loop(), []
    before_close(loop, lambda: done.append(("first", loop.is_closed())))
    before_close(loop, lambda: done.append(("second", loop.is_closed())))

    loop.close()

    assert done == [("second", False), ("first", False)]


def test_a_loop_that_runs_refuses_to_close_and_nothing_is_done(new_loop):
    """Whoever is to hear of the end does so at the end."""
    loop, done = new_loop(), []
    before_close(loop, lambda: done.append(loop.is_closed()))

    async def close():
        with pytest.raises(RuntimeError, match="running"):
            asyncio.get_running_loop().close()

    loop.run_until_complete(close())
    assert done == []
    loop.close()
    assert done == [False]


def test_nobody_asks_a_loop_for_its_dictionary():
    """CPython 3.11 reads the attributes of an object that was asked for it the slow way ever after."""
    source = pathlib.Path(holdfast.__file__).parent

    found = [
        path
        for path in source.rglob("*.py")
        if re.search(r"loop(\(\))?\.__dict__\b[^`]", path.read_text())
    ]

    assert found == []
