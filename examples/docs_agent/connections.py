"""SQLite connections that are kept and used again, and all closed at the end.

A connection is lent to one thread at a time and comes back when its block ends, so there are never
more of them than threads that ask at once: with a pool of 10 threads, at most 10. A connection per
call, left for the garbage collector to close, is what runs a process out of file descriptors.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Generator


class Connections:
    """Lends SQLite connections; safe to use from many threads.

    Args:
        connect: Opens one connection. It must pass ``check_same_thread=False``: a connection is
            used by many threads, though only by one at a time.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._lent = 0
        self._closed = False

    @property
    def open_count(self) -> int:
        """How many connections are open now, lent or idle."""
        with self._lock:
            return self._lent + len(self._idle)

    @contextlib.contextmanager
    def lend(self) -> Generator[sqlite3.Connection, None, None]:
        """Lend a connection for the length of the block.

        Raises:
            ValueError: It is closed.
        """
        connection = self._take()
        try:
            yield connection
        finally:
            self._give_back(connection)

    def close(self) -> None:
        """Close the idle connections now, and the lent ones as they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                message = "these connections were closed; nothing more can be read or saved"
                raise ValueError(message)
            self._lent += 1
            # The one used last has the warmest cache, and the others stay spare.
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            return connection
        try:
            return self._connect()
        except BaseException:
            with self._lock:
                self._lent -= 1
            raise

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            self._lent -= 1
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()
