"""Items out of files and pipes."""

import asyncio
import os

import pytest

from holdfast.cli.map.intake import Intake
from holdfast.cli.map.record import parse_line, value_line
from holdfast.cli.map.resume import Past
from holdfast.cli.map.source import FileSource, PipeSource
from holdfast.pools.thread_pool import ThreadPool


@pytest.fixture
def file_source(tmp_path):
    """Make a source over a file that holds ``data``."""
    opened = []

    def make(data, **intake):
        path = tmp_path / "in"
        path.write_bytes(data)
        opened.append(os.open(path, os.O_RDONLY))
        return FileSource(opened[-1], Intake("in", **intake))

    yield make
    for fd in opened:
        os.close(fd)


@pytest.fixture
def pipe():
    """The two ends of a pipe, and a source over the first of them."""
    reader, writer = os.pipe()
    with ThreadPool(1, name="input") as pool:
        yield writer, PipeSource(reader, Intake("pipe"), pool)
        for fd in (writer, reader):
            try:
                os.close(fd)
            except OSError:
                continue


def test_items_of_a_file_come_in_order_and_stay_on_the_books(file_source):
    """What was pulled and is not settled stands in ``taken``."""
    source = file_source(b"1\n\n2\n3")

    items = list(source.items())

    assert [(i.index, i.line, i.value) for i in items] == [(0, 1, 1), (1, 3, 2), (2, 4, 3)]
    assert list(source.taken.values()) == items
    assert source.exhausted
    assert source.trouble is None


def test_a_file_is_read_lazily(file_source):
    """A piece at a time, however large the file is."""
    source = file_source(b"1234567\n" * 100_000)

    next(source.items())

    assert os.lseek(source._fd, 0, os.SEEK_CUR) < 100_000


def test_the_fraction_goes_from_nothing_to_all(file_source):
    """By bytes of the lines that were taken, not by the pieces that were read."""
    source = file_source(b"1\n2\n3\n4\n")
    items = source.items()

    seen = [source.fraction(), *(source.fraction() for _ in items), source.fraction()]

    assert seen == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


def test_an_empty_file_is_done_at_once(file_source):
    """No items, no trouble."""
    source = file_source(b"")

    assert list(source.items()) == []
    assert source.fraction() == 1.0


def test_a_bad_line_ends_the_input_and_is_named(file_source):
    """What stands before it has been given out; nothing behind it is read."""
    source = file_source(b"1\n2\n{\n4\n")

    items = list(source.items())

    assert [i.value for i in items] == [1, 2]
    assert source.trouble is not None
    assert "line 3 of in is not JSON" in source.trouble
    assert not source.exhausted


def test_no_item_comes_after_the_stop(file_source):
    """Not even one that has been read already."""
    source = file_source(b"1\n2\n3\n")
    items = source.items()
    next(items)

    source.stop()

    assert list(items) == []
    assert not source.exhausted


async def test_a_resumed_file_lets_the_loop_turn(file_source):
    """A million lines to skip must not hold the coroutines that run."""
    lines = [b"%d" % n for n in range(50_000)]
    past = Past()
    first = file_source(b"\n".join(lines))
    for item in first.items():
        past.add(parse_line(value_line(item, 1, 1, 0.0)))
    source = file_source(b"\n".join([*lines, b'"new"']), past=past)
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    items = [item.value async for item in source.items()]
    counting.cancel()

    assert items == ["new"]
    assert source.intake.skipped_done == 50_000
    assert turns >= 4


async def test_a_line_from_a_pipe_comes_before_the_next_is_written(pipe):
    """``tail -f`` gets its answer at once."""
    writer, source = pipe
    items = source.items()

    os.write(writer, b"1\n2")
    first = await anext(items)
    os.write(writer, b"2\n")
    second = await anext(items)
    os.close(writer)
    rest = [item async for item in items]

    assert (first.value, second.value, rest) == (1, 22, [])
    assert source.fraction() == 1.0


async def test_a_pipe_that_says_nothing_can_be_left(pipe):
    """The stop does not wait for the read that is under way."""
    writer, source = pipe
    pulling = asyncio.ensure_future(anext(source.items(), "end"))
    while source._read is None:
        await asyncio.sleep(0)

    source.stop()
    result = await pulling
    os.write(writer, b"late\n")  # lets the thread go

    assert result == "end"
    assert not source.exhausted
    assert source.fraction() is None


async def test_being_cancelled_is_not_taken_for_the_end(pipe):
    """Only a stop ends the input; the stream's own cancellation goes through."""
    writer, source = pipe
    pulling = asyncio.ensure_future(anext(source.items()))
    while source._read is None:
        await asyncio.sleep(0)

    pulling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pulling
    os.write(writer, b"late\n")
