"""Lines out of pieces."""

from hypothesis import given, strategies as st

from holdfast.track.process.lines import Lines

text = st.text(alphabet="ab\n", max_size=30).map(str.encode)


@given(pieces=st.lists(text, max_size=12), longest=st.integers(1, 8))
def test_nothing_is_lost_and_no_piece_is_too_long(pieces, longest):
    """Together they are what came; a line end is only at the end of a piece."""
    lines = Lines(longest, 1000)
    taken = []

    for piece in pieces:
        lines.feed(piece)
        taken += lines.take()
    lines.end()
    taken += lines.take()

    assert b"".join(taken) == b"".join(pieces)
    assert all(0 < len(line) <= longest for line in taken)
    assert all(b"\n" not in line[:-1] for line in taken)
    assert lines.total == len(b"".join(pieces))


def test_each_line_has_its_end():
    """The last one only if it came with one."""
    lines = Lines(100, 1000)

    lines.feed(b"one\ntw")
    lines.feed(b"o\nthree")
    lines.end()

    assert lines.take() == [b"one\n", b"two\n", b"three"]


def test_no_more_is_wanted_when_the_room_is_full():
    """Until the lines are taken."""
    lines = Lines(100, 10)

    hungry = lines.feed(b"12345\n67890\n")
    lines.take()

    assert not hungry
    assert lines.hungry
