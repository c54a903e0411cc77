"""Fields of a request, taken out with their type; what does not fit is said with its path."""

import math
from typing import Final, NoReturn

from holdfast.testing.model_server._dialects.errors import ApiError, Kind
from holdfast.testing.model_server._jsontext import Json, JsonObject

__all__ = (
    "MOST_TOKENS",
    "flag",
    "items",
    "model_name",
    "number_between",
    "object_",
    "refuse",
    "text",
    "text_list",
    "tokens",
)

# What the model itself can say at most, whatever is asked for.
MOST_TOKENS: Final = 4096


def refuse(where: str, message: str) -> NoReturn:
    """Raise the error that says ``message`` about the field ``where``."""
    msg = f"{where}: {message}"
    raise ApiError(Kind.INVALID, msg, param=where)


def object_(value: Json, where: str) -> JsonObject:
    """Return ``value`` if it is an object."""
    if not isinstance(value, dict):
        refuse(where, "must be an object")
    return value


def items(value: Json, where: str) -> list[Json]:
    """Return ``value`` if it is a list; null is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        refuse(where, "must be a list")
    return value


def text(value: Json, where: str) -> str:
    """Return ``value`` if it is a text."""
    if not isinstance(value, str):
        refuse(where, "must be a string")
    return value


def flag(value: Json, where: str) -> bool:
    """Return ``value`` if it is true or false; null is false."""
    if value is None:
        return False
    if not isinstance(value, bool):
        refuse(where, "must be true or false")
    return value


def text_list(value: Json, where: str) -> tuple[str, ...]:
    """Return a list of texts, none of them empty; null is an empty list."""
    found = tuple(text(one, f"{where}.{place}") for place, one in enumerate(items(value, where)))
    if "" in found:
        refuse(where, "must not hold an empty string")
    return found


def tokens(value: Json, where: str, *, least: int) -> int:
    """Return a number of tokens of at least ``least``, and at most what the model can say."""
    if isinstance(value, bool) or not isinstance(value, int):
        refuse(where, "must be a whole number")
    if value < least:
        refuse(where, f"must be at least {least}, not {value}")
    return min(value, MOST_TOKENS)


def number_between(body: JsonObject, name: str, low: float, high: float) -> None:
    """Refuse a number outside ``low`` to ``high``; it may be missing."""
    value = body.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        refuse(name, "must be a number")
    if not low <= value <= high:
        refuse(name, f"must be from {low:g} to {high:g}, not {value}")


def model_name(body: JsonObject) -> str:
    """Return the name of the model; any will do, but there must be one."""
    name = text(body["model"], "model") if "model" in body else ""
    if not name:
        refuse("model", "field required")
    return name
