"""From the totals of a process to the figures of a variant."""

import pytest
from benchmarks.sample import Sample, digest, medians


def _sample(round_: int, **figures: float) -> Sample:
    return Sample(round_, 0, 1, [], figures)


def test_times_become_the_median_of_the_repeats_for_one_item():
    """One slow repeat of three does not count."""
    repeats = [
        {"wall_s": 4.0, "cpu_s": 2.0},
        {"wall_s": 90.0, "cpu_s": 50.0},
        {"wall_s": 6.0, "cpu_s": 4.0},
    ]

    figures = digest(repeats, 2)

    assert figures == {"each_wall_s": 3.0, "each_cpu_s": 2.0}


def test_memory_is_that_of_the_first_repeat():
    """Later ones use what the first has taken from the system."""
    repeats = [{"peak_rss_bytes": 700.0}, {"peak_rss_bytes": 0.0}, {"peak_rss_bytes": 0.0}]

    assert digest(repeats, 10) == {"peak_rss_bytes": 700.0}


def test_a_stall_is_the_longest_of_all_repeats():
    """A stall that happens once in three runs is one."""
    repeats = [{"stall_s": 0.001}, {"stall_s": 0.9}, {"stall_s": 0.002}]

    assert digest(repeats, 10) == {"stall_s": 0.9}


def test_rounds_count_by_their_median():
    """One disturbed round of three does not count."""
    samples = [_sample(0, each_cpu_s=1.0), _sample(1, each_cpu_s=50.0), _sample(2, each_cpu_s=2.0)]

    assert medians(samples) == {"each_cpu_s": 2.0}


@pytest.mark.parametrize("count", [0, 1])
def test_few_rounds_have_a_median_too(count: int):
    """No sample has no figures; one has its own."""
    samples = [_sample(0, each_cpu_s=3.0)] * count

    assert medians(samples) == ({"each_cpu_s": 3.0} if count else {})
