"""Argument checks: what passes comes back, what does not is told apart by type and by value."""

import math

import pytest

from holdfast._core import check


@pytest.mark.parametrize(("value", "least"), [(0, 0), (5, 0), (1, 1), (10**12, 3)])
def test_a_whole_number_of_at_least_the_least_comes_back(value, least):
    """A count that is large enough is returned as it is."""
    assert check.count("limit", value, least=least) is value


@pytest.mark.parametrize("value", [True, False, 1.0, "3", None, b"1"])
def test_a_count_that_is_not_a_whole_number_is_a_type_error(value):
    """Booleans count as a mistake here, although Python takes them for integers."""
    with pytest.raises(TypeError, match=f"limit must be a whole number.*, not {value!r}"):
        check.count("limit", value)


@pytest.mark.parametrize(("value", "least"), [(-1, 0), (0, 1), (2, 3)])
def test_a_count_below_the_least_is_a_value_error(value, least):
    """The message names the option, the bound and the value."""
    with pytest.raises(ValueError, match=f"limit must be .*at least {least}, not {value}"):
        check.count("limit", value, least=least)


@pytest.mark.parametrize("value", [1, 0.001, 1e9])
def test_seconds_come_back_as_a_float(value):
    """Whole and fractional seconds are both fine."""
    checked = check.seconds("timeout", value)

    assert checked == value
    assert type(checked) is float


def test_none_seconds_is_no_bound():
    """None passes through, because it is how an option says that there is no bound."""
    assert check.seconds("timeout", None) is None


@pytest.mark.parametrize("value", [True, "1", [1.0], 1j])
def test_seconds_that_are_not_a_number_are_a_type_error(value):
    """The message names the option and says that None is allowed."""
    with pytest.raises(TypeError, match="timeout must be seconds as a number, or None"):
        check.seconds("timeout", value)


@pytest.mark.parametrize("value", [-1, -0.001, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("zero", [True, False])
def test_seconds_that_are_negative_or_not_finite_are_a_value_error(value, zero):
    """Infinity is refused, and the message names None for it."""
    with pytest.raises(ValueError, match="None means no bound"):
        check.seconds("timeout", value, zero=zero)


@pytest.mark.parametrize("value", [0, 0.0])
def test_zero_seconds_pass_only_where_they_mean_something(value):
    """Waiting for 0 seconds can be asked for; running for 0 seconds can't."""
    assert check.seconds("queue_timeout", value, zero=True) == 0.0
    with pytest.raises(ValueError, match="timeout must be more than 0 seconds"):
        check.seconds("timeout", value)


def test_a_choice_among_the_allowed_comes_back():
    """An allowed word is returned."""
    assert check.choice("overflow", "wait", ("wait", "reject")) == "wait"


@pytest.mark.parametrize("value", ["block", "", None, 3])
def test_a_choice_outside_the_allowed_is_a_value_error_that_lists_them(value):
    """The message lists every word that would do."""
    with pytest.raises(ValueError, match="overflow must be one of 'wait', 'reject', not"):
        check.choice("overflow", value, ("wait", "reject"))


def test_what_can_be_called_comes_back():
    """Functions, classes and callable objects are all fine."""
    assert check.callable_("fn", len) is len
    assert check.callable_("fn", int) is int


@pytest.mark.parametrize("value", [None, 3, "len"])
def test_what_cannot_be_called_is_a_type_error(value):
    """A coroutine's result or a name in place of a function is told at once."""
    with pytest.raises(TypeError, match=f"fn must be callable, not {value!r}"):
        check.callable_("fn", value)
