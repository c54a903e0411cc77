"""What items are called."""

import json

import pytest
from hypothesis import given, strategies as st

from holdfast.cli.map.key import FieldKey, digest, key_text, line_key, looks_like_line_key

keys = st.one_of(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))


@given(line=st.integers(1), raw=st.binary())
def test_a_line_key_is_json_and_known_again(line, raw):
    """The default key is a JSON string of the line number and a hash."""
    key = json.loads(line_key(line, raw))

    assert key.startswith(f"{line}:")
    assert looks_like_line_key(key)


def test_the_same_text_in_another_line_has_another_key():
    """Equal lines are different items, and an edited line is another one."""
    assert len({line_key(1, b"x"), line_key(2, b"x"), line_key(1, b"y")}) == 3


@pytest.mark.parametrize("key", ["7", "a:b", "0:0123456789abcdef", "1:0123456789abcdefg", 8, None])
def test_other_keys_are_not_held_for_line_keys(key):
    """Only the very form that ``line_key`` makes counts."""
    assert not looks_like_line_key(key)


@given(keys)
def test_a_key_is_found_again_after_a_trip_through_the_output(key):
    """What is written and read back has the same digest."""
    text = key_text(key)

    assert digest(key_text(json.loads(text))) == digest(text)


@given(st.lists(keys, unique_by=lambda k: (type(k), k)))
def test_different_keys_have_different_digests(some):
    """1 and "1" are two keys, and so are 1 and 1.0."""
    assert len({digest(key_text(key)) for key in some}) == len({key_text(key) for key in some})


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ("id", {"id": 7}, "7"),
        ("id", {"id": "ä"}, '"ä"'),
        ("ticket.id", {"ticket": {"id": 1.5}}, "1.5"),
        ("ticket.id", {"ticket.id": "flat", "ticket": {"id": "deep"}}, '"flat"'),
        ("messages.0.id", {"messages": [{"id": "first"}]}, '"first"'),
        ("0", ["first"], '"first"'),
    ],
)
def test_a_field_is_found_by_its_path(path, value, key):
    """Dots step into objects, numbers into lists, and a name with dots comes first."""
    assert FieldKey(path).of(value) == key


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [
        ("id", {}, "has no field 'id'"),
        ("id", [], "has no field 'id'"),
        ("id", "text", "has no field 'id'"),
        ("0", "text", "has no field '0'"),
        ("a.b", {"a": 1}, "has no field 'a.b'"),
        ("a.5", {"a": [1]}, "has no field 'a.5'"),
        ("id", {"id": None}, "is null"),
        ("id", {"id": True}, "is true or false"),
        ("id", {"id": {}}, "is an object"),
        ("id", {"id": []}, "is a list"),
    ],
)
def test_an_item_without_a_usable_key_says_why(path, value, part):
    """A key is a string or a number."""
    with pytest.raises(ValueError, match="key") as error:
        FieldKey(path).of(value)

    assert part in str(error.value)
