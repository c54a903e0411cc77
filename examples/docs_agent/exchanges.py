"""Keeps every question with its answer in an SQLite file.

Sessions save at the same time, and SQLite takes one writer at a time: `holdfast.sqlite` has them stand
in line, and commits together those that wait.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import holdfast

SCHEMA = """
CREATE TABLE IF NOT EXISTS exchange (
    ticket TEXT PRIMARY KEY, question TEXT NOT NULL, sources TEXT NOT NULL, answer TEXT NOT NULL,
    saved_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
)
"""
SAVE = "INSERT OR REPLACE INTO exchange (ticket, question, sources, answer) VALUES (?, ?, ?, ?)"


class Exchanges:
    """Saves exchanges, for any number of sessions.

    Args:
        path: The SQLite file; it is made by the first exchange that is saved, its folder at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.db = holdfast.sqlite(path, schema=SCHEMA)

    async def save(self, ticket: str, question: str, sources: Sequence[str], answer: str) -> None:
        """Save one exchange; one that was saved before for the same ticket is replaced.

        So a session that is tried again leaves one exchange, not two.
        """
        await self.db.execute(SAVE, (ticket, question, json.dumps(list(sources)), answer))

    async def count(self) -> int:
        """Return how many tickets have an exchange."""
        number: int = await self.db.fetch_value("SELECT count(*) FROM exchange")
        return number

    def close(self) -> None:
        """Close the file."""
        self.db.close()
