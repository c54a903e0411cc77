"""A transaction that its owner steers: while it lasts, the writer works for nobody else.

States: waiting -> granted -> ending -> over; moved under the line's lock. ``ending`` is entered once: by
the owner, or, when the owner takes too long or has gone, by the writer, which then rolls back.
"""

import asyncio
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections import deque
from threading import get_ident
from typing import Any

from holdfast.track._site import Site
from holdfast.track._sqlite.jobs import Job

__all__ = ("Begin", "End", "Lease", "whoever_asks")


def whoever_asks() -> object:
    """Return the task or the thread that asks."""
    if _get_running_loop() is not None and (task := asyncio.current_task()) is not None:
        return task
    return get_ident()


class Lease:
    """The right to the writer's connection.

    Attributes:
        owner: The task or thread that holds it.
        where: The line that asked for it.
        since: When it was granted, on the clock in use.
        jobs: What the owner has asked for, and has not run yet.
        ending: Whether its end is on the way.
        failure: Why it can't go on, or None.
        watch: What watches over its time, or None.
    """

    __slots__ = ("ending", "failure", "jobs", "owner", "since", "watch", "where")

    def __init__(self, where: Site) -> None:
        self.owner = whoever_asks()
        self.where = where
        self.since = 0.0
        self.watch: Any = None
        self.jobs: deque[Job] = deque()
        self.ending = False
        self.failure: BaseException | None = None


class Begin(Job):
    """A transaction that its owner steers statement by statement wants to begin."""

    shared = False

    def __init__(self, lease: Lease) -> None:
        super().__init__(None)
        self.lease = lease


class End(Job):
    """It ends."""

    shared = False

    def __init__(self, lease: Lease, *, commit: bool) -> None:
        super().__init__(None)
        self.lease = lease
        self.commit = commit
