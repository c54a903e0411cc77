"""A wait is refused if, and only if, it would never end: nests of calls over pools of both kinds."""

import pytest
from hypothesis import given, settings, strategies as st
from tests.property.nests import Call, Nest, never_stuck, one_after_the_other

from holdfast.errors import WouldDeadlock

KINDS = st.lists(st.tuples(st.booleans(), st.integers(1, 2)), min_size=1, max_size=3)


@st.composite
def _nests(draw, *, together, most=9):
    """Kinds of pools, and a tree of calls over them in which many call one another."""
    kinds = draw(KINDS)
    plan = st.tuples(
        st.integers(0, 9), st.integers(0, len(kinds) - 1), st.booleans(), st.booleans()
    )
    plans = draw(st.lists(plan, min_size=2, max_size=most))
    inner = [[] for _ in plans]
    made = [None] * len(plans)
    for number in reversed(range(len(plans))):
        back, pool, at_once, catches = plans[number]
        calls = tuple(reversed(inner[number]))
        made[number] = Call(pool, calls, together=at_once and together, catches=catches)
        if number:  # seven in ten call from within the one before
            caller = number - 1 if back < 7 else draw(st.integers(0, number - 1))
            inner[caller].append(made[number])
    return kinds, made[0]


@pytest.mark.timeout(240)
@settings(max_examples=150)
@given(nest=_nests(together=False), in_loop=st.booleans())
def test_one_call_at_a_time_is_refused_exactly_where_it_would_wait_for_ever(nest, in_loop):
    """What becomes of every call can be told beforehand, and comes so."""
    kinds, root = nest

    with Nest(kinds) as pools:
        pools.begin_and_wait([root], in_loop=in_loop)

        assert pools.told == one_after_the_other(root, kinds)
        assert all(error.cycle for error in pools.errors)


@pytest.mark.timeout(240)
@settings(max_examples=80)
@given(
    first=_nests(together=True),
    others=st.lists(_nests(together=True, most=4), max_size=2),
    in_loop=st.booleans(),
)
def test_many_calls_at_a_time_never_hang(first, others, in_loop):
    """Whoever is faster: all end, with their value or refused, and the pools are empty."""
    kinds, root = first
    roots = [root, *(_into(other, len(kinds)) for _, other in others)]

    with Nest(kinds) as nest:
        ends = nest.begin_and_wait(roots, in_loop=in_loop)

        assert all(end == 1 or isinstance(end, WouldDeadlock) for end in ends)
        assert all(error.cycle for error in nest.errors)


@pytest.mark.timeout(240)
@settings(max_examples=80)
@given(
    first=_nests(together=True),
    others=st.lists(_nests(together=True, most=4), max_size=2),
    in_loop=st.booleans(),
)
def test_nobody_is_refused_where_a_permit_is_always_left(first, others, in_loop):
    """Each pool has one permit more than calls of it that wait: something can always go on."""
    kinds, root = first
    roots = [root, *(_into(other, len(kinds)) for _, other in others)]
    waiting = [0] * len(kinds)
    for one in roots:
        for call in one.walk():
            waiting[call.pool] += bool(call.calls)
    kinds = [(threads, most + 1) for (threads, _), most in zip(kinds, waiting, strict=True)]
    assert never_stuck(roots, kinds)

    with Nest(kinds) as nest:
        ends = nest.begin_and_wait(roots, in_loop=in_loop)

        assert ends == [1] * len(roots)
        assert not nest.errors


def _into(call, pools):
    """The same nest over so many pools."""
    inner = tuple(_into(one, pools) for one in call.calls)
    return Call(call.pool % pools, inner, call.together, call.catches)
