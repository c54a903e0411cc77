"""The lines of OUTPUT."""

import json
import math

import pytest
from hypothesis import given, strategies as st

from holdfast.cli.map.item import Item
from holdfast.cli.map.record import (
    LONGEST_MESSAGE,
    NotJSONError,
    error_line,
    parse_line,
    value_line,
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
any_text = st.text(st.characters(codec=None, exclude_categories=[]))  # half surrogates, too


def an_item(index=3, key='"4:aa"'):
    """An item as the intake would make it."""
    return Item(index, 4, key, None)


def test_a_value_line_has_the_documented_fields_in_their_order():
    """The order is part of what people see."""
    line = value_line(an_item(), {"a": "ä"}, 2, 0.5)

    assert (
        line
        == (
            '{"index": 3, "key": "4:aa", "value": {"a": "ä"}, "attempts": 2, "seconds": 0.500000}\n'
        ).encode()
    )


def test_an_error_line_has_the_documented_fields_in_their_order():
    """An error says its type and its message."""
    line = error_line(an_item(), "ValueError", 'no "x"', 1, 0.25)

    assert line == (
        b'{"index": 3, "key": "4:aa", "error": {"type": "ValueError", "message": "no \\"x\\""}, '
        b'"attempts": 1, "seconds": 0.250000}\n'
    )


@given(any_text)
def test_any_text_makes_one_line_of_json(text):
    """Line ends, quotes, half surrogates: one line, and the same text when it is read back."""
    done = value_line(an_item(), text, 1, 0.0)
    failed = error_line(an_item(), "E", text, 1, 0.0)

    assert json.loads(done)["value"] == text
    assert json.loads(failed)["error"]["message"] == text
    assert done.count(b"\n") == failed.count(b"\n") == 1


@given(json_values)
def test_a_written_line_is_known_again(value):
    """What one run writes the next one reads."""
    old = parse_line(value_line(an_item(), value, 1, 0.0))

    assert old is not None
    assert (old.key, old.failed, old.unread) == ("4:aa", False, False)


def circular():
    """A list that holds itself."""
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ({1, 2}, "set"),
        (b"bytes", "bytes"),
        (object(), "object"),
        (math.nan, "Out of range"),
        ([math.inf], "Out of range"),
        (circular(), "Circular"),
        ({(1, 2): 3}, "keys"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_reason(value, part):
    """NaN and infinity are not JSON either."""
    with pytest.raises(NotJSONError, match=part):
        value_line(an_item(), value, 1, 0.0)


def test_a_coroutine_as_value_says_what_to_do():
    """A plain function that returns a coroutine is a mistake that is easily made."""

    async def later():
        """Never awaited."""

    with pytest.raises(NotJSONError, match="async def"):
        value_line(an_item(), later(), 1, 0.0)


def test_a_long_message_is_cut_and_says_so():
    """An exception that carries a whole web page does not fill OUTPUT."""
    line = json.loads(error_line(an_item(), "E", "x" * 100_000, 1, 0.0))

    message = line["error"]["message"]
    assert len(message) < LONGEST_MESSAGE + 100
    assert message.endswith("(100,000 characters in all)")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"7",
        b"{",
        b"{}",
        b'{"index": 1}',
        b'{"index": 1, "key": "a"}',
        b'{"index": "1", "key": "a", "value": 1}',
        b'{"index": 1, "key": "a", "value": 1, "error": {}}',
        b'{"index": 1, "key": "a", "value": 1} x',
        b"\xff",
        b"\x00" * 50,
        b"[" * 100_000,
    ],
)
def test_other_lines_are_not_held_for_ours(raw):
    """A file of something else must not be resumed from, nor mended."""
    assert parse_line(raw) is None


def test_a_line_that_was_never_run_is_told_from_a_failure():
    """No attempt was made: the line could not be read."""
    unread = parse_line(error_line(an_item(), "BadInput", "m", 0, 0.0))
    failed = parse_line(error_line(an_item(), "BadInput", "m", 1, 0.0))

    assert unread is not None
    assert unread.unread
    assert failed is not None
    assert (failed.failed, failed.unread) == (True, False)
