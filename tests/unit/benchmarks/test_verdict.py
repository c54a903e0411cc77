"""Ratios, differences, and on which side of the bar they are."""

import dataclasses
import math

import pytest
from benchmarks.sample import Sample
from benchmarks.targets import Comparison, Target
from benchmarks.verdict import judge, number

FIGURE = "each_cpu_s"


def _target(
    comparison: Comparison, *, must: float, aim: float, peer: str | None = "peer"
) -> Target:
    return Target(
        claim="claim",
        case="case",
        work="work",
        ours="ours",
        peer=peer,
        comparison=comparison,
        must=must,
        aim=aim,
    )


def _samples(*values: float) -> list[Sample]:
    return [Sample(round_, 0, 1, [], {FIGURE: value}) for round_, value in enumerate(values)]


@pytest.mark.parametrize(
    ("ours", "word"),
    [(2.0, "aim met"), (2.5, "aim met"), (2.51, "met"), (5.0, "met"), (5.01, "missed")],
)
def test_faster_is_how_often_ours_fits_into_the_peers(ours: float, word: str):
    """At 10 against ours, the bars of 2 and 4 times lie at 5 and 2.5; a bar itself is reached."""
    target = _target("faster", must=2, aim=4)

    verdict = judge(target, {"ours": _samples(ours), "peer": _samples(10.0)})

    assert verdict.measured == 10.0 / ours
    assert verdict.word == word


@pytest.mark.parametrize(
    ("ours", "word"),
    [(13.0, "aim met"), (13.1, "met"), (16.0, "met"), (16.1, "missed")],
)
def test_cost_is_ours_over_the_peers(ours: float, word: str):
    """At most so many times as much; a bar itself is reached."""
    target = _target("cost", must=1.6, aim=1.3)

    verdict = judge(target, {"ours": _samples(ours), "peer": _samples(10.0)})

    assert verdict.measured == ours / 10.0
    assert verdict.word == word


def test_more_is_the_difference():
    """At most so much more than the peer."""
    target = _target("more", must=4.0, aim=1.0)

    verdict = judge(target, {"ours": _samples(7.0), "peer": _samples(5.0)})

    assert verdict.measured == 2.0
    assert verdict.word == "met"


def test_a_value_stands_for_itself():
    """Without a peer."""
    target = _target("value", must=4.0, aim=1.0, peer=None)

    verdict = judge(target, {"ours": _samples(5.0)})

    assert verdict.measured == 5.0
    assert verdict.word == "missed"


def test_added_compares_what_each_adds_to_its_own_base():
    """The peer adds 5 to 1, ours adds 0.5 to 2: ten times cheaper."""
    target = dataclasses.replace(
        _target("added", must=10, aim=30), ours_base="plain", peer_base="bare"
    )

    found = number(target, {"ours": 2.5, "plain": 2.0, "peer": 6.0, "bare": 1.0})

    assert found == 10.0


def test_an_addition_lost_in_the_noise_has_no_upper_bound():
    """Nothing, or less than nothing, was added: cheaper than can be told."""
    target = dataclasses.replace(
        _target("added", must=10, aim=30), ours_base="plain", peer_base="bare"
    )

    found = number(target, {"ours": 1.9, "plain": 2.0, "peer": 6.0, "bare": 1.0})

    assert math.isinf(found)


def test_the_verdict_is_on_medians_and_the_span_is_of_single_rounds():
    """A disturbed round widens the span, and does not change the verdict."""
    target = _target("faster", must=2, aim=4)
    samples = {"ours": _samples(1.0, 1.0, 1.0), "peer": _samples(5.0, 1.0, 6.0)}

    verdict = judge(target, samples)

    assert (verdict.measured, verdict.low, verdict.high) == (5.0, 1.0, 6.0)
    assert verdict.word == "aim met"


def test_a_round_that_lacks_a_variant_is_not_in_the_span():
    """There is nothing to compare it with."""
    target = _target("faster", must=2, aim=4)
    samples = {"ours": _samples(1.0, 0.001), "peer": _samples(5.0)}

    verdict = judge(target, samples)

    assert (verdict.low, verdict.high) == (5.0, 5.0)


@pytest.mark.parametrize(
    "samples", [{}, {"ours": _samples(1.0)}, {"ours": _samples(1.0), "peer": []}]
)
def test_what_was_not_run_is_not_judged(samples: dict[str, list[Sample]]):
    """A peer may be missing, or a case left out."""
    verdict = judge(_target("faster", must=2, aim=4), samples)

    assert verdict.word == "not run"
    assert verdict.measured is None
