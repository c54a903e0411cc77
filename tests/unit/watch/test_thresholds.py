"""Levels: up at once, down after a while, and no flapping at a threshold."""

import itertools
import random

import pytest

from holdfast.watch import Gauge, Threshold
from holdfast.watch._levels import USUAL, Levels, merged

SHARE = Threshold(0.75, 0.9)


def levels_of(values, threshold=SHARE, step=1.0):
    gauge = Gauge(threshold)
    return [gauge.update(n * step, value) for n, value in enumerate(values)]


def test_a_level_is_left_upwards_at_once():
    """Also two steps at a time."""
    assert levels_of([0.5, 0.75, 0.89, 0.9]) == ["ok", "caution", "caution", "critical"]
    assert levels_of([0.5, 0.95]) == ["ok", "critical"]


def test_a_level_is_left_downwards_step_by_step_after_a_while_below():
    """A tenth below the threshold, for ten seconds without a break, for each step."""
    found = levels_of([0.95] + [0.1] * 25)

    assert found[:11] == ["critical"] * 11
    assert found[11:22] == ["caution"] * 11
    assert found[22:] == ["ok"] * 4


def test_between_threshold_and_margin_nothing_changes():
    """A reading there ends the calm."""
    assert set(levels_of([0.76] + [0.70] * 100)) == {"caution"}
    assert set(levels_of([0.76] + [0.5] * 9 + [0.70] + [0.5] * 9)) == {"caution"}


def test_a_reading_that_trembles_at_a_threshold_changes_the_level_once():
    """However long."""
    rng = random.Random(1)
    values = [0.75 + rng.uniform(-0.05, 0.05) for _ in range(1000)]

    found = levels_of(values)

    assert sum(a != b for a, b in itertools.pairwise(found)) <= 1


@pytest.mark.parametrize(
    "wrong",
    [(0.9, 0.75), (0.0, 0.5), (0.5, float("inf")), (0.5, 0.9, 1.0), (0.5, 0.9, 0.1, -1.0)],
)
def test_thresholds_that_make_no_sense_are_refused(wrong):
    """When they are made."""
    with pytest.raises(ValueError, match="must be"):
        Threshold(*wrong)


def test_own_thresholds_stand_in_place_of_the_usual_ones():
    """None turns one off."""
    found = merged({"memory": Threshold(0.5, 0.6), "threads": None})

    assert found["memory"].caution == 0.5
    assert "threads" not in found
    assert found["descriptors"] == USUAL["descriptors"]


def test_a_threshold_for_nothing_is_refused():
    """With the names that there are."""
    with pytest.raises(ValueError, match="there are descriptors, threads"):
        merged({"file descriptors": SHARE})


def test_levels_tell_what_has_changed_and_each_pool_has_its_own():
    """A pool that is gone is no longer critical."""
    levels = Levels(merged({}))

    assert levels.update(0.0, {"memory": 0.1, "pool a": 0.95}) == [("pool a", "ok", "critical")]
    assert levels.worst == "critical"
    assert levels.update(1.0, {"memory": 0.1}) == [("pool a", "critical", "ok")]
    assert levels.levels == {"memory": "ok"}


def test_what_has_no_threshold_has_no_level():
    """CPU pressure is not among the usual ones."""
    levels = Levels(merged({}))

    assert levels.update(0.0, {"cpu pressure": 99.0}) == []
    assert levels.levels == {}
