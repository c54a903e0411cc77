"""What an item is called in OUTPUT, so that a later run finds it again.

By default the number of its line and a hash of its bytes: unique in one input, and a line that was
edited is another item. With ``--key FIELD`` it is that field's value: stable when lines are added,
moved or edited.
"""

import json
import re
from hashlib import blake2b
from typing import Any

__all__ = ("FieldKey", "digest", "key_text", "line_key", "looks_like_line_key")

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_KEY_TYPES = {str, int, float}
_KINDS = {"dict": "an object", "list": "a list", "bool": "true or false", "NoneType": "null"}
_LINE_KEY = re.compile(r"[1-9][0-9]*:[0-9a-f]{16}")


def line_key(line: int, raw: bytes) -> str:
    """Return the default key, as JSON text: ``"17:9f86d081884c7d65"``.

    Args:
        line: Number of the line, from 1.
        raw: The line's bytes without its end.
    """
    return f'"{line}:{blake2b(raw, digest_size=8).hexdigest()}"'


def looks_like_line_key(key: object) -> bool:
    """Whether ``key``, read from an OUTPUT, was made by :func:`line_key`."""
    return isinstance(key, str) and _LINE_KEY.fullmatch(key) is not None


def key_text(key: object) -> str:
    """Return ``key`` as the JSON text by which it is compared.

    Raises:
        ValueError: It is neither a string nor a number; the message says what it is.
    """
    if key.__class__ in _KEY_TYPES:
        return _encode(key)
    kind = _KINDS.get(type(key).__name__, type(key).__name__)
    msg = f"{kind}; a key has to be a string or a number"
    raise ValueError(msg)


def digest(key: str) -> bytes:
    """Return the 16 bytes that stand for ``key`` (JSON text) in memory."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class FieldKey:
    """Takes the key out of a decoded item.

    Args:
        path: Name of a field, or names with dots between them for fields of fields; a number
            steps into a list. A field whose own name has the dots is found first.

    Example:
        >>> FieldKey("ticket.id").of({"ticket": {"id": 7}})
        '7'
    """

    __slots__ = ("_steps", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._steps = path.split(".")

    def of(self, value: Any) -> str:
        """Return the key of ``value`` as JSON text.

        Raises:
            ValueError: There is no such field, or it holds no string and no number.
        """
        try:
            found = self._find(value)
        except (KeyError, IndexError, TypeError, ValueError):
            msg = f"has no field {self.path!r} for its key"
            raise ValueError(msg) from None
        try:
            return key_text(found)
        except ValueError as error:
            msg = f"its key {self.path!r} is {error}"
            raise ValueError(msg) from None

    def _find(self, value: Any) -> Any:
        if value.__class__ is dict and self.path in value:
            return value[self.path]
        for step in self._steps:
            kind: object = value.__class__
            if kind is not list and kind is not dict:
                raise KeyError(step)
            value = value[int(step) if kind is list else step]
        return value
