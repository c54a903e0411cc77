"""The record of one item."""

import pickle

import pytest

from holdfast._core.outcome import Outcome


def test_an_outcome_without_an_error_is_ok_and_unwraps_to_its_value():
    """None is a value like any other."""
    outcome = Outcome(0, "item", None, None, 1, 0.5)

    assert outcome.ok
    assert outcome.unwrap() is None


def test_an_outcome_with_an_error_is_not_ok_and_unwraps_by_raising_that_very_error():
    """The error is the object that the function raised."""
    error = ValueError("no")
    outcome = Outcome(3, "item", None, error, 2, 0.5)

    with pytest.raises(ValueError, match="no") as caught:
        outcome.unwrap()

    assert not outcome.ok
    assert caught.value is error


def test_an_outcome_unpacks_into_its_fields_in_the_documented_order():
    """index, item, value, error, attempts, seconds, instead_of."""
    index, item, value, error, attempts, seconds, instead_of = Outcome(4, "i", "v", None, 2, 1.5)

    assert (index, item, value, error, attempts, seconds) == (4, "i", "v", None, 2, 1.5)
    assert instead_of is None


def test_an_outcome_cannot_be_changed():
    """It is a record of what has happened."""
    with pytest.raises(AttributeError):
        Outcome(0, "i", "v", None, 1, 0.0).value = "other"


def test_an_outcome_survives_pickling():
    """Outcomes can be sent to another process, or stored."""
    outcome = Outcome(0, "i", [1, 2], None, 1, 0.25)

    copy = pickle.loads(pickle.dumps(outcome))  # noqa: S301 - what this very test has pickled

    assert copy == outcome
