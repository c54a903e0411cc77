"""The bars, and that there is something behind each."""

import pytest
from benchmarks.command import claims
from benchmarks.targets import TARGETS, Target


def _name(target: Target) -> str:
    return f"{target.claim}-{target.case}-{target.figure}-{target.peer}"


@pytest.mark.parametrize("target", TARGETS, ids=_name)
def test_a_target_names_variants_of_a_case_that_exists(target: Target):
    """A renamed variant would leave its bar without a verdict."""
    case = claims()[target.claim].cases[target.case]

    assert set(target.variants) <= set(case.variants)
    assert case.variants[target.ours].ours


@pytest.mark.parametrize("target", TARGETS, ids=_name)
def test_the_aim_is_at_least_as_high_as_the_bar(target: Target):
    """On the side that is better."""
    if target.at_least:
        assert target.aim >= target.must
    else:
        assert target.aim <= target.must


def test_every_case_has_a_variant_of_ours_to_compare_with():
    """The table's ratios are relative to it."""
    cases = [case for claim in claims().values() for case in claim.cases.values()]

    assert all(case.variants[case.reference].ours for case in cases)
