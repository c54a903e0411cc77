"""How often to try again, and after how long."""

import asyncio
import math

import pytest
from hypothesis import given, strategies as st

from holdfast.errors import CallTimeout, QueueFull, RateLimited
from holdfast.limits import Retry as AnyRetry
from holdfast.limits.retry import tenacity_backoff


def Retry(*args, **given_):  # noqa: N802 - stands for the class, with calls that may be run twice
    """A retry of calls that are idempotent, which most of these tests are about."""
    return AnyRetry(*args, **{"idempotent": True, **given_})


class _Overloaded(Exception):
    """An error that says when to come back, as model SDKs have it."""

    def __init__(self, retry_after):
        super().__init__("overloaded")
        self.retry_after = retry_after


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize("attempts", [0, -1, True, 2.0, "3", None])
def test_attempts_that_are_not_a_whole_number_from_one_are_refused(attempts):
    """One attempt is the least: the first call."""
    with pytest.raises((TypeError, ValueError), match="attempts must be"):
        Retry(attempts)


@pytest.mark.parametrize("name", ["wait", "wait_max"])
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_waits_that_are_negative_or_endless_are_refused(name, value):
    """The message names the option."""
    with pytest.raises(ValueError, match=rf"{name} must be 0 or more seconds"):
        Retry(**{name: value})


@pytest.mark.parametrize("name", ["wait", "wait_max"])
@pytest.mark.parametrize("value", ["1", None])
def test_waits_that_are_not_a_number_are_refused(name, value):
    """When the retry is made, not when a call fails."""
    with pytest.raises((TypeError, ValueError)):
        Retry(**{name: value})


@pytest.mark.parametrize("on", [("ValueError",), (int,), 3, (ValueError, None), ValueError("v")])
def test_kinds_of_errors_that_are_none_are_refused(on):
    """A mistake in ``on`` shows when the retry is made, not as a second error when a call fails."""
    with pytest.raises((TypeError, ValueError), match="on must be"):
        Retry(on=on)


def test_a_retry_is_a_value():
    """Two of the same figures are equal, and can't be changed."""
    retry = Retry(2, wait=1.0)

    assert retry == Retry(2, wait=1.0)
    with pytest.raises(AttributeError):
        retry.attempts = 5


# ---------------------------------------------------------------- how often


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_there_are_as_many_attempts_as_it_says_the_first_included(attempts):
    """The last one has no delay behind it."""
    retry = Retry(attempts, wait=1.0)

    delays = [retry.delay(attempt, ValueError()) for attempt in range(1, attempts + 1)]

    assert delays[-1] is None
    assert None not in delays[:-1]


@pytest.mark.parametrize(
    ("on", "error", "again"),
    [
        ((Exception,), ValueError(), True),
        ((ValueError, KeyError), KeyError(), True),
        ((LookupError,), KeyError(), True),
        ((ValueError,), KeyError(), False),
        ((Exception,), asyncio.CancelledError(), False),
        ((Exception,), KeyboardInterrupt(), False),
        ((), ValueError(), False),
    ],
)
def test_only_the_errors_that_are_worth_it_are_tried_again(on, error, again):
    """Subclasses count; cancellation and interrupts are final unless they are named."""
    assert (Retry(3, on=on).delay(1, error) is not None) is again


# ---------------------------------------------------------------- how long


def test_the_wait_doubles_up_to_its_most():
    """Without jitter it is exact."""
    retry = Retry(8, wait=0.5, wait_max=5.0, jitter=False)

    delays = [retry.delay(attempt, ValueError()) for attempt in range(1, 8)]

    assert delays == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


def test_no_wait_stays_no_wait():
    """Zero seconds double to zero seconds, with jitter or without."""
    for jitter in (True, False):
        retry = Retry(5, wait=0.0, jitter=jitter)
        assert [retry.delay(attempt, ValueError()) for attempt in range(1, 5)] == [0.0] * 4


def test_a_first_wait_above_the_most_is_cut():
    """``wait_max`` holds from the first wait on."""
    assert Retry(3, wait=10.0, wait_max=2.0, jitter=False).delay(1, ValueError()) == 2.0


def test_very_many_attempts_do_not_overflow():
    """The ten thousandth wait is the longest, not an OverflowError."""
    retry = Retry(100_000, wait=1e300, wait_max=60.0, jitter=False)

    assert retry.delay(10_000, ValueError()) == 60.0


@given(
    wait=st.floats(0.0, 100.0),
    wait_max=st.floats(0.0, 100.0),
    attempt=st.integers(1, 50),
)
def test_jitter_takes_between_half_and_all_of_the_wait(wait, wait_max, attempt):
    """Never more, so that ``wait_max`` is a bound; never less than half, so that it is a wait."""
    exact = Retry(100, wait=wait, wait_max=wait_max, jitter=False).delay(attempt, ValueError())

    delay = Retry(100, wait=wait, wait_max=wait_max).delay(attempt, ValueError())

    assert exact / 2 <= delay <= exact <= wait_max


def test_jitter_spreads_the_waits_over_the_whole_upper_half():
    """Calls that failed together do not come back together."""
    retry = Retry(3, wait=10.0)

    delays = [retry.delay(1, ValueError()) for _ in range(2000)]

    assert 5.0 <= min(delays) < 5.2
    assert 9.8 < max(delays) <= 10.0


# ---------------------------------------------------------------- what the error asks for


@pytest.mark.parametrize("jitter", [True, False])
@pytest.mark.parametrize("asked", [60, 60.0, 3600.5])
def test_an_error_that_names_its_wait_gets_at_least_that(asked, jitter):
    """However large it is: ``wait_max`` is about our own guess."""
    retry = Retry(3, wait=1.0, wait_max=2.0, jitter=jitter)

    assert retry.delay(1, _Overloaded(asked)) == asked


@pytest.mark.parametrize("asked", [0.1, 0, -5])
def test_a_wait_that_is_longer_than_what_the_error_names_stays(asked):
    """The error names the least."""
    assert Retry(3, wait=4.0, jitter=False).delay(1, _Overloaded(asked)) == 4.0


@pytest.mark.parametrize("asked", [None, "60", math.nan, math.inf, -math.inf, object()])
def test_what_is_no_number_of_seconds_is_not_asked_for(asked):
    """A header that was passed on as text, or nonsense, is left aside."""
    assert Retry(3, wait=4.0, jitter=False).delay(1, _Overloaded(asked)) == 4.0


def test_our_own_refusals_carry_their_wait():
    """A pool that is limited by a rate says when it opens; one that is full does not know."""
    retry = Retry(3, wait=1.0, jitter=False)

    assert retry.delay(1, RateLimited("r", retry_after=7.5)) == 7.5
    assert retry.delay(1, QueueFull("q")) == 1.0


def test_what_the_error_names_gives_no_further_attempt():
    """After the last one it is over, whatever the error says."""
    assert Retry(2).delay(2, _Overloaded(1.0)) is None


# ---------------------------------------------------------------- what is safe


@pytest.mark.parametrize(
    ("error", "safe"),
    [
        (QueueFull("q"), True),
        (RateLimited("r"), True),
        (CallTimeout("t"), False),
        (ValueError(), False),
        (asyncio.CancelledError(), False),
    ],
)
def test_only_what_never_started_is_tried_again_by_default(error, safe):
    """Anything else may have had effects, and nobody said that it may be run twice."""
    assert (AnyRetry(3).delay(1, error) is not None) is safe


def test_an_idempotent_call_is_tried_again_after_any_exception():
    """But not after a cancellation."""
    retry = AnyRetry(3, idempotent=True)

    assert retry.delay(1, CallTimeout("t")) is not None
    assert retry.delay(1, ValueError()) is not None
    assert retry.delay(1, asyncio.CancelledError()) is None


# ---------------------------------------------------------------- another back-off


def test_a_back_off_of_ones_own_takes_the_place_of_the_waits():
    """It is told how many attempts have failed; what an error asks for still is the least."""
    retry = Retry(9, wait=99.0, backoff=lambda attempt: attempt * 10.0)

    assert [retry.delay(n, ValueError()) for n in (1, 2, 3)] == [10.0, 20.0, 30.0]
    assert retry.delay(1, _Overloaded(15.0)) == 15.0


@pytest.mark.parametrize("wait", [-1.0, math.nan, math.inf])
def test_a_back_off_that_returns_no_wait_is_told(wait):
    """Rather than a sleep that never ends."""
    with pytest.raises(ValueError, match="backoff must return"):
        Retry(2, backoff=lambda _: wait).delay(1, ValueError())


def test_a_strategy_of_tenacity_is_a_back_off():
    """Whoever has one keeps it."""
    tenacity = pytest.importorskip("tenacity")
    retry = Retry(9, backoff=tenacity_backoff(tenacity.wait_exponential(multiplier=1, max=6)))

    assert [retry.delay(n, ValueError()) for n in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, 6.0]
