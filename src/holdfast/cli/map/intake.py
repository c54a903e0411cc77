"""From raw lines to items: decoding, keys, what is done already, and what can't be read.

Guarantees: every line that is not blank gets one index, whatever becomes of it, so that indexes are
the same in every run over the same input; no two items of a run have one key.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from holdfast.cli.map.item import Item
from holdfast.cli.map.key import FieldKey, digest, line_key
from holdfast.cli.map.resume import Past
from holdfast.cli.map.table import KeyTable

__all__ = ("BadLineError", "Intake")

_BOM = b"\xef\xbb\xbf"


class BadLineError(ValueError):
    """A line that can't be read; the message is what is wrong with it, without saying where."""


@dataclass(slots=True)
class Intake:
    """Turns one line after the other into an item, or into nothing.

    Attributes:
        name: What the input is called in messages.
        raw: Whether the item is the line itself, as text.
        key: Takes the key out of an item; None for line number and hash.
        skip_bad: Whether a line that can't be read becomes an item of its own instead of an error.
        past: What an earlier run has settled, or None.
        lines: Lines taken so far, blank ones included.
        taken_bytes: Bytes of these lines, their ends counted as one each.
        seen: Items among them, those that can't be read included if ``skip_bad`` is on.
        skipped_done: Items that the earlier run had done.
        skipped_failed: Items that had failed in the earlier run and are left at that.
    """

    name: str
    raw: bool = False
    key: FieldKey | None = None
    skip_bad: bool = False
    past: Past | None = None
    lines: int = 0
    taken_bytes: int = 0
    seen: int = 0
    skipped_done: int = 0
    skipped_failed: int = 0
    _lines_by_key: KeyTable | None = None

    def take(self, line: bytes) -> Item | None:
        """Return the item of the next line; None if it is blank, or settled by an earlier run.

        Args:
            line: The line's bytes, without its end.

        Raises:
            BadLineError: The line can't be read, and ``skip_bad`` is off.
        """
        self.lines += 1
        self.taken_bytes += len(line) + 1
        if self.lines == 1 and line.startswith(_BOM):
            line = line[len(_BOM) :]
        if not line or line.isspace():
            return None
        index = self.seen
        self.seen += 1
        try:
            return self._by_field(index, line) if self.key else self._by_line(index, line)
        except BadLineError as error:
            if not self.skip_bad:
                self.seen = index  # the input ends before it
                raise
            # Its line is the only name it has for sure.
            return Item(index, self.lines, line_key(self.lines, line), None, str(error))

    def _by_line(self, index: int, line: bytes) -> Item | None:
        key = line_key(self.lines, line)
        if self.past is not None and self._is_settled(digest(key)):
            return None
        return Item(index, self.lines, key, self._decode(line))

    def _by_field(self, index: int, line: bytes) -> Item | None:
        value = self._decode(line)
        try:
            key = self.key.of(value) if self.key else line_key(self.lines, line)
        except ValueError as error:
            raise BadLineError(str(error)) from None
        hashed = digest(key)
        self._reject_duplicate(key, hashed)
        if self.past is not None and self._is_settled(hashed):
            return None
        return Item(index, self.lines, key, value)

    def _reject_duplicate(self, key: str, hashed: bytes) -> None:
        if self._lines_by_key is None:
            self._lines_by_key = KeyTable()
        first = self._lines_by_key.get(hashed)
        if first is not None:
            msg = f"has the key {key}, which line {first} has already; keys must differ"
            raise BadLineError(msg)
        self._lines_by_key.put(hashed, self.lines)

    def _is_settled(self, hashed: bytes) -> bool:
        state = self.past.state(hashed) if self.past else None
        if state is None:
            return False
        if state:
            self.skipped_done += 1
        else:
            self.skipped_failed += 1
        return True

    def _decode(self, line: bytes) -> Any:
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise BadLineError(_not_utf8(line, error)) from None
        if self.raw:
            return text
        try:
            return _decode_json(text)
        except json.JSONDecodeError as error:
            msg = f"is not JSON: {error.msg} at column {error.colno}"
            raise BadLineError(msg) from None
        except ValueError as error:
            msg = f"is not JSON: {error}"
            raise BadLineError(msg) from None
        except RecursionError:
            msg = "is not JSON that Python can read: it is nested too deeply"
            raise BadLineError(msg) from None


def _not_utf8(line: bytes, error: UnicodeDecodeError) -> str:
    hint = "; it looks like UTF-16" if line.startswith((b"\xff\xfe", b"\xfe\xff")) else ""
    return f"is not UTF-8: byte 0x{line[error.start]:02x} at column {error.start + 1}{hint}"


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is not a JSON value"
    raise ValueError(msg)


_decode_json: Callable[[str], Any] = json.JSONDecoder(parse_constant=_no_constant).decode
