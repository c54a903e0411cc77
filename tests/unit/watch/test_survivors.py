"""The rule for one place: what grows evenly and is never closed, and nothing else."""

from math import inf, log

import pytest

from holdfast.watch._ages import Ages, Living, Place
from holdfast.watch._survivors import growth_of, half_closed_growth, laplace, parts

HOUR = 3600.0


def place_of(births, closed=()):
    """A place with these births; ``closed`` are pairs of birth and closing."""
    place = Place("app.py:1")
    for born, at in sorted(closed, key=lambda pair: pair[1]):
        place.close(born, at)
    place.births = sorted(births)
    return place


def growth(births, at, *, left=800.0, closed=(), strict=False, higher=True):
    return growth_of(place_of(births, closed), at, left, lambda: higher, strict=strict)


EVERY_MINUTE = [60.0 * n for n in range(120)]


def test_one_a_minute_of_which_none_is_closed_grows():
    """The pace is that at which they come."""
    found = growth(EVERY_MINUTE, 2 * HOUR)

    assert found is not None
    assert found.per_s * 60.0 == pytest.approx(1.0, rel=0.05)
    assert found.age == 600.0


def test_few_are_not_enough():
    """A 24th of what is left, and 24 at least."""
    assert growth(EVERY_MINUTE[:23], 35 * 60.0) is None
    assert growth(EVERY_MINUTE[:38], 40 * 60.0, left=800.0) is None  # 30 are older than ten minutes
    assert growth(EVERY_MINUTE[:50], 50 * 60.0, left=800.0) is not None


def test_young_ones_are_none():
    """What is younger than ten minutes may be closed at any moment."""
    assert growth([590.0 + n for n in range(100)], 1190.0, left=5000.0) is None


def test_a_jump_is_not_growth():
    """A set of connections that stays: many at once, and no more."""
    jump = [1000.0 + n / 10 for n in range(60)]

    assert growth(jump, 2 * HOUR) is None
    assert growth([1000.0] * 60, 2 * HOUR) is None
    assert growth(jump + [5000.0 + n / 10 for n in range(60)], 2 * HOUR) is None


def test_a_warm_up_that_levels_off_is_not_growth():
    """Its pace falls off, at whatever moment one looks."""
    warm_up = [-HOUR * log(1 - (n + 0.5) / 300) for n in range(300)]

    for minutes in range(10, 360, 5):
        assert (
            growth([t for t in warm_up if t <= minutes * 60], minutes * 60.0, strict=True) is None
        )


def test_growth_that_has_stopped_is_none():
    """Nothing young follows."""
    assert growth(EVERY_MINUTE[:60], 2 * HOUR) is None


def test_a_place_that_closes_its_old_ones_is_none():
    """Teeth of a saw: each looks like a leak until it ends."""
    teeth = [(60.0 * n, 45 * 60.0 * (1 + n // 45)) for n in range(180)]

    assert growth([60.0 * n for n in range(180, 222)], 222 * 60.0, closed=teeth) is None


def test_a_place_that_closes_its_old_ones_is_judged_by_a_later_age():
    """What has outlived all that was ever closed there is leaked."""
    sessions = [(60.0 * n, 60.0 * n + 30 * 60.0) for n in range(600)]
    leaked = [300.0 * n for n in range(120)]

    found = growth(leaked, 10 * HOUR, closed=sessions, left=500.0)

    assert found is not None
    assert found.age > 30 * 60.0


def test_one_closed_among_many_does_not_acquit():
    """A twentieth may be closed late."""
    assert growth(EVERY_MINUTE, 2 * HOUR, closed=[(0.0, HOUR)]) is not None


def test_near_the_limit_younger_ones_count():
    """One a second, and the limit is ten minutes away: nobody can wait for them to be ten minutes old."""
    fast = [1000.0 + n for n in range(240)]

    assert growth(fast, 1240.0, left=600.0).age == 60.0
    assert growth(fast, 1240.0, left=6000.0) is None


def test_near_the_limit_a_count_that_is_not_new_is_no_growth():
    """It has been as high before, and came down again."""
    assert growth([1000.0 + n for n in range(240)], 1240.0, left=600.0, higher=False) is None


def test_what_would_take_weeks_is_not_told():
    """A million are left, and one comes a minute."""
    assert growth(EVERY_MINUTE * 2, 2 * HOUR, left=1e6) is None
    assert growth(EVERY_MINUTE * 2, 2 * HOUR, left=1e5) is not None


def test_without_a_limit_there_is_growth_nevertheless_but_not_of_a_few():
    """Nothing says how much would be too much, so it takes 120."""
    assert growth(EVERY_MINUTE, 2 * HOUR, left=inf) is None
    assert growth([60.0 * n for n in range(140)], 140 * 60.0, left=inf) is not None


def half_closed(times, at):
    ages = Ages()
    ages.see(0.0, [])
    lives = []
    for n, time in enumerate(times):
        lives.append(Living(n, "TCP to 10.0.0.7:443", "CLOSE_WAIT"))
        ages.see(time, lives)
    return half_closed_growth(ages.places["TCP to 10.0.0.7:443"], at)


def test_more_and_more_half_closed_sockets_are_growth_after_a_minute():
    """A dozen that the peer closed, one after the other."""
    found = half_closed([10.0 * n for n in range(1, 20)], 250.0)

    assert found is not None
    assert found.half_closed


def test_an_idle_pool_whose_connections_the_peer_closed_is_none():
    """All of them at once, or few: a client notices when it uses them next."""
    assert half_closed([100.0] * 50, 500.0) is None
    assert half_closed([10.0 * n for n in range(1, 11)], 500.0) is None


def test_an_idle_pool_that_is_closed_one_by_one_is_none():
    """Nothing new is opened: the peer drops what it was not asked for in a while."""
    ages, pool = Ages(), range(100)
    ages.see(0.0, [])
    ages.see(10.0, [Living(n, "TCP to a:1", "ESTABLISHED") for n in pool])
    for closed in pool:
        lives = [
            Living(n, "TCP to a:1", "CLOSE_WAIT" if n < closed else "ESTABLISHED") for n in pool
        ]
        ages.see(2000.0 + 10 * closed, lives)

    assert len(ages.places["TCP to a:1"].half_closed) == 99
    assert half_closed_growth(ages.places["TCP to a:1"], 3100.0) is None


def test_laplace_tells_rising_from_falling():
    """About nothing for an even pace, and above or below it otherwise."""
    even = [float(n) for n in range(101)]

    assert abs(laplace(even, 100.0)) < 0.2
    assert laplace([t * t / 100 for t in even], 100.0) < -3
    assert laplace([100 - (100 - t) ** 2 / 100 for t in even], 100.0) > 3
    assert laplace([5.0], 10.0) == laplace([], 10.0) == 0.0


def test_parts_hold_all_of_the_stretch_once():
    """Its beginning is not of it, its end is: regular births would be counted once too often."""
    assert parts([0.0, 1.0, 5.5, 11.9, 12.0], 0.0, 12.0) == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2]
