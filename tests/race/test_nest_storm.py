"""Nests of calls over the same few pools, from many threads and loops at once: none hangs, none is lost."""

import random
import sys
import threading

import pytest
from tests.property.nests import Call, Nest, never_stuck

from holdfast.errors import WouldDeadlock

pytestmark = pytest.mark.race


@pytest.fixture(autouse=True)
def switch_often():
    """Let threads take turns after a few microseconds instead of five milliseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def _tree(rng, pools, depth=0):
    inner = [_tree(rng, pools, depth + 1) for _ in range(rng.randrange(3 if depth < 3 else 1))]
    return Call(
        rng.randrange(pools),
        tuple(inner),
        together=rng.random() < 0.5,
        catches=rng.random() < 0.5,
    )


def _storm(nest, trees, in_loop):
    """Make all calls of each list in a thread of its own; returns how they ended."""
    ends = [None] * len(trees)

    def make(number):
        ends[number] = nest.begin_and_wait(trees[number], in_loop=in_loop[number])

    threads = [threading.Thread(target=make, args=(number,)) for number in range(len(trees))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    return ends


@pytest.mark.timeout(150)
@pytest.mark.parametrize("seed", range(6))
def test_nests_from_everywhere_never_hang(seed):
    """Each call ends with its value or refused; the pools are empty, and go on."""
    rng = random.Random(seed)
    kinds = [(True, rng.randint(1, 3)), (False, rng.randint(1, 3)), (True, 2), (False, 2)]
    trees = [[_tree(rng, 4) for _ in range(6)] for _ in range(4)]

    with Nest(kinds) as nest:
        ends = _storm(nest, trees, [True, False, True, False])

        assert all(end == 1 or isinstance(end, WouldDeadlock) for each in ends for end in each)
        assert nest.begin_and_wait([Call(n) for n in range(4)], in_loop=False) == [1] * 4


@pytest.mark.timeout(150)
@pytest.mark.parametrize("seed", range(3))
def test_nobody_is_refused_in_a_storm_where_a_permit_is_always_left(seed):
    """No false alarm, however the threads take their turns."""
    rng = random.Random(seed)
    trees = [[_tree(rng, 4) for _ in range(4)] for _ in range(4)]
    waiting = [0] * 4
    for root in (root for each in trees for root in each):
        for call in root.walk():
            waiting[call.pool] += bool(call.calls)
    kinds = [(n % 2 == 0, most + 1) for n, most in enumerate(waiting)]
    assert never_stuck([root for each in trees for root in each], kinds)

    with Nest(kinds) as nest:
        ends = _storm(nest, trees, [True, False, True, False])

        assert ends == [[1] * 4] * 4
        assert not nest.errors
