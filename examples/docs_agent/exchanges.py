"""Keeps every question with its answer in an SQLite file; its calls block.

One writer at a time, as SQLite wants it: the threads of this process queue up for one connection,
and other processes are waited for by SQLite itself. Readers are never in the way (write-ahead log).
"""

import json
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from connections import Connections

BUSY_S = 10.0  # how long to wait for another process that writes
SCHEMA = """
CREATE TABLE IF NOT EXISTS exchange (
    ticket TEXT PRIMARY KEY, question TEXT NOT NULL, sources TEXT NOT NULL, answer TEXT NOT NULL,
    saved_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
)
"""
SAVE = "INSERT OR REPLACE INTO exchange (ticket, question, sources, answer) VALUES (?, ?, ?, ?)"


class Exchanges:
    """Saves exchanges, from any thread.

    Args:
        path: The SQLite file; it is made by the first exchange that is saved.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections = Connections(self._connect)
        self._writer = threading.Lock()

    def save(self, ticket: str, question: str, sources: Sequence[str], answer: str) -> None:
        """Save one exchange; one that was saved before for the same ticket is replaced.

        So a session that is tried again leaves one exchange, not two.
        """
        row = (ticket, question, json.dumps(list(sources)), answer)
        with self._writer, self.connections.lend() as connection, connection:
            connection.execute(SAVE, row)

    def count(self) -> int:
        """Return how many tickets have an exchange."""
        with self._writer, self.connections.lend() as connection:
            number: tuple[int] = connection.execute("SELECT count(*) FROM exchange").fetchone()
        return number[0]

    def close(self) -> None:
        """Close the file."""
        self.connections.close()

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=BUSY_S, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # safe with a write-ahead log
            connection.execute(SCHEMA)
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection
