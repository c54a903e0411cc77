"""Figures for people."""

import math

import pytest
from benchmarks.quantity import duration, quantity, ratio, size


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (1.234, "1.23 s"),
        (0.0123, "12.3 ms"),
        (123e-6, "123 µs"),
        (1.5e-6, "1.50 µs"),
        (33e-9, "33 ns"),
        (0.0, "0 ns"),
        (-0.002, "-2.00 ms"),
    ],
)
def test_a_time_has_three_digits_in_the_unit_that_suits(seconds: float, shown: str):
    """From seconds down to nanoseconds; a difference may be negative."""
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(899, "899 B"), (1024, "1.00 KB"), (1.6 * 1024, "1.60 KB"), (1 << 20, "1.00 MB")],
)
def test_a_size_counts_by_1024(count: float, shown: str):
    """As the targets do."""
    assert size(count) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(1.0, "1.00"), (12.34, "12.3"), (187.4, "187"), (math.inf, "over 1000")]
)
def test_a_ratio_beyond_measure_says_so(value: float, shown: str):
    """Instead of digits that mean nothing."""
    assert ratio(value) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [("stall_s", 0.003, "3.00 ms"), ("session_bytes", 2048, "2.00 KB"), ("threads", 1, "1")],
)
def test_a_figure_is_shown_in_the_unit_of_its_name(name: str, value: float, shown: str):
    """A name without a unit is a count."""
    assert quantity(name, value) == shown
