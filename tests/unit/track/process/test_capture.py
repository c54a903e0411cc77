"""Output within a bound."""

from hypothesis import given, strategies as st

from holdfast.track.process.capture import Capture


@given(pieces=st.lists(st.binary(max_size=40), max_size=20), most=st.integers(0, 60))
def test_the_beginning_and_the_end_are_kept_and_all_is_counted(pieces, most):
    """Whatever the pieces are: nothing is left out below the bound, and above it what is kept fills it."""
    capture = Capture(most)
    whole = b"".join(pieces)

    for piece in pieces:
        capture.feed(piece)

    assert capture.total == len(whole)
    assert capture.truncated == (len(whole) > most)
    if not capture.truncated:
        assert capture.value() == whole
        return
    head, tail = whole[: most - most // 2], whole[len(whole) - most // 2 :]
    mark = b"\n[... %d bytes left out ...]\n" % (len(whole) - most)
    assert capture.value() == head + mark + tail


def test_what_is_held_is_bounded():
    """However much comes: the bound, and less than one piece more."""
    capture = Capture(1000)

    for _ in range(10_000):
        capture.feed(b"x" * 100)

    held = sum(map(len, capture._head)) + sum(map(len, capture._tail))
    assert held < 1000 + 100
