"""Figures as people read them."""

import pytest

from holdfast.cli.map.words import amount, duration, pace, short_count, size, took


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (6.6, "0:07"),
        (59.6, "1:00"),
        (140, "2:20"),
        (3599, "59:59"),
        (3723, "1:02:03"),
        (86399.9, "1d 0h"),
        (100 * 86400 + 7300, "100d 2h"),
        (1e12, "forever"),
    ],
)
def test_time_to_come_is_shown_like_on_a_clock(seconds, text):
    """Minutes and seconds, then hours, then days."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.041, "0.04 s"), (3.94, "3.9 s"), (59.9, "59.9 s"), (61, "1:01")]
)
def test_time_that_is_over_is_shown_finer(seconds, text):
    """A short run is measured in parts of a second."""
    assert took(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [
        (0, "0.0/s"),
        (12_345.4, "12,345/s"),
        (9.96, "10/s"),
        (4.14, "4.1/s"),
        (0.1, "0.1/s"),
        (0.05, "3.0/min"),
    ],
)
def test_a_rate_has_the_unit_that_says_most(per_second, text):
    """Below one in ten seconds, minutes are easier to grasp."""
    assert pace(per_second) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (99_999, "99,999"),
        (100_000, "100k"),
        (999_999, "999k"),
        (1_234_567, "1.23M"),
        (45_600_000, "45.6M"),
    ],
)
def test_a_large_count_is_cut_to_six_characters(count, text):
    """The progress line must not grow with the input."""
    assert short_count(count) == text
    assert len(text) <= 6


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 MB"), (84_400_000, "84 MB"), (999.6e6, "1.0 GB"), (1.25e9, "1.2 GB")]
)
def test_memory_is_shown_in_megabytes_and_gigabytes(count, text):
    """Decimal ones, as the disks have them."""
    assert size(count) == text


def test_a_noun_follows_its_count():
    """One thread, two threads."""
    assert [amount(n, "thread") for n in (0, 1, 1234)] == ["0 threads", "1 thread", "1,234 threads"]
    assert amount(2, "entry", "entries") == "2 entries"
