"""Trends: samples in, a verdict out, in words that a person can act on."""

import json
import math

import pytest

from holdfast.watch import Living, Trend

MINUTE = 60.0
HOUR = 60 * MINUTE


def run(trend, minutes, *, living, value=None, start=0):
    """Feed so many minutes: ``living(minute)`` is what lives then."""
    for minute in range(start, start + minutes):
        things = living(minute)
        trend.see(minute * MINUTE, things)
        trend.add(minute * MINUTE, len(things) if value is None else value(minute))


def leaking(per_minute, since, *, place="app.py:10 fetch", state=""):
    def living(minute):
        count = max(0, minute - since) * per_minute
        return [Living("log", "app.py:2 main")] + [Living(n, place, state) for n in range(count)]

    return living


def test_a_new_trend_knows_nothing():
    """And says so."""
    trend = Trend("descriptors", limit=1024)

    assert trend.verdict.evidence == "none"
    assert not trend.suspects
    assert str(trend.verdict) == "descriptors: 0, no growth beyond noise"


def test_a_leak_is_strong_with_its_pace_its_place_and_its_end():
    """Twelve a minute leave some seventy minutes."""
    trend = Trend("descriptors", limit=1024)
    run(trend, 5 * 60, living=leaking(0, 0))

    run(trend, 30, living=leaking(12, 300), start=300)

    verdict = trend.verdict
    assert verdict.evidence == "strong"
    assert verdict.per_minute_low <= 12.0 <= verdict.per_minute_high
    left = (1024 - verdict.value) / 12.0 * MINUTE
    assert verdict.left_low_s <= left <= verdict.left_high_s
    (growth,) = verdict.growth
    assert (growth.place, growth.share, growth.evidence) == ("app.py:10 fetch", 1.0, "strong")
    assert str(verdict).startswith(
        "descriptors grow 12 a minute; the limit of 1,024 is reached in about"
    )
    assert str(verdict).endswith("100 per cent of the growth is app.py:10 fetch")


def test_half_closed_sockets_are_certain_and_named_with_their_state():
    """Also in the first hour: there is no innocent reason for more and more of them."""
    trend = Trend("descriptors", limit=1024)

    run(trend, 12, living=leaking(3, 1, place="TCP to 10.0.0.7:443", state="CLOSE_WAIT"))

    assert trend.verdict.evidence == "certain"
    assert str(trend.verdict).endswith(
        "100 per cent of the growth is TCP to 10.0.0.7:443 in CLOSE_WAIT"
    )


def test_what_is_in_another_state_is_not_counted_to_the_share():
    """Nine in ten of the growth are half-closed, the others still open."""
    trend = Trend("descriptors", limit=1024)

    def living(minute):
        return [
            Living(n, "TCP to 10.0.0.7:443", "ESTABLISHED" if n % 10 == 0 else "CLOSE_WAIT")
            for n in range(max(0, minute - 300) * 10)
        ]

    run(trend, 340, living=living)

    growth = trend.verdict.growth[0]
    assert growth.state == "CLOSE_WAIT"
    assert growth.share >= 0.85


def test_two_places_are_told_with_the_larger_one_first():
    """The pace is that of both together."""
    trend = Trend("descriptors", limit=1024)

    def living(minute):
        since = max(0, minute - 240)
        return [Living(("a", n), "a.py:1") for n in range(4 * since)] + [
            Living(("b", n), "b.py:1") for n in range(2 * since)
        ]

    run(trend, 300, living=living)

    verdict = trend.verdict
    assert [growth.place for growth in verdict.growth] == ["a.py:1", "b.py:1"]
    assert verdict.growth[0].share == pytest.approx(2 / 3, abs=0.05)
    assert verdict.per_minute == pytest.approx(6.0, rel=0.1)


def test_in_the_first_hour_growth_is_not_told_unless_the_limit_is_near():
    """Everything grows then."""
    slow, fast = Trend("descriptors", limit=1024), Trend("descriptors", limit=1024)

    run(slow, 55, living=leaking(2, 0))
    run(fast, 20, living=leaking(30, 0))

    assert not slow.verdict.growing
    assert fast.verdict.evidence == "weak"  # the program is young


def test_in_the_first_three_hours_growth_is_weak_and_later_it_is_strong():
    """The same leak, and the same trend."""
    trend = Trend("descriptors", limit=4096)

    run(trend, 120, living=leaking(2, 0))
    young = trend.verdict
    run(trend, 120, living=leaking(2, 0), start=120)

    assert young.evidence == "weak"
    assert "not yet flat" in str(young)
    assert trend.verdict.evidence == "strong"


def test_a_growth_that_stops_is_told_for_a_while_and_then_no_more():
    """It clears by itself, without flapping."""
    trend = Trend("descriptors", limit=1024)
    run(trend, 300, living=leaking(5, 240))
    assert trend.verdict.growing
    told = []

    for minute in range(300, 600):
        things = leaking(5, 240)(300)
        trend.see(minute * MINUTE, things)
        trend.add(minute * MINUTE, len(things))
        told.append(trend.verdict.growing)

    assert told[0]
    assert not told[-1]
    assert told == sorted(told, reverse=True)


def test_counts_alone_are_weak_whatever_they_do():
    """Memory that rises by the minute and never falls may be a cache."""
    trend = Trend("memory", limit=8e9, ages=False)

    for minute in range(10 * 60):
        trend.add(minute * MINUTE, 1e9 + minute * 5e6 + 2e7 * math.sin(minute))

    verdict = trend.verdict
    assert verdict.evidence == "weak"
    assert verdict.per_minute_low <= 5e6 <= verdict.per_minute_high
    assert verdict.left_low_s <= verdict.left_s <= verdict.left_high_s
    assert str(verdict).startswith("memory grows 5 MB a minute, not yet flat; the limit of 8 GB")


def test_a_wave_of_counts_is_no_growth():
    """It returns to where it has been."""
    trend = Trend("memory", limit=2e9, ages=False)
    grew = []

    for minute in range(48 * 60):
        trend.add(minute * MINUTE, 1e9 + 3e8 * math.sin(minute / 30))
        grew.append(trend.verdict.growing)

    assert not any(grew)


def test_a_trend_of_counts_takes_no_ages():
    """It would not look at them."""
    trend = Trend("memory", ages=False)

    with pytest.raises(ValueError, match="ages=False"):
        trend.see(0.0, [])
    with pytest.raises(ValueError, match="counts alone"):
        trend.change(0.0)


def test_without_a_limit_there_is_no_time_left_to_tell():
    """The growth is told nevertheless."""
    trend = Trend("descriptors")

    run(trend, 600, living=leaking(1, 240))

    assert trend.verdict.evidence == "strong"
    assert trend.verdict.left_s is None
    assert "limit" not in str(trend.verdict)


def test_a_limit_that_is_reached_is_told_as_reached():
    """Nothing is left."""
    trend = Trend("descriptors", limit=600)

    run(trend, 400, living=leaking(10, 300))

    assert trend.verdict.left_s == 0.0
    assert "the limit of 600 is reached" in str(trend.verdict)


def test_a_verdict_is_what_json_can_hold():
    """With its sentence, for who only prints."""
    trend = Trend("descriptors", limit=1024)
    run(trend, 330, living=leaking(5, 300))

    told = json.loads(json.dumps(trend.verdict.to_dict(), allow_nan=False))

    assert told["evidence"] == "strong"
    assert told["text"] == str(trend.verdict)
    assert told["growth"][0]["place"] == "app.py:10 fetch"
