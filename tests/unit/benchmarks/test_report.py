"""The tables."""

from benchmarks.report import table


def test_columns_are_aligned_words_left_and_figures_right():
    """So that it reads well in a terminal as well as in Markdown."""
    rows = [["variant", "CPU", "verdict"], ["ours", "1.00 µs", "met"], ["another", "-", "missed"]]

    assert table(rows) == [
        "| variant |     CPU | verdict |",
        "| ------- | ------: | ------- |",
        "| ours    | 1.00 µs | met     |",
        "| another |       - | missed  |",
    ]


def test_the_first_column_is_of_words_even_where_it_begins_with_a_digit():
    """Like "1 ms sleeps"."""
    lines = table([["work", "x"], ["1 ms", "2"], ["256 at once", "3"]])

    assert lines[2] == "| 1 ms        | 2 |"


def test_a_bar_in_a_cell_does_not_open_a_column():
    """It is escaped."""
    assert table([["a"], ["x|y"]])[2] == "| x\\|y |"
