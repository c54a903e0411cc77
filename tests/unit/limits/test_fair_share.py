"""One limit for several: as evenly as their needs allow, never more than there is."""

import pytest
from hypothesis import given, strategies as st

from holdfast.limits.fair_share import fair_shares, granted


@pytest.mark.parametrize(
    ("total", "wanted", "shares"),
    [
        (10, [20, 20], [5, 5]),
        (11, [20, 20], [6, 5]),
        (10, [2, 20], [2, 8]),
        (10, [20, 2, 20], [4, 2, 4]),
        (2, [5, 5, 5], [1, 1, 0]),
        (10, [1, 1], [1, 1]),
        (0, [3], [0]),
        (5, [], []),
    ],
)
def test_who_wants_little_leaves_the_rest_to_the_others(total, wanted, shares):
    """And what does not divide goes to the first."""
    assert fair_shares(total, wanted) == shares


@given(st.integers(0, 1000), st.lists(st.integers(0, 300), max_size=12))
def test_shares_are_all_there_is_and_nobody_could_have_more_without_another_having_less(
    total, wanted
):
    """Max-min: who has less than he wants has at most one less than anybody else."""
    shares = fair_shares(total, wanted)

    assert sum(shares) == min(total, sum(wanted))
    for share, want in zip(shares, wanted, strict=True):
        assert 0 <= share <= want
        if share < want:
            assert share >= max(shares) - 1


@given(
    st.integers(1, 100),
    st.lists(st.integers(0, 60), min_size=2, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60), st.floats(0, 1)), max_size=60),
)
def test_members_that_look_in_any_order_never_hold_more_than_there_is(total, wanted, looks):
    """Who gives way does so when his work has ended, and until then nobody takes it."""
    count = len(wanted)
    wanted, grants, held = list(wanted), [0] * count, [0] * count
    for place, want, used in looks:
        who = place % count
        wanted[who] = want
        share = fair_shares(total, [want, *(wanted[o] for o in range(count) if o != who)])[0]
        others = sum(grants) - grants[who]
        grants[who] = granted(share, held=held[who], others_hold=others, total=total)
        held[who] = max(0, int(grants[who] * used))

        assert sum(grants) <= total
        assert sum(held) <= total


def test_a_newcomer_gets_its_share_when_the_others_have_given_way():
    """In one round of looks."""
    assert granted(5, held=0, others_hold=10, total=10) == 0
    assert granted(5, held=5, others_hold=0, total=10) == 5
    assert granted(5, held=0, others_hold=5, total=10) == 5


def test_nothing_is_taken_away_from_work_that_runs():
    """It ends by itself."""
    assert granted(2, held=7, others_hold=3, total=10) == 7
