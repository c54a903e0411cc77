"""A run keeps its books, whatever happens to its output."""

import asyncio
import os

import pytest
from hypothesis import given, settings, strategies as st

from holdfast.cli.map.intake import Intake
from holdfast.cli.map.job import Job
from holdfast.cli.map.options import MapOptions
from holdfast.cli.map.source import FileSource
from holdfast.cli.map.target import Target
from holdfast.cli.map.user_error import FAILED, UserError


class FailingSink:
    """A sink that takes ``room`` lines and then no more."""

    def __init__(self, room):
        self.lines = []
        self.room = room

    def write(self, line):
        """Keep the line, or refuse it."""
        if len(self.lines) >= self.room:
            message = "the disk is full"
            raise UserError(message, exit_code=FAILED)
        self.lines.append(line)


def job_over(folder, count, function, sink, *, is_async, **options):
    """A job over the numbers below ``count``; returns it with its source."""
    path = folder / "in"
    path.write_text("".join(f"{n}\n" for n in range(count)))
    source = FileSource(os.open(path, os.O_RDONLY), Intake("in"))
    asked = MapOptions(target="t", source="in", output="out", **options)
    return Job(asked, Target("t", function, is_async=is_async), source, sink), source


async def later(item):
    """Return at once, on the loop; every third one fails."""
    return 1 / (item % 3)


def at_once(item):
    """Return at once, on a thread; every third one fails."""
    return 1 / (item % 3)


@settings(max_examples=40)
@given(
    count=st.integers(0, 60),
    room=st.integers(0, 70),
    limit=st.integers(1, 8),
    ordered=st.booleans(),
    is_async=st.booleans(),
    most=st.none() | st.integers(1, 10),
)
async def test_every_item_is_counted_once_whatever_ends_the_run(
    tmp_path_factory, count, room, limit, ordered, is_async, most
):
    """Done, failed, unfinished and not started add up to what was seen; each line is counted."""
    sink = FailingSink(room)
    job, source = job_over(
        tmp_path_factory.mktemp("job"),
        count,
        later if is_async else at_once,
        sink,
        is_async=is_async,
        limit=limit,
        ordered=ordered,
        max_failures=most,
    )

    await job.run()
    os.close(source._fd)

    tally = job.tally
    assert tally.written == len(sink.lines)
    assert tally.written + tally.unfinished + tally.not_started == source.intake.seen
    assert not source.taken
    if job.trouble is not None:
        assert tally.written == room < count
    elif most is None or tally.failed < most:
        assert tally.written == count


async def test_an_output_that_fails_at_the_very_end_is_not_passed_over(tmp_path):
    """What had waited for its turn is written late; that may fail, too."""
    sink = FailingSink(1)

    async def hang_at_first(item):
        if item == 0:
            await asyncio.sleep(3600)
        if item == 4:
            job.stop(grace=0.2)
        return item

    job, source = job_over(tmp_path, 5, hang_at_first, sink, is_async=True, limit=5, ordered=True)
    await job.run()
    os.close(source._fd)

    assert job.trouble is not None
    assert job.trouble.exit_code == FAILED
    assert job.tally.written == len(sink.lines)


async def test_an_error_of_our_own_is_not_swallowed(tmp_path):
    """A mistake in holdfast must be seen, not counted."""

    class BrokenSink(FailingSink):
        def write(self, line):
            raise ZeroDivisionError

    job, source = job_over(tmp_path, 3, later, BrokenSink(0), is_async=True)

    with pytest.raises(ZeroDivisionError):
        await job.run()
    os.close(source._fd)
