"""What can be said of a database when it is opened, checked once."""

import os
import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from holdfast._core import check
from holdfast.track._site import Site

__all__ = ("Options", "Synchronous", "options")

Synchronous = Literal["full", "normal"]
RowFactory = Callable[[sqlite3.Cursor, tuple[Any, ...]], Any]

_PRAGMA: Final = re.compile(r"[a-z_]+")
_OURS: Final = frozenset({"journal_mode", "synchronous", "busy_timeout", "query_only"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The arguments of :func:`holdfast.track.sqlite.sqlite`, after the checks."""

    path: Path
    name: str
    max_readers: int
    max_queue: int
    overflow: str
    queue_timeout: float | None
    timeout: float | None
    busy_timeout: float
    transaction_timeout: float
    synchronous: str
    read_only: bool
    inline_reads: bool
    schema: str | None
    row_factory: RowFactory | None
    on_connect: Callable[[sqlite3.Connection], object] | None
    pragmas: tuple[tuple[str, str | int], ...]
    where: Site


def options(  # noqa: PLR0913 - what can be said of a database, keyword-only
    path: "str | os.PathLike[str]",
    *,
    name: str | None,
    max_readers: int,
    max_queue: int,
    overflow: str,
    queue_timeout: float | None,
    timeout: float | None,
    busy_timeout: float,
    transaction_timeout: float,
    synchronous: str,
    read_only: bool,
    inline_reads: bool,
    schema: str | None,
    row_factory: RowFactory | None,
    on_connect: Callable[[sqlite3.Connection], object] | None,
    pragmas: Mapping[str, str | int] | None,
    where: Site,
) -> Options:
    """Check what the user has said.

    Raises:
        ValueError: It can't be.
        TypeError: It is of the wrong kind.
    """
    file = _path(path)
    if read_only and schema is not None:
        msg = "a schema can't be made in a database that is opened read_only; leave out one of them"
        raise ValueError(msg)
    check.choice("synchronous", synchronous, ("full", "normal"))
    check.choice("overflow", overflow, ("wait", "reject"))
    for given, what in ((row_factory, "row_factory"), (on_connect, "on_connect")):
        if given is not None:
            check.callable_(what, given)
    return Options(
        path=file,
        name=file.name if name is None else name,
        max_readers=check.count("max_readers", max_readers, least=1),
        max_queue=check.count("max_queue", max_queue),
        overflow=overflow,
        queue_timeout=check.seconds("queue_timeout", queue_timeout),
        timeout=check.seconds("timeout", timeout),
        busy_timeout=_bound("busy_timeout", busy_timeout),
        transaction_timeout=_bound("transaction_timeout", transaction_timeout),
        synchronous=synchronous,
        read_only=bool(read_only),
        inline_reads=bool(inline_reads),
        schema=schema,
        row_factory=row_factory,
        on_connect=on_connect,
        pragmas=_pragmas(pragmas or {}),
        where=where,
    )


def _path(path: "str | os.PathLike[str]") -> Path:
    text = os.fspath(path)
    if not text or text == ":memory:" or text.startswith("file:"):
        msg = (
            f"path must name a file, not {text!r}: each connection to a database in memory has a "
            "database of its own; for a test, give a file in a temporary folder"
        )
        raise ValueError(msg)
    return Path(os.path.abspath(text))  # noqa: PTH100 - the working directory may change, a link may not


def _bound(name: str, value: float) -> float:
    seconds = check.seconds(name, value)
    if seconds is None:
        msg = f"{name} must be a number of seconds: without it a lock could be waited for for ever"
        raise ValueError(msg)
    return seconds


def _pragmas(pragmas: Mapping[str, str | int]) -> tuple[tuple[str, str | int], ...]:
    for name, value in pragmas.items():
        if not _PRAGMA.fullmatch(name) or name in _OURS:
            msg = (
                f"pragma {name!r} can't be set here; {', '.join(sorted(_OURS))} are the database's own, "
                "and a pragma's name is small letters and underscores"
            )
            raise ValueError(msg)
        if isinstance(value, bool) or not isinstance(value, int | str):  # pyright: ignore[reportUnnecessaryIsInstance] - users are not type checkers
            msg = f"pragma {name!r} must be a number or a word, not {value!r}"
            raise TypeError(msg)
        if isinstance(value, str) and not re.fullmatch(r"[A-Za-z0-9_]+", value):
            msg = f"pragma {name!r} must be a number or one word, not {value!r}"
            raise ValueError(msg)
    return tuple(pragmas.items())
