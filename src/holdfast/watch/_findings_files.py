"""Findings about files: logs opened again and again, databases, deleted ones, too many of a kind."""

import os
import posixpath
import re
from collections.abc import Iterator
from typing import Final

from holdfast.sense.descriptor_kinds import Descriptor
from holdfast.watch._words import counted, listed, size, tallied
from holdfast.watch.finding import Finding, Severity
from holdfast.watch.look import Look

__all__ = ("extension", "of_files")

# The standard streams may well be one file.
_STANDARD: Final = 2
_LOGS, _READERS, _MANY_READERS = 5, 20, 50
_CONNECTIONS, _MANY_CONNECTIONS = 11, 21
_DELETED, _MANY_DELETED = 10, 50
_DELETED_BYTES, _MANY_DELETED_BYTES = 100 << 20, 1 << 30
_FILES, _MANY_FILES = 100, 256
_DATABASES: Final = (".db", ".db3", ".sqlite", ".sqlite3")
_BESIDE: Final = ("-wal", "-shm", "-journal")


def of_files(look: Look) -> Iterator[Finding]:
    """Yield what files tell."""
    files = [each for each in look.descriptors if each.kind == "file" and each.fd > _STANDARD]
    databases = _databases(files)
    others = [each for each in files if not _belongs(each.target, databases)]
    yield from _connections(databases)
    yield from _logs(look, others)
    yield from _readers(look, others)
    yield from _many(others)
    yield from _deleted(look)


def extension(path: str) -> str:
    """Return what a path ends with, as ``.log``; the words "no extension" without one."""
    return posixpath.splitext(path)[1] or "no extension"


def _databases(files: list[Descriptor]) -> dict[str, int]:
    """How often each SQLite database is open: told by its name, or by the files beside it."""
    paths = tallied(each.target for each in files)
    beside = {path.removesuffix(end) for path in paths for end in _BESIDE if path.endswith(end)}
    return {
        path: count
        for path, count in paths.items()
        if path in beside or os.fspath(path).endswith(_DATABASES)
    }


def _belongs(path: str, databases: dict[str, int]) -> bool:
    return path in databases or any(
        path.endswith(end) and path.removesuffix(end) in databases for end in _BESIDE
    )


def _connections(databases: dict[str, int]) -> Iterator[Finding]:
    often = {path: count for path, count in databases.items() if count >= _CONNECTIONS}
    if not often:
        return
    most = max(often.values())
    yield Finding(
        "warning" if most >= _MANY_CONNECTIONS else "note",
        "sqlite-connections",
        f"{counted(most, 'connection')} to one SQLite database are open.",
        "A connection for each session or thread that is not closed again: a `with` block commits,"
        " and does not close.",
        "Use a pool of a few connections, and close each connection that is made besides.",
        listed(often),
    )


def _logs(look: Look, files: list[Descriptor]) -> Iterator[Finding]:
    written = tallied(each.target for each in files if each.fd in look.appending)
    often = {path: count for path, count in written.items() if count >= _LOGS}
    if not often:
        return
    yield Finding(
        "warning",
        "duplicated-log",
        f"One file is open {max(often.values()):,} times for writing.",
        "A log handler is added at each start of something, and each writes every line once more.",
        "Add handlers once, at the start of the program; close those that are taken away.",
        listed(often),
    )


def _readers(look: Look, files: list[Descriptor]) -> Iterator[Finding]:
    read = tallied(each.target for each in files if each.fd not in look.appending)
    often = {path: count for path, count in read.items() if count >= _READERS}
    if not often:
        return
    most = max(often.values())
    yield Finding(
        "warning" if most >= _MANY_READERS else "note",
        "same-file",
        f"One file is open {most:,} times.",
        "It is opened for each use, and not closed again.",
        "Open it in a `with` block.",
        listed(often),
    )


def _many(files: list[Descriptor]) -> Iterator[Finding]:
    if len(files) < _FILES:
        return
    kinds = tallied(extension(each.target) for each in files)
    folders = tallied(posixpath.dirname(each.target) for each in files)
    yield Finding(
        "warning" if len(files) >= _MANY_FILES else "note",
        "many-files",
        f"{counted(len(files), 'file')} are open.",
        "Files that are opened without a `with` block stay open until the garbage collector comes by.",
        "Open files in `with` blocks; bound how many are worked on at once (20 to 100).",
        (*listed(kinds, 3), *listed(folders, 3)),
    )


def _deleted(look: Look) -> Iterator[Finding]:
    found = [each for each in look.descriptors if each.kind == "deleted file"]
    sizes = {each.target: each.size_bytes or 0 for each in found}
    held, count = sum(sizes.values()), len(found)
    severity: Severity
    if count >= _MANY_DELETED or held >= _MANY_DELETED_BYTES:
        severity = "warning"
    elif count >= _DELETED or held >= _DELETED_BYTES:
        severity = "note"
    else:
        return
    yield Finding(
        severity,
        "deleted-files",
        f"{counted(count, 'deleted file is', 'deleted files are')} held open, with {size(held)}.",
        "The disk gets the space back only when they are closed: temporary files, or logs that were"
        " rotated under a handler that writes on.",
        "Close temporary files; use a handler that notices rotation (WatchedFileHandler).",
        listed(tallied(re.sub(r"\d+", "N", each.target) for each in found)),
    )
