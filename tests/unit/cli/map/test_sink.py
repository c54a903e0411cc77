"""Lines are written whole, or not at all."""

import errno
import os
import threading

import pytest

from holdfast.cli.map.sink import OUTPUT_CLOSED, Sink
from holdfast.cli.map.user_error import FAILED, UserError


@pytest.fixture
def opened(tmp_path):
    """A file open for appending: its path and descriptor."""
    path = tmp_path / "out"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    yield path, fd
    os.close(fd)


def test_a_line_is_one_write(opened, monkeypatch):
    """So that a kill finds either all of it or a torn end, and never two lines mixed."""
    _, fd = opened
    writes = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda to, data: writes.append(data) or real(to, data))
    sink = Sink(fd, "out", size=0)

    sink.write(b"one\n")
    sink.write(b"two\n")

    assert writes == [b"one\n", b"two\n"]


def test_a_write_that_took_only_a_part_is_gone_on_with(opened, monkeypatch):
    """The system may take less than it was given."""
    path, fd = opened
    real = os.write
    monkeypatch.setattr(os, "write", lambda to, data: real(to, data[:3]))

    Sink(fd, "out", size=0).write(b"0123456789\n")

    assert path.read_bytes() == b"0123456789\n"


@pytest.mark.parametrize(
    ("number", "part"),
    [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "quota"), (errno.EIO, "Input/output")],
)
def test_a_full_disk_leaves_whole_lines(opened, monkeypatch, number, part):
    """The torn piece is cut off, and the sentence says what to do."""
    path, fd = opened
    sink = Sink(fd, "out", size=0)
    sink.write(b"whole\n")
    real = os.write
    taken = []

    def full(to, data):
        if taken:
            raise OSError(number, os.strerror(number))
        taken.append(data)
        return real(to, data[:4])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UserError) as error:
        sink.write(b"torn line\n")

    assert path.read_bytes() == b"whole\n"
    assert part in str(error.value)
    assert "--resume" in str(error.value)
    assert error.value.exit_code == FAILED


def test_a_reader_that_has_gone_is_told_from_a_mishap():
    """``| head`` ends a run with the exit code that a shell expects."""
    reader, writer = os.pipe()
    os.close(reader)
    sink = Sink(writer, "standard output", size=None)

    with pytest.raises(UserError) as error:
        sink.write(b"x\n")
    sink.close()

    assert error.value.exit_code == OUTPUT_CLOSED


def test_a_pipe_that_somebody_made_non_blocking_is_waited_for():
    """The flag belongs to the pipe, and so to everybody who has it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    sink = Sink(writer, "standard output", size=None)
    line = b"x" * 300_000 + b"\n"
    got = []

    def drain():
        left = len(line)
        while left:
            got.append(os.read(reader, 65536))
            left -= len(got[-1])

    thread = threading.Thread(target=drain)
    thread.start()
    sink.write(line)
    thread.join()
    sink.close()
    os.close(reader)

    assert b"".join(got) == line


@pytest.mark.parametrize("asked", [True, False])
def test_lines_are_forced_to_the_disk_where_that_was_asked_for(opened, monkeypatch, asked):
    """One fsync for each line, or none."""
    _, fd = opened
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    sink = Sink(fd, "out", size=0, fsync=asked)

    sink.write(b"one\n")
    sink.write(b"two\n")

    assert synced == ([fd, fd] if asked else [])
