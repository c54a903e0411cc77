"""The study of leaks in short: days that never change, and days that nobody has seen yet."""

import random
import secrets

import pytest
from benchmarks.leaks.day import LIMIT, live
from benchmarks.leaks.figure import figure
from benchmarks.leaks.shapes import DAY, SHAPES, Descriptor, healthy, leak
from benchmarks.leaks.study import calm, calm_lines, forecast_lines, found, found_lines

FRESH = secrets.token_hex(8)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_healthy_day_that_never_changes_has_no_alarm(shape):
    """The same descriptors each time, so a change of the rule is seen."""
    day = live(healthy(shape, "fixed"))

    assert day.alarms == []
    assert max(day.counts) < LIMIT


def test_fresh_healthy_days_have_hardly_any_alarm_and_none_above_weak():
    """One of each shape, never seen before; the seed is in the failure. The study has three in 330."""
    days = {shape: calm(shape, [FRESH]) for shape in SHAPES}

    assert sum(day.alarms for day in days.values()) <= 3, FRESH
    assert sum(day.above_weak for day in days.values()) == 0, FRESH


@pytest.mark.parametrize("shape", SHAPES)
def test_a_leak_that_never_changes_is_found_in_time(shape):
    """One a minute within the hour and a half, ten a minute within 25 minutes."""
    slow, fast = found(shape, 1.0, ["fixed"]), found(shape, 10.0, ["fixed"])

    assert slow.after_s[0] < 90 * 60
    assert fast.after_s[0] < 25 * 60


def test_a_fresh_leak_is_not_missed():
    """Sixty a minute reach the limit within a quarter of an hour: that is told before. Four of the shapes."""
    for shape in random.Random(FRESH).sample(sorted(SHAPES), 4):
        quick = found(shape, 60.0, [FRESH])
        assert quick.missed == 0, (FRESH, shape)


def test_counts_alone_are_never_more_than_weak():
    """They don't know what they count."""
    begins, leaked = leak("flat", "fixed", 10.0)
    day = live([*healthy("flat", "fixed"), *leaked], ages=False)

    assert [told.evidence for told in day.alarms] == ["weak"]
    assert begins < day.alarms[0].at < day.exhausted


def test_what_opens_and_closes_between_two_looks_is_never_seen():
    """As with a real program."""
    day = live([Descriptor("short", n / 10, n / 10 + 0.05) for n in range(100)], until=60.0)

    assert set(day.counts) == {0}


def test_a_day_ends_when_it_has_shown_enough():
    """For studies that look for one thing."""
    day = live(healthy("flat", "fixed"), stop=lambda at, _day, _verdict: at >= 100.0)

    assert len(day.counts) == 10


def test_the_tables_have_a_line_for_each_shape():
    """And one for all of them."""
    quiet = calm("flat", ["fixed"])
    told = found("flat", 10.0, ["fixed"], forecasts=True)

    assert calm_lines([quiet])[-1] == "| **mean** | 1 | **0.00** | 0 |"
    assert found_lines([told])[-1].startswith("| flat | 10 | ")
    assert told.forecasts == 1
    assert forecast_lines([told])[-1].startswith("| **all** | | 1 | ")


def test_the_figure_in_the_docs_is_the_one_that_the_command_draws():
    """Drawn anew after a change of the rule: ``python -m benchmarks.leaks --figure docs/img/leak.svg``."""
    from pathlib import Path

    drawn = Path(__file__).resolve().parents[3] / "docs" / "img" / "leak.svg"

    assert drawn.read_text(encoding="utf-8") == figure()


def test_shapes_last_a_day_and_differ_from_seed_to_seed():
    """The same seed makes the same day."""
    for shape in ("sessions", "steps", "records"):
        one, other = healthy(shape, 1), healthy(shape, 2)
        assert one == healthy(shape, 1)
        assert one != other
        assert max(each.opened for each in one) < DAY
