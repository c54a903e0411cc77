"""When what a look has found was made: spread over the time since the look before."""

import pytest

from holdfast.watch._ages import Living
from holdfast.watch._births import Births
from holdfast.watch.trend import Trend


def test_at_the_first_look_nothing_is_known():
    """It was there before."""
    found = list(Births().spread(10.0, [Living(1, "a"), Living(2, "a")]))

    assert [each.born for each in found] == [None, None]


def test_what_is_new_is_spread_over_the_time_between():
    """In the order in which it is listed; what was known stays as it is."""
    births = Births()
    list(births.spread(10.0, [Living(1, "a")]))

    found = list(births.spread(20.0, [Living(1, "a"), Living(2, "a"), Living(3, "a")]))

    assert [each.born for each in found] == [None, 12.5, 17.5]


def test_a_jump_is_not_spread_over_minutes():
    """Else it would pass for an even pace."""
    births = Births()
    list(births.spread(0.0, []))

    found = list(births.spread(300.0, [Living(n, "a") for n in range(3)]))

    assert [each.born for each in found] == [275.0, 285.0, 295.0]


@pytest.mark.parametrize("every", [1, 10, 11, 13, 30])
def test_an_even_leak_is_told_however_the_looks_fall(every):
    """One in two seconds, below a limit of 600: told in good time, whatever the moments of the looks."""
    trend, births = Trend("descriptors", limit=600), Births()
    for second in range(600):
        if second % every == 0:
            living = [Living(n, "app.py:10") for n in range(second // 2)]
            trend.see(second, births.spread(second, living))
        trend.add(second, second // 2)
        if trend.verdict.growing:
            break

    assert trend.verdict.growing
    assert second <= 200


def test_a_place_of_which_all_was_closed_is_told_no_more():
    """There is nothing left that could grow, and no pace to be told."""
    trend, births = Trend("descriptors", limit=600), Births()
    for second in range(0, 400, 10):
        trend.see(second, births.spread(second, [Living(n, "a") for n in range(second // 2)]))
        trend.add(second, second // 2)
    assert trend.verdict.growing

    trend.see(400, births.spread(400, []))
    trend.add(400, 0)
    trend.add(410, 0)

    assert not trend.verdict.growing
