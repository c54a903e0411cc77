"""JSON with types: what a request may hold, and one way to read and to write it."""

import json
from typing import TypeAlias

__all__ = ("Json", "JsonObject", "read", "write")

Json: TypeAlias = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
JsonObject: TypeAlias = dict[str, Json]


def _refuse_constant(name: str) -> None:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


# Made once: json.loads and json.dumps build a new one for every call that has options.
_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def read(data: bytes) -> Json:
    """Read one JSON text in UTF-8.

    Raises:
        ValueError: It is not UTF-8, not JSON, or nested too deep to be read.
    """
    try:
        value: Json = _decoder.decode(data.decode("utf-8"))
    except RecursionError:
        msg = "nested too deep"
        raise ValueError(msg) from None
    return value


def write(value: Json) -> str:
    """Write ``value`` as one line of ASCII, so that any cut of it can be sent as it is."""
    return _encoder.encode(value)
