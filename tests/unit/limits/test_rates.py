"""Several rates at once, weights, and what services say of their own counters."""

import math

import pytest
from hypothesis import given, strategies as st

from holdfast.limits.rate import Rate
from holdfast.limits.rate_headers import rate_hints, retry_after_of
from holdfast.limits.rates import Rates, check_rates

TINY = 1e-6

# ---------------------------------------------------------------- weights


def test_a_heavy_start_waits_until_so_much_is_free():
    """Eight a second, eight at once: six leave two, and four are free a quarter of a second later."""
    gate = Rate(8, per=1.0, burst=8).gate()

    assert gate.take(0.0, 6) == 0.0
    assert gate.take(0.0, 4) == 0.25
    assert gate.take(0.0, 2) == 0.0


def test_a_start_heavier_than_a_burst_begins_when_all_is_free_and_is_paid_back():
    """Otherwise it would wait for ever."""
    gate = Rate(10, per=1.0, burst=10).gate()

    assert gate.take(0.0, 30) == 0.0
    assert gate.take(0.0) == pytest.approx(2.1)
    assert gate.take(2.1 + TINY) == 0.0


def test_a_start_of_no_weight_takes_nothing():
    """A prompt without tokens."""
    gate = Rate(1, per=60.0).gate()

    assert [gate.take(0.0, 0.0) for _ in range(5)] == [0.0] * 5
    assert gate.take(0.0) == 0.0
    assert gate.take(0.0) == pytest.approx(60.0)


@given(
    st.integers(1, 50),
    st.floats(0.1, 100),
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0, 5), st.floats(0, 40)), max_size=60),
)
def test_no_window_has_more_weight_than_the_rate_and_one_burst_and_one_call(
    count, per, burst, calls
):
    """Whatever comes when: the bound of the docstring, with the call that was heavier than a burst."""
    gate = Rate(count, per=per, burst=burst).gate()
    now, started = 0.0, []
    for pause, weight in calls:
        now += pause
        now += gate.wait(now, weight)
        if gate.take(now, weight) == 0.0:
            started.append((now, weight))
        else:  # by a rounding of the clock
            now += 1e-6 * per
            assert gate.take(now, weight) == 0.0
            started.append((now, weight))

    for first, (begin, _) in enumerate(started):
        inside = [w for t, w in started[first:] if t < begin + per]
        heaviest = max(inside)
        assert sum(inside) <= count + burst + heaviest + 1e-3 * count


# ---------------------------------------------------------------- several rates


def test_a_start_takes_of_all_rates_or_of_none():
    """A refusal by one costs nothing in the other."""
    rates = Rates([Rate(2, per=1.0, burst=2), Rate(100, per=1.0, burst=100, weigh=len)])

    assert rates.take(0.0, (1.0, 90.0)) == 0.0
    assert rates.take(0.0, (1.0, 20.0)) == pytest.approx(0.1)
    assert rates.take(0.0, (1.0, 10.0)) == 0.0
    assert rates.take(0.0, (1.0, 0.0)) == pytest.approx(0.5)


def test_weights_come_from_the_arguments_of_the_call():
    """One for a rate that does not weigh."""
    rates = Rates([Rate(2), Rate(100, weigh=lambda prompt, *, more=0: len(prompt) + more)])

    assert rates.weighs
    assert rates.weights_of(("four",), {"more": 3}) == (1.0, 7.0)
    assert not Rates([Rate(1)]).weighs


@pytest.mark.parametrize(
    ("weight", "error"),
    [("3", TypeError), (True, TypeError), (None, TypeError), (-1, ValueError), (math.nan, ValueError),
     (math.inf, ValueError)],
)  # fmt: skip
def test_a_weight_that_is_none_is_refused(weight, error):
    """Before the call has a place, with what was returned."""
    with pytest.raises(error, match="weigh must return"):
        Rates([Rate(1, weigh=lambda: weight)]).weights_of((), {})


def test_a_pool_takes_one_rate_or_several():
    """And nothing else."""
    one, other = Rate(1), Rate(2)

    assert check_rates(None) == ()
    assert check_rates(one) == (one,)
    assert check_rates([one, other]) == (one, other)
    for wrong in (5, [], [one, 5], "60/min"):
        with pytest.raises(TypeError, match="rate must be a Rate or several"):
            check_rates(wrong)


def test_a_weigh_that_can_not_be_called_is_refused():
    """When the rate is made."""
    with pytest.raises(TypeError, match="weigh must be callable"):
        Rate(1, weigh=3)


# ---------------------------------------------------------------- pauses, and what is learnt


def test_nothing_starts_before_a_pause_is_over():
    """And a shorter one does not shorten it."""
    gate = Rate(100).gate()
    gate.pause(5.0)
    gate.pause(2.0)

    assert gate.take(1.0) == 4.0
    assert gate.take(5.0) == 0.0


def test_what_the_service_has_left_is_kept_to():
    """Three are left of ten, so three start at once and the next comes at the rate."""
    gate = Rate(10, per=10.0, burst=10).gate()
    gate.learn(0.0, remaining=3)

    assert [gate.take(0.0) for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(1.0)]


def test_what_the_service_has_left_never_loosens_a_rate():
    """Ours may have been used by others since."""
    gate = Rate(10, per=10.0, burst=1).gate()
    gate.take(0.0)
    gate.learn(0.0, remaining=10)

    assert gate.take(0.0) == pytest.approx(1.0)


def test_a_service_that_has_nothing_left_is_waited_for():
    """Until it is reset."""
    gate = Rate(10, per=10.0, burst=10).gate()
    gate.learn(0.0, remaining=0, reset_s=7.0)

    assert gate.take(0.0) == 7.0


def test_a_slower_rate_of_the_service_takes_the_place_of_ours():
    """A faster one does not: ours was set by somebody who knew why."""
    gate = Rate(10, per=1.0, burst=1).gate()
    gate.learn(0.0, interval=0.05)
    gate.take(0.0)
    assert gate.take(0.0) == pytest.approx(0.1)

    gate.learn(0.0, interval=0.5)
    gate.take(10.0)
    assert gate.take(10.0) == pytest.approx(0.5)


# ---------------------------------------------------------------- headers

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


@pytest.mark.parametrize(
    ("headers", "hint"),
    [
        (
            {"anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "49",
             "anthropic-ratelimit-requests-reset": "2023-11-14T22:13:22Z"},
            ("requests", 50, 49, 2.0),
        ),
        (
            {"Anthropic-RateLimit-Input-Tokens-Remaining": "0",
             "Anthropic-RateLimit-Input-Tokens-Reset": "2023-11-14T22:13:20Z"},
            ("input-tokens", None, 0, 0.0),
        ),
        (
            {"x-ratelimit-limit-tokens": "150000", "x-ratelimit-remaining-tokens": "149984",
             "x-ratelimit-reset-tokens": "6m0s"},
            ("tokens", 150_000, 149_984, 360.0),
        ),
        (
            {"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "20ms"},
            ("requests", None, 1, 0.02),
        ),
        (
            {"RateLimit-Limit": "100", "RateLimit-Remaining": "5", "RateLimit-Reset": "59.5"},
            ("requests", 100, 5, 59.5),
        ),
    ],
)  # fmt: skip
def test_the_headers_of_providers_are_understood(headers, hint):
    """Names in any case; resets as seconds, as durations, as moments."""
    (found,) = rate_hints(headers, now_wall=NOW)

    assert (found.what, found.limit, found.remaining) == hint[:3]
    assert found.reset_s == pytest.approx(hint[3])


@given(st.dictionaries(st.sampled_from([
    "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
    "anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-tokens-limit", "retry-after",
    "retry-after-ms",
]), st.text(max_size=20)))  # fmt: skip
def test_a_header_that_can_not_be_read_tells_nothing(headers):
    """And never raises: a service's mistake is no error of the call."""
    for hint in rate_hints(headers, now_wall=NOW):
        for figure in (hint.limit, hint.remaining, hint.reset_s):
            assert figure is None or (math.isfinite(figure) and figure >= 0)
    wait = retry_after_of(headers, now_wall=NOW)
    assert wait is None or (math.isfinite(wait) and wait >= 0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 GMT"}, 10.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_what_a_service_asks_to_wait_is_understood(headers, seconds):
    """As seconds, as milliseconds, as a date."""
    assert retry_after_of(headers, now_wall=NOW) == seconds
