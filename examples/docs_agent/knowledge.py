"""The knowledge base: the standard library's documentation in an SQLite full-text index.

Run it to build the index (about a second, once for each Python version):

    python knowledge.py
"""

import hashlib
import os
import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path

import harvest
import query

import holdfast

HERE = Path(__file__).resolve()
SCHEMA = """
CREATE TABLE entry (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
    signature TEXT NOT NULL, doc TEXT NOT NULL, prior REAL NOT NULL
);
CREATE TABLE made (stamp TEXT NOT NULL);
"""
# The last part of the name, what stands before it, the first paragraph, the rest of the text, and
# what the module is about.
INDEX = """
CREATE VIRTUAL TABLE words USING fts5(
    leaf, path, summary, body, about, content='', tokenize="porter unicode61"
);
"""
SEARCH = """
SELECT entry.name, entry.kind, entry.signature, entry.doc
FROM words JOIN entry ON entry.id = words.rowid
WHERE words MATCH ?
ORDER BY bm25(words, 8.0, 3.0, 5.0, 1.0, 1.0) * entry.prior
LIMIT ?
"""


class KnowledgeError(Exception):
    """The knowledge base is missing, or can't be made on this machine."""


class Knowledge:
    """Finds entries of the standard library.

    Args:
        path: A file that `build` made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = holdfast.sqlite(path, read_only=True, max_readers=9)

    async def search(self, question: str, limit: int = 5) -> list[harvest.Entry]:
        """Return at most ``limit`` entries that are likely to answer a question, the best first.

        Raises:
            KnowledgeError: There is no knowledge base at ``path``.
        """
        expression = query.match_expression(question)
        if not expression:
            return []
        try:
            rows = await self.db.fetch_all(SEARCH, (expression, limit))
        except sqlite3.OperationalError as error:
            message = (
                f"there is no knowledge base at {self.path} ({error}); "
                f"make it with: {sys.executable} {HERE} {self.path}"
            )
            raise KnowledgeError(message) from error
        return [harvest.Entry(*row) for row in rows]

    def close(self) -> None:
        """Close every connection."""
        self.db.close()


def usual_path(folder: Path) -> Path:
    """Return where a folder keeps the knowledge base of this Python version."""
    return folder / f"knowledge-{sys.version_info.major}.{sys.version_info.minor}.db"


def stamp() -> str:
    """Return a word that changes with this Python and with the code that reads and indexes it."""
    sources = (harvest.__file__, query.__file__, __file__)
    code = b"".join(Path(source).read_bytes() for source in sources)
    return f"{sys.version} {hashlib.sha256(code).hexdigest()}"


def is_current(path: Path) -> bool:
    """Say whether a knowledge base exists that this Python and this code made."""
    if not path.exists():
        return False
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        made: tuple[str] | None = connection.execute("SELECT stamp FROM made").fetchone()
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()
    return made == (stamp(),)


def build(path: Path) -> int:
    """Build the knowledge base at a path and return its number of entries.

    It is written beside its place and moved there whole, so that two processes may build at once
    and nobody reads half of one.

    Raises:
        KnowledgeError: This Python's SQLite has no FTS5.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        connection = sqlite3.connect(part)
        try:
            count = fill(connection, harvest.harvest())
        finally:
            connection.close()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return count


def fill(connection: sqlite3.Connection, entries: Iterable[harvest.Entry]) -> int:
    """Write entries and their index into an empty database, and return their number."""
    connection.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {SCHEMA}")
    try:
        connection.execute(INDEX)
    except sqlite3.OperationalError as error:
        message = (
            f"the SQLite {sqlite3.sqlite_version} of {sys.executable} was built without FTS5, the "
            f"full-text index that this example searches ({error}); use a Python whose SQLite has "
            "it, such as the one from python.org, Debian, Homebrew or conda"
        )
        raise KnowledgeError(message) from error
    rows = list(entries)
    about = {row.name: summary_of(row.doc) for row in rows if row.kind == "module"}
    for number, row in enumerate(rows, 1):
        connection.execute(
            "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)",
            (number, row.name, row.kind, row.signature, row.doc, prior_of(row)),
        )
        connection.execute(
            "INSERT INTO words (rowid, leaf, path, summary, body, about) VALUES (?, ?, ?, ?, ?, ?)",
            (number, *searchable(row, about)),
        )
    connection.execute("INSERT INTO words (words) VALUES ('optimize')")
    connection.execute("INSERT INTO made VALUES (?)", (stamp(),))
    connection.commit()
    return len(rows)


def searchable(entry: harvest.Entry, about: dict[str, str]) -> tuple[str, ...]:
    """Return the texts under which an entry is found, in the order of the index's columns."""
    path, _, leaf = entry.name.rpartition(".")
    module = path
    while module and module not in about:
        module = module.rpartition(".")[0]
    summary = summary_of(entry.doc)
    body = entry.doc[len(summary) :]
    return (query.name_words(leaf), query.name_words(path), summary, body, about.get(module, ""))


def summary_of(doc: str) -> str:
    """Return the first paragraph of a documentation string."""
    return doc.partition("\n\n")[0]


def prior_of(entry: harvest.Entry) -> float:
    """Return how much an entry counts before the question is known.

    People ask for what stands near the surface, ``asyncio.sleep`` before a method of a base class,
    and for what does something: errors, properties and what is on its way out come later.
    """
    prior = 1.0 / (1.0 + 0.12 * entry.name.count("."))
    if entry.name.endswith(("Error", "Exception", "Warning")):
        prior *= 0.75
    if entry.kind == "property":
        prior *= 0.9
    if "deprecated" in summary_of(entry.doc).lower():
        prior *= 0.8
    return prior


def main() -> int:
    """Build the knowledge base at the path on the command line, or at its usual place."""
    given = sys.argv[1:]
    path = Path(given[0]) if given else usual_path(Path(__file__).parent / "out")
    try:
        count = build(path)
    except (KnowledgeError, OSError) as error:
        print(f"knowledge base: {error}", file=sys.stderr)
        return 1
    print(f"{count:,} entries in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
