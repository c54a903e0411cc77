"""The order in which variants take turns."""

from benchmarks.interleave import in_turn


def test_every_other_round_goes_the_other_way_round():
    """So that no variant always runs first, or behind the same neighbour."""
    variants = ["a", "b", "c"]

    orders = [in_turn(variants, round_) for round_ in range(4)]

    assert orders == [["a", "b", "c"], ["c", "b", "a"], ["a", "b", "c"], ["c", "b", "a"]]


def test_the_declared_order_is_left_alone():
    """A round reverses a copy."""
    variants = ["a", "b"]

    in_turn(variants, 1)

    assert variants == ["a", "b"]
