"""The lines of OUTPUT: how they are written, and how they are told from anything else."""

import inspect
import json
from typing import Any, NamedTuple

from holdfast.cli.map.item import Item

__all__ = (
    "BAD_INPUT",
    "NotJSONError",
    "OldLine",
    "error_line",
    "parse_line",
    "to_json",
    "value_line",
)

BAD_INPUT = "BadInput"
LONGEST_MESSAGE = 4000

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_decode = json.JSONDecoder().raw_decode
_encode_ascii = json.JSONEncoder(ensure_ascii=True, allow_nan=False).encode


class NotJSONError(ValueError):
    """The function returned something that JSON can't hold."""


def to_json(value: Any) -> str:
    """Return ``value`` as JSON text.

    Raises:
        NotJSONError: It is nothing that JSON can hold; the message says why.
    """
    try:
        return _encode(value)
    except Exception as error:  # a subclass of dict or list may raise anything here
        raise NotJSONError(_why_not_json(value, error)) from error


def value_line(item: Item, value: Any, attempts: int, seconds: float) -> bytes:
    """Return the line of an item that was done, its end included.

    Raises:
        NotJSONError: ``value`` is nothing that JSON can hold; the message says why.
    """
    body = f'"value": {to_json(value)}'
    try:
        return _line(item, body, attempts, seconds).encode()
    except UnicodeEncodeError:  # half of a surrogate pair: only an escape can say it
        return _line(item, f'"value": {_encode_ascii(value)}', attempts, seconds).encode()


def error_line(item: Item, kind: str, message: str, attempts: int, seconds: float) -> bytes:
    """Return the line of an item that failed, its end included; a long message is cut."""
    if len(message) > LONGEST_MESSAGE:
        message = f"{message[:LONGEST_MESSAGE]}… ({len(message):,} characters in all)"
    error = {"type": kind, "message": message}
    body = f'"error": {_encode(error)}'
    try:
        return _line(item, body, attempts, seconds).encode()
    except UnicodeEncodeError:
        return _line(item, f'"error": {_encode_ascii(error)}', attempts, seconds).encode()


def _line(item: Item, body: str, attempts: int, seconds: float) -> str:
    return (
        f'{{"index": {item.index}, "key": {item.key}, {body}, '
        f'"attempts": {attempts}, "seconds": {seconds:.6f}}}\n'
    )


def _why_not_json(value: Any, error: Exception) -> str:
    if inspect.iscoroutine(value):
        value.close()  # it will never be awaited, and need not warn of that
        return (
            "the function returned a coroutine but is not an `async def`; "
            "wrap it in one that awaits it"
        )
    return f"the function returned a value that JSON can't hold: {error}"


class OldLine(NamedTuple):
    """What a later run needs to know of a line in OUTPUT.

    Attributes:
        key: The item's key, decoded.
        failed: Whether it holds an error.
        unread: Whether the item never ran because its line could not be read.
    """

    key: object
    failed: bool
    unread: bool


def parse_line(raw: bytes) -> OldLine | None:
    """Read a line that an earlier run wrote, with or without its end; None if no run wrote it."""
    try:
        text = raw.decode()
        record, end = _decode(text)
        if text[end:] not in {"", "\n"}:
            return None
        if not isinstance(record["index"], int) or ("value" in record) == ("error" in record):
            return None
        failed = "error" in record
        return OldLine(record["key"], failed, failed and record["attempts"] == 0)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
