"""The count of what became of the items."""

from holdfast.cli.map.tally import MOST_KINDS, MOST_LINES, OTHER_KINDS, Tally


def test_a_new_type_of_error_for_each_item_does_not_fill_the_memory():
    """Past a hundred types they are counted together; known ones go on being counted."""
    tally = Tally()

    for number in range(MOST_KINDS + 50):
        tally.add_failure(f"E{number}")
    tally.add_failure("E0")

    assert tally.failed == MOST_KINDS + 51 == tally.errors.total()
    assert len(tally.errors) == MOST_KINDS + 1
    assert tally.errors[OTHER_KINDS] == 50
    assert tally.errors["E0"] == 2


def test_only_the_first_unfinished_lines_are_kept():
    """They are there to be shown, and a million can't be."""
    tally = Tally()

    for line in range(1000):
        tally.add_unfinished(line)

    assert tally.unfinished == 1000
    assert tally.unfinished_lines == list(range(MOST_LINES))
