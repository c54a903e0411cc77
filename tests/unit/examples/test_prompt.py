"""What the model gets to read."""

from harvest import Entry
from prompt import LONGEST_DOC, make_prompt, shorten, without_examples


def test_the_entries_come_in_their_order_and_the_question_last():
    """Each under its full name and with its parameters."""
    entries = [
        Entry("statistics.median", "function", "(data)", "Return the median."),
        Entry("statistics", "module", "", "Basic statistics."),
    ]

    prompt = make_prompt(" How do I find the median? ", entries)

    assert prompt == (
        "<documents>\n"
        "<document>\nstatistics.median(data) (function)\n\nReturn the median.\n</document>\n"
        "<document>\nstatistics (module)\n\nBasic statistics.\n</document>\n"
        "</documents>\n\n"
        "Question: How do I find the median?"
    )


def test_a_question_that_found_nothing_is_asked_all_the_same():
    """The model is told to say that nothing answers it."""
    assert make_prompt("How?", []) == "<documents>\n\n</documents>\n\nQuestion: How?"


def test_a_long_text_is_cut():
    """Five entries can't fill the model's window."""
    entry = Entry("m", "module", "", "word " * 10_000)

    prompt = make_prompt("How?", [entry] * 5)

    assert len(prompt) < 5 * (LONGEST_DOC + 50)


def test_a_text_is_cut_between_two_lines_or_words():
    """No half word stands at its end."""
    assert shorten("a first line\nand a second", 20) == "a first line ..."
    assert shorten("some words that go on", 18) == "some words ..."
    assert shorten("x" * 30, 20) == f"{'x' * 16} ..."
    assert shorten("short", 20) == "short"


def test_examples_are_left_out():
    """Unless there is nothing else."""
    assert without_examples("Sort it.\n\n    >>> sort([2, 1])\n    [1, 2]\n\nMore.") == "Sort it."
    assert without_examples(">>> only()") == ">>> only()"
