"""How large a pool should be: the rules, and what bounds them."""

import pytest
from hypothesis import given, strategies as st

from holdfast.limits.sizing import KINDS, Load, Machine, recommended

MACHINE = Machine(cpus=2.0, threads=400, processes=200, descriptors=800)


def size(kind, machine=MACHINE, **load):
    """How many calls at once."""
    return recommended(kind, Load(**load), machine).size


@pytest.mark.parametrize(("rate", "response_s", "calls"), [(10, 2.5, 25), (1, 0.3, 1), (8.4, 1, 9)])
def test_calls_of_a_known_rate_and_time_are_their_product(rate, response_s, calls):
    """Little's law, rounded up: one more would only wait for the rate."""
    for kind in ("llm", "http", "llm_threads"):
        assert size(kind, rate=rate, response_s=response_s) == calls


def test_calls_of_which_little_is_known_are_within_the_usual_range():
    """And the reason says what is missing."""
    for kind, low, high in (("llm", 10, 50), ("http", 10, 50), ("llm_threads", 10, 20)):
        found = recommended(kind, Load(rate=3.0), MACHINE)

        assert low <= found.size <= high
        assert (found.low, found.high) == (low, high)
        assert "response_s is not known" in found.reason


@pytest.mark.parametrize(("connections", "threads"), [(None, 10), (3, 3), (20, 20), (100, 20)])
def test_a_database_has_a_thread_for_each_connection(connections, threads):
    """At most twenty: more gain little."""
    assert size("db", connections=connections) == threads


@pytest.mark.parametrize(
    ("cpus", "files", "cpu", "mixed", "default"),
    [(0.5, 4, 1, 2, 5), (2.0, 4, 2, 6, 10), (3.5, 7, 3, 11, 15), (64.0, 8, 64, 192, 32)],
)
def test_the_rest_goes_by_the_cpus(cpus, files, cpu, mixed, default):
    """As affinity and quotas give them, a part of one too."""
    machine = Machine(cpus=cpus, threads=400, processes=200, descriptors=800)

    found = [size(kind, machine) for kind in ("files", "cpu", "mixed", "default")]

    assert found == [files, cpu, mixed, default]


@given(
    st.sampled_from(KINDS),
    st.none() | st.floats(0.001, 1e6),
    st.none() | st.floats(0.001, 1e4),
    st.none() | st.integers(1, 10_000),
    st.builds(
        Machine,
        cpus=st.floats(0.01, 512),
        threads=st.integers(1, 2000),
        processes=st.integers(1, 2000),
        descriptors=st.integers(1, 100_000),
    ),
)
def test_no_recommendation_is_more_than_the_budget_holds(
    kind, rate, response_s, connections, machine
):
    """Nor less than one, and always with a reason."""
    load = Load(rate=rate, response_s=response_s, connections=connections)
    found = recommended(kind, load, machine)

    most = {
        "AsyncPool": max(1, machine.descriptors // 2),
        "ThreadPool": machine.threads,
        "ProcessPool": machine.processes,
    }[found.pool]
    assert 1 <= found.size <= most
    assert found.low <= found.high
    assert "\n" not in found.reason
    assert found.reason


def test_what_the_budget_cuts_is_said():
    """With what it would have been."""
    small = Machine(cpus=2.0, threads=4, processes=2, descriptors=40)

    found = recommended("llm", Load(rate=100, response_s=10), small)

    assert found.size == 20
    assert "40 descriptors" in found.reason
    assert "Little's law" in found.reason


@pytest.mark.parametrize(
    "load", [{"rate": 0}, {"rate": -1.0}, {"response_s": 0}, {"connections": 0}]
)
def test_a_load_that_can_not_be_meant_is_refused(load):
    """With what was given."""
    with pytest.raises(ValueError, match="must be"):
        Load(**load)


def test_a_kind_that_there_is_not_is_refused_with_those_there_are():
    """All of them."""
    with pytest.raises(ValueError, match="'llm', 'http'"):
        recommended("lmm", Load(), MACHINE)
