"""A bound for all retries of the process together."""

import math

import pytest
from hypothesis import given, strategies as st

from holdfast.limits.retry_budget import RetryBudget


def test_retries_are_a_share_of_the_first_calls():
    """A tenth, when nothing is there in any case."""
    counter = RetryBudget(ratio=0.1, per_s=0.0, most=100).counter(0.0)
    counter.spend(0.0)  # the one that it begins with
    for _ in range(50):
        counter.called()

    assert sum(counter.spend(0.0) for _ in range(50)) in {4, 5}


def test_a_program_with_little_to_do_has_a_few_each_second():
    """Its first call may be the one that fails."""
    counter = RetryBudget(ratio=0.0, per_s=2.0, most=100).counter(0.0)

    assert sum(counter.spend(0.0) for _ in range(50)) == 20
    assert sum(counter.spend(3.0) for _ in range(50)) == 6
    assert (counter.spent, counter.refused) == (26, 74)


def test_what_is_saved_up_has_a_bound():
    """A quiet night is no licence for a storm in the morning."""
    counter = RetryBudget(ratio=1.0, per_s=1.0, most=5).counter(0.0)
    for _ in range(1000):
        counter.called()

    assert sum(counter.spend(86_400.0) for _ in range(50)) == 5


@given(
    st.floats(0, 2),
    st.floats(0, 10),
    st.floats(1, 50),
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), max_size=200),
)
def test_retries_are_never_more_than_the_budget(ratio, per_s, most, events):
    """Whatever comes in which order."""
    counter = RetryBudget(ratio=ratio, per_s=per_s, most=most).counter(0.0)
    now, calls, spent = 0.0, 0, 0
    for is_call, pause in events:
        now += pause
        if is_call:
            counter.called()
            calls += 1
        else:
            spent += counter.spend(now)

        assert spent <= max(1.0, 10 * per_s) + ratio * calls + per_s * now + 1e-6


def test_a_smaller_budget_takes_effect_at_once():
    """What was saved up is cut to it."""
    counter = RetryBudget(ratio=0.0, per_s=10.0, most=100).counter(0.0)
    counter.change(RetryBudget(ratio=0.0, per_s=0.0, most=3))

    assert sum(counter.spend(0.0) for _ in range(50)) == 3


@pytest.mark.parametrize("wrong", [{"ratio": -1}, {"per_s": math.nan}, {"most": 0.5}])
def test_a_budget_that_can_not_be_meant_is_refused(wrong):
    """When it is made."""
    with pytest.raises(ValueError, match="must be"):
        RetryBudget(**wrong)
