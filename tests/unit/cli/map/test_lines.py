"""Lines out of bytes that come in pieces."""

import io
import itertools

import pytest
from hypothesis import given, strategies as st

from holdfast.cli.map import lines
from holdfast.cli.map.lines import LineSplitter, LineTooLongError


def split(pieces):
    """All lines of ``pieces``, fed one by one."""
    splitter = LineSplitter()
    found = [line for piece in pieces if piece for line in splitter.feed(piece)]
    return found + splitter.finish()


@given(
    data=st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\r\n", b"\xe2\x80\xa8", b"\x85"])),
    cuts=st.lists(st.integers(0, 60)),
)
def test_the_lines_are_those_of_python_however_the_bytes_are_cut(data, cuts):
    """Universal newlines, as in a text file, for every way to cut the same bytes."""
    whole = b"".join(data)
    text = io.TextIOWrapper(io.BytesIO(whole), encoding="latin-1", newline=None)
    expected = [line.rstrip("\n").encode("latin-1") for line in text]
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})

    found = split(whole[a:b] for a, b in itertools.pairwise(places))

    assert found == expected


def test_a_line_comes_out_as_soon_as_its_end_has_come():
    """Nobody waits for the first byte of the next line, not even behind a carriage return."""
    splitter = LineSplitter()

    assert splitter.feed(b"one\r") == [b"one"]
    assert splitter.feed(b"\ntwo\n") == [b"two"]
    assert splitter.feed(b"thr") == []
    assert splitter.feed(b"ee\n") == [b"three"]
    assert splitter.finish() == []


def test_a_line_without_end_is_not_kept_for_ever(monkeypatch):
    """A file that is no file of lines is refused before it fills the memory."""
    monkeypatch.setattr(lines, "LONGEST_LINE_BYTES", 100)
    splitter = LineSplitter()
    splitter.feed(b"x" * 100)

    with pytest.raises(LineTooLongError):
        splitter.feed(b"x")
