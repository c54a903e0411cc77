"""Values that fit a schema."""

import pytest
from hypothesis import given, strategies as st

from holdfast.testing.model_server._answers.schema import fitting
from holdfast.testing.model_server._jsontext import read, write


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "asked"),
        ({"type": "string", "maxLength": 3}, "ask"),
        ({"type": "string", "minLength": 7}, "asked.."),
        ({"type": "string", "format": "date"}, "2024-01-01"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "integer", "exclusiveMaximum": 1}, 0),
        ({"type": "integer", "minimum": 3, "multipleOf": 5}, 5),
        ({"type": "number", "minimum": 0.25, "maximum": 0.5}, 0.5),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "integer"]}, 1),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, [1, 1, 1]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 0}, []),
        ({"enum": ["a", "b"]}, "a"),
        ({"const": 7}, 7),
        ({"type": "string", "default": "d"}, "d"),
        ({"type": "string", "examples": ["e"]}, "e"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"oneOf": [{"const": 1}, {"const": 2}]}, 1),
        (
            {"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]},
            {"a": 1, "b": 2},
        ),
        ({}, "asked"),
        ({"type": "object"}, {}),
        ({"type": "object", "required": ["x"]}, {"x": "asked"}),
        ({"$ref": "#/$defs/N", "$defs": {"N": {"$ref": "#/$defs/M"}, "M": {"const": 3}}}, 3),
        ({"$ref": "#/nowhere"}, "asked"),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": 4}}}, 4),
    ],
)
def test_a_value_fits_its_schema(schema, value):
    """Each keyword is met, with the first value that is allowed."""
    assert fitting(schema, "asked") == value


def test_optional_properties_are_filled_in_too():
    """A tool is shown all its arguments."""
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
        "required": ["city"],
    }

    assert fitting(schema, "Paris?") == {"city": "Paris?", "days": 2}


def test_a_schema_that_holds_itself_ends():
    """A tree of nodes is filled to a depth, and then with what is required."""
    node = {
        "type": "object",
        "properties": {"next": {"$ref": "#/$defs/node"}, "n": {"type": "integer"}},
    }

    value = fitting({"$defs": {"node": node}, "$ref": "#/$defs/node"}, "x")

    assert isinstance(value, dict)
    assert value["n"] == 1
    assert write(value).count("next") < 20


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}] * 100}}, "$ref": "#/$defs/A"},
        {
            "$defs": {"B": {"type": "array", "minItems": 999, "items": {"$ref": "#/$defs/B"}}},
            "$ref": "#/$defs/B",
        },
        {"type": "number", "multipleOf": 1e-320, "minimum": 1e300},
        {"type": "integer", "minimum": 10**400, "multipleOf": 0.1},
        {"type": "string", "minLength": 10**12},
    ],
)
def test_a_schema_made_to_explode_does_not(schema):
    """References that multiply and numbers beyond all bounds cost little and raise nothing."""
    assert len(write(fitting(schema, "x"))) < 2_000_000


leaves = st.sampled_from(
    [None, True, 0, -1, 2.5, "", "string", "object", "array", "integer", "null", "#", "#/a"]
)
KEYWORDS = (
    *("type", "properties", "required", "items", "enum", "const", "default", "anyOf", "oneOf"),
    *("allOf", "$ref", "minimum", "maximum", "multipleOf", "minLength", "maxLength", "minItems"),
    *("format", "a"),
)
words = st.sampled_from(KEYWORDS)
schemas = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(words, schemas, max_size=5))
def test_any_schema_gives_a_value_that_is_json(schema):
    """Nonsense in a schema is passed over, not raised."""
    value = fitting(schema, "x")

    assert read(write(value).encode()) == value
