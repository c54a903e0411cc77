"""What can be told of a statement from its text: which verb it begins with, and where a script divides."""

import re
import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

__all__ = ("STANDS_ALONE", "check_statement", "statements", "verb")

_VERB: Final = re.compile(r"(?:\s|;|--[^\n]*(?:\n|$)|/\*.*?\*/)*(\w*)", re.DOTALL)

_OWN: Final = {
    "BEGIN": "db.transaction()",
    "COMMIT": "db.transaction()",
    "END": "db.transaction()",
    "ROLLBACK": "db.transaction()",
    "SAVEPOINT": "tx.savepoint()",
    "RELEASE": "tx.savepoint()",
    "ATTACH": "on_connect=, which sees every connection",
    "DETACH": "on_connect=, which sees every connection",
}

STANDS_ALONE: Final = frozenset({"VACUUM", "PRAGMA"})
"""What SQLite refuses, or ignores, inside of a transaction."""


@lru_cache(maxsize=1024)
def verb(sql: str) -> str:
    """Return the first word of a statement, in capitals; empty if there is none."""
    found = _VERB.match(sql)
    return "" if found is None else found[1].upper()


@lru_cache(maxsize=1024)
def check_statement(sql: str) -> str:
    """Return a statement's verb.

    Raises:
        ValueError: It would begin or end a transaction behind the writer's back.
        TypeError: It is no text.
    """
    if not isinstance(sql, str):  # pyright: ignore[reportUnnecessaryIsInstance] - users are not type checkers
        msg = f"a statement is text, not {sql!r}"  # type: ignore[unreachable] # likewise
        raise TypeError(msg)
    word = verb(sql)
    if word in _OWN:
        msg = (
            f"{word} is not for a statement of its own: transactions belong to the database, which "
            f"commits when a call has succeeded and rolls back when it has not; use {_OWN[word]}"
        )
        raise ValueError(msg)
    return word


def statements(script: str) -> Iterator[str]:
    """Yield the statements of a script, triggers whole.

    Raises:
        ValueError: The last one has no end.
    """
    part = ""
    for piece in re.split(r"(?<=;)", script):
        part += piece
        if sqlite3.complete_statement(part):
            if verb(part):
                yield part
            part = ""
    if verb(part):
        if not sqlite3.complete_statement(part + "\n;"):
            msg = f"the script ends in the middle of a statement: {part.strip()[:80]!r}"
            raise ValueError(msg)
        yield part
