"""A value that fits a JSON schema, the same one every time.

Covers what tool and output schemas use: types, properties, ``enum``, ``const``, ``default``,
``examples``, ``anyOf``, ``oneOf``, ``allOf``, local ``$ref``, and the bounds of numbers, lists and
texts. Of a ``pattern`` it knows nothing.
"""

import math
from typing import Final

from holdfast.testing.model_server._jsontext import Json, JsonObject

__all__ = ("fitting",)

# Below it only required properties are filled in; a schema that requires itself ends at twice that.
_DEEP: Final = 6
_LONGEST: Final = 1_000_000
_MOST_ITEMS = 1000
# References can multiply what a small schema asks for; past so many steps null stands for the rest.
_MOST_WORK: Final = 20_000

_FORMATS = {
    "date": "2024-01-01",
    "date-time": "2024-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def fitting(schema: JsonObject, text: str) -> Json:
    """Return a value that fits ``schema``, with ``text`` wherever a free text is called for."""
    return _Filler(schema, text).fill(schema, 0)


class _Filler:
    def __init__(self, root: JsonObject, text: str) -> None:
        self._root = root
        self._text = text
        self._left = _MOST_WORK

    def fill(self, given: Json, depth: int) -> Json:
        self._left -= 1
        if not isinstance(given, dict) or depth > 2 * _DEEP or self._left < 0:
            return None
        schema = self._resolved(given, depth)
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        for key in ("enum", "examples"):
            listed = schema.get(key)
            if isinstance(listed, list) and listed:
                return listed[0]
        for key in ("anyOf", "oneOf"):
            choices = schema.get(key)
            if isinstance(choices, list) and choices:
                rest: JsonObject = {name: value for name, value in schema.items() if name != key}
                # An optional argument is better shown than left out.
                chosen = next((one for one in choices if one != {"type": "null"}), choices[0])
                return self.fill(self._merged([rest, chosen]), depth + 1)
        return self._fill_type(_type_of(schema), schema, depth)

    def _resolved(self, schema: JsonObject, depth: int) -> JsonObject:
        """Put what ``$ref`` and ``allOf`` point to in their place; a ring ends by its depth."""
        self._left -= 1
        reference, every = schema.get("$ref"), schema.get("allOf")
        pointed = [self._look_up(reference)] if isinstance(reference, str) else []
        pointed += every if isinstance(every, list) else []
        if not pointed:
            return schema
        parts: list[Json] = [
            {name: value for name, value in schema.items() if name not in {"$ref", "allOf"}}
        ]
        parts += (
            self._resolved(part, depth + 1)
            for part in pointed
            if isinstance(part, dict) and depth <= 2 * _DEEP and self._left > 0
        )
        return self._merged(parts)

    def _merged(self, parts: list[Json]) -> JsonObject:
        """Put schemas together: properties and required names add up, else the first counts."""
        whole: JsonObject = {}
        for part in parts:
            for name, value in part.items() if isinstance(part, dict) else ():
                before = whole.get(name)
                self._left -= 1 + (len(value) if isinstance(value, (dict, list)) else 0)
                if isinstance(before, dict) and isinstance(value, dict):
                    whole[name] = {**value, **before}
                elif name == "required" and isinstance(before, list) and isinstance(value, list):
                    whole[name] = [*before, *value]
                else:
                    whole.setdefault(name, value)
        return whole

    def _look_up(self, reference: str) -> Json:
        found: Json = self._root
        for step in reference.lstrip("#").strip("/").split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def _fill_type(self, kind: str, schema: JsonObject, depth: int) -> Json:
        if kind == "object":
            return self._fill_object(schema, depth)
        if kind == "array":
            least = _whole(schema.get("minItems"), 1)
            count = min(least, _MOST_ITEMS)
            return [self.fill(schema.get("items"), depth + 1) for _ in range(count)]
        if kind == "string":
            return self._fill_string(schema)
        if kind in {"integer", "number"}:
            return _number(schema, whole=kind == "integer")
        return True if kind == "boolean" else None

    def _fill_object(self, schema: JsonObject, depth: int) -> JsonObject:
        properties = schema.get("properties")
        known = properties if isinstance(properties, dict) else {}
        listed = schema.get("required")
        required = (
            [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
        )
        names = (
            required if depth >= _DEEP else [*known, *(one for one in required if one not in known)]
        )
        return {name: self.fill(known.get(name, {"type": "string"}), depth + 1) for name in names}

    def _fill_string(self, schema: JsonObject) -> str:
        form = schema.get("format")
        if isinstance(form, str) and form in _FORMATS:
            return _FORMATS[form]
        text = self._text[: _whole(schema.get("maxLength"), len(self._text))]
        return text.ljust(min(_whole(schema.get("minLength"), 0), _MOST_ITEMS), ".")


def _type_of(schema: JsonObject) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def _whole(value: Json, otherwise: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return otherwise
    return max(0, min(int(value), _LONGEST))


def _number(schema: JsonObject, *, whole: bool) -> int | float:
    """Return an allowed number near 1, as far as the bounds can be met together."""
    step = abs(_bound(schema, "multipleOf") or (1 if whole else 0.5))
    low, high = _bound(schema, "minimum"), _bound(schema, "maximum")
    above, below = _bound(schema, "exclusiveMinimum"), _bound(schema, "exclusiveMaximum")
    try:
        number = step * max(1, math.floor(1 / step))
        if high is not None and number > high:
            number = math.floor(high / step) * step
        if below is not None and number >= below:
            number = (math.ceil(below / step) - 1) * step
        if low is not None and number < low:
            number = math.ceil(low / step) * step
        if above is not None and number <= above:
            number = (math.floor(above / step) + 1) * step
        return int(number) if whole else number
    except (OverflowError, ValueError):  # bounds or a step beyond what a float can hold
        return 1


def _bound(schema: JsonObject, name: str) -> int | float | None:
    value = schema.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value
