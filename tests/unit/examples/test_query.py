"""From a question to the words that are looked for."""

import sqlite3

import query
from hypothesis import given, strategies as st


def test_the_words_of_every_question_are_dropped():
    """What is left says what the question is about."""
    words = query.words_of("How do I find the median of a list of numbers?")

    assert words == ["median", "list", "numbers"]


def test_a_question_of_nothing_but_fillers_keeps_them():
    """Something is better than nothing to look for."""
    assert query.words_of("What is this?") == ["what", "is", "this"]


def test_each_word_is_looked_for_once_however_often_it_stands_there():
    """Repeating a word does not make it weigh more."""
    assert query.words_of("sort SORT Sort") == ["sort"]


def test_a_pasted_page_is_cut():
    """The query has a bound."""
    words = query.words_of(" ".join(f"word{number}" for number in range(1_000)))

    assert len(words) == query.LONGEST


def test_the_documentations_own_words_count_half():
    """The question's word stands twice in the query, the other one once."""
    expression = query.match_expression("folder")

    assert expression.count('"folder"') == 2
    assert expression.count('"directory"') == 1


def test_no_words_give_no_query():
    """There is nothing to look for in a row of signs."""
    assert query.match_expression("?!... --") == ""


def test_names_are_spelled_as_words():
    """A name is found by the words it is made of."""
    assert query.name_words("read_text") == "read text"
    assert query.name_words("http.client.HTTPConnection") == "http client HTTP Connection"


@given(st.text(max_size=200))
def test_any_text_makes_a_query_that_the_index_understands(text):
    """Quotes, operators and column names of the query language are words like others."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE words USING fts5(leaf)")

        expression = query.match_expression(f'{text} AND "leaf: NEAR(')

        connection.execute("SELECT * FROM words WHERE words MATCH ?", (expression,)).fetchall()
    finally:
        connection.close()
