"""The history: a day in bounded memory, at several resolutions."""

import itertools
import math
import tracemalloc

import pytest

from holdfast.watch import History, Trend
from holdfast.watch._readings import SERIES
from holdfast.watch.history import RESOLUTIONS

DAY = 86400


def test_a_day_of_every_series_takes_less_than_two_megabytes():
    """Sampled each second, and measured where Python allocates."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    history = History(SERIES)
    values = dict.fromkeys(SERIES, 1e9)
    for second in range(0, DAY + 7200, 60):
        history.add(float(second), values)

    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 2 * 1024 * 1024
    assert history.size_bytes < 1024 * 1024
    assert len(history.points("memory", seconds=DAY)) >= DAY / 120


def test_a_day_of_history_and_of_trends_takes_less_than_two_megabytes():
    """All that a monitor keeps, beside a record for each of what lives."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    history = History(SERIES)
    trends = [
        Trend("descriptors", limit=1024),
        Trend("threads", limit=400),
        Trend("memory"),  # quicker in this test than by counts alone, and as large
    ]
    values = dict.fromkeys(SERIES, 1e9)
    for second in range(0, DAY + 7200, 60):
        history.add(float(second), values)
        for trend in trends:
            trend.add(float(second), 100.0 + second % 7)

    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 2 * 1024 * 1024
    assert trends[0].verdict.at > DAY


def test_memory_does_not_grow_with_samples():
    """All of it is there from the beginning."""
    history = History(["a"])
    size = history.size_bytes

    for second in range(5000):
        history.add(second / 10, {"a": second})

    assert history.size_bytes == size


def test_each_slot_has_the_lowest_the_mean_and_the_highest():
    """A peak of a second is seen in the coarsest of them."""
    history = History(["a"])
    for second in range(3600 * 5):
        history.add(float(second), {"a": 1000.0 if second == 4000 else 10.0})

    coarse = history.points("a", seconds=20 * 3600)
    (peak,) = [point for point in coarse if point.high > 10.0]

    assert (peak.low, peak.high) == (10.0, 1000.0)
    assert 10.0 < peak.mean < 1000.0
    assert peak.at <= 4000.0 < peak.at + 120.0


@pytest.mark.parametrize(
    ("seconds", "step"), [(60, 1), (900, 1), (901, 15), (14400, 15), (86400, 120)]
)
def test_the_finest_resolution_that_reaches_so_far_back_is_given(seconds, step):
    """Fifteen minutes by the second, four hours by the quarter minute, the day by two minutes."""
    history = History(["a"])
    for at in range(0, DAY + 7200, 5 if seconds > 900 else 1):
        history.add(float(at), {"a": at})

    points = history.points("a", seconds=seconds)

    apart = {round(after.at - before.at, 6) for before, after in itertools.pairwise(points)}
    assert apart == {step}
    assert seconds - step <= points[-1].at + step - points[0].at <= seconds + step


def test_readings_that_could_not_be_had_are_left_out():
    """A gap, and no zero."""
    history = History(["a", "b"])
    history.add(0.0, {"a": 1.0, "b": None})
    history.add(100.0, {"a": 2.0})

    assert [point.mean for point in history.points("a", seconds=500)] == [1.0, 2.0]
    assert history.points("b", seconds=500) == ()


def test_after_a_pause_of_days_the_old_readings_are_gone():
    """The slots of the ring are used again, and not taken for new."""
    history = History(["a"])
    for second in range(1000):
        history.add(float(second), {"a": 7.0})

    history.add(10.0 * DAY, {"a": 1.0})

    for seconds in (60, 3600, DAY):
        assert [point.high for point in history.points("a", seconds=seconds)] == [1.0]


def test_the_resolutions_cover_a_day():
    """The coarsest by itself."""
    step, slots = RESOLUTIONS[-1]

    assert step * slots >= DAY
    assert math.isfinite(step)


def test_an_unknown_series_is_an_error():
    """And no empty answer."""
    with pytest.raises(KeyError, match="nothing"):
        History(["a"]).points("nothing", seconds=60)
