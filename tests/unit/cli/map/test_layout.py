"""The progress line fits, whatever there is to say."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from holdfast.cli.map.layout import compose
from holdfast.cli.map.view import View
from holdfast.sense.own import OwnReading

USUAL = View(
    done=4213,
    failed=3,
    in_flight=20,
    queued=4,
    per_second=41.2,
    fraction=0.42,
    left_s=140.0,
    stopping_s=None,
    own=OwnReading(24, 31, 1024, 84_000_000),
)

optional_counts = st.none() | st.integers(0, 10**7)
views = st.builds(
    View,
    done=st.integers(0, 10**10),
    failed=st.integers(0, 10**10),
    in_flight=st.integers(0, 10**5),
    queued=st.integers(0, 10**5),
    per_second=st.floats(0, 10**7),
    fraction=st.none() | st.floats(0, 1),
    left_s=st.none() | st.floats(0, 1e12),
    stopping_s=st.none() | st.floats(0, 1e6) | st.just(math.inf),
    own=st.builds(
        OwnReading,
        threads=optional_counts,
        fds=optional_counts,
        fd_limit=optional_counts,
        rss_bytes=st.none() | st.integers(0, 10**13),
    ),
)


def shown(view, width, *, ascii_only=False):
    """The line as text."""
    return "".join(part.text for part in compose(view, width, ascii_only=ascii_only))


@given(view=views, width=st.integers(1, 300), ascii_only=st.booleans())
def test_the_line_never_grows_over_its_width(view, width, ascii_only):
    """A line that wraps would leave its remains on the screen at every turn."""
    line = shown(view, width, ascii_only=ascii_only)

    assert len(line) <= width
    assert "\n" not in line


@given(view=views, width=st.integers(1, 300))
def test_a_terminal_without_unicode_gets_ascii(view, width):
    """Whatever the bar is drawn with elsewhere."""
    assert shown(view, width, ascii_only=True).isascii()


def test_a_wide_terminal_gets_words():
    """With room, nothing is abbreviated."""
    line = shown(USUAL, 150)

    assert line.endswith(
        " 42%  4,213 done  3 failed  20 in flight  4 queued  41/s  2:20 left"
        "  24 threads 31 descriptors 84 MB"
    )
    assert line.startswith("━" * 12 + "╸" + "─" * 17 + " ")


def test_eighty_columns_hold_everything():
    """Progress, done, failed, in flight, queued, rate, time left, threads, descriptors, memory."""
    line = shown(USUAL, 78)

    assert line == (
        "━╸── 42%  4,213 done  3 failed  20+4 in flight  41/s  2:20 left  24t 31fd 84MB"
    )


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (58, "42%  4,213 done  3 failed  20+4 in flight  41/s  2:20 left"),
        (57, "42%  4,213 done  3 failed  41/s  2:20 left"),
        (40, "42%  4,213 done  3 failed  41/s"),
        (16, "42%  4,213 done "),
        (3, "42%"),
    ],
)
def test_a_narrow_terminal_loses_first_what_is_missed_least(width, line):
    """Down to the percentage alone."""
    assert shown(USUAL, width) == line


def test_without_a_known_end_there_is_no_percentage_and_no_bar():
    """Nobody knows how much a pipe will still bring."""
    line = shown(replace(USUAL, fraction=None, left_s=None), 120)

    assert line.startswith("4,213 done")
    assert "%" not in line
    assert "left" not in line


def test_a_run_that_stops_says_how_long_it_may_take():
    """In place of the time left."""
    assert "stopping, 0:24 at most" in shown(replace(USUAL, stopping_s=24.0), 120)
    assert "stopping  " in shown(replace(USUAL, stopping_s=math.inf), 120)


def test_figures_the_platform_does_not_give_are_left_out():
    """Nothing is shown for what nobody knows."""
    line = shown(replace(USUAL, own=OwnReading(None, None, None, 84_000_000)), 150)

    assert "thread" not in line
    assert "descriptor" not in line
    assert line.endswith("84 MB")


def test_what_failed_stands_out():
    """A failure has a colour of its own, none has none."""
    roles = {part.role for part in compose(USUAL, 120)}
    calm = {part.role for part in compose(replace(USUAL, failed=0), 120)}

    assert "failed" in roles
    assert "failed" not in calm
