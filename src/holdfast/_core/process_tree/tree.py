"""A process and all that it started: which processes belong to it.

Purpose: find them all, with a reading of the machine's processes.
A process belongs to a tree if it is its root, or has a parent in the tree, or a session of the tree,
or bears its mark; and it stays in the tree when it loses all of that, once it has been seen.

What can't be found: a process that has, before anybody looked, left the session *and* lost its
parent *and* cleared its environment. And where there is no ``/proc``, whatever has left the group.

Assumptions: the root has a session of its own, and is a child of this process that nobody reaps
before the tree has been ended. Then its number, which is the session's and the group's too, can't be
given to anybody else.
"""

import contextlib
import os
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

from holdfast._core.process_tree.table import HAS_TABLE, Proc, Table, read_process, read_table
from holdfast._core.process_tree.younger import read_younger

if TYPE_CHECKING:
    import resource

_me = os.getpid
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT if hasattr(os, "waitid") else 0

__all__ = ("Root", "Tree")


class Tree:
    """What began with one process.

    Args:
        root: The number of a child of this process that was started in a session of its own; 0 if
            nothing but the mark is known.
        mark: The mark in its environment (:func:`new_mark`), or None if it has none.
    """

    __slots__ = ("_known", "_mark", "_sessions", "_taken", "root", "started")

    def __init__(self, root: int, mark: str | None = None) -> None:
        self.root = root
        self._mark = mark.encode() if mark is not None else None
        found = _look_at(root)
        self.started = found.started if found is not None else -1
        self._known: dict[int, Proc] = {} if found is None else {root: found}
        self._sessions: set[int] = {root}
        self._taken: tuple[int, resource.struct_rusage] | None = None

    def __repr__(self) -> str:
        return f"<Tree of process {self.root}>"

    def find(self, table: Table) -> list[Proc]:
        """Return the members that still run, parents before what they started."""
        members: dict[int, Proc] = {}
        sessions: set[int] = set()
        unseen = self._at_once(table, sessions)
        while unseen:
            proc = unseen.popleft()
            if proc.pid in members or proc.pid == _me():
                continue
            members[proc.pid] = proc
            unseen += table.children.get(proc.pid, ())
            if proc.session == proc.pid and proc.pid not in sessions:
                sessions.add(proc.pid)
                unseen += table.sessions[proc.pid]
        self._known, self._sessions = members, sessions
        return [proc for proc in members.values() if not proc.ended]

    def _at_once(self, table: Table, sessions: set[int]) -> deque[Proc]:
        """Members that are found without asking for their parents, and the sessions that are ours."""
        numbers = {self.root, *self._known}
        found = deque(p for n in numbers if (p := table.procs.get(n)) and self._is_known(p))
        # A session counts while one whom we know is in it: the number of an empty one may be anybody's.
        sessions |= {proc.session for proc in found} & self._sessions
        for session in sessions:
            found += table.sessions[session]
        if self._mark is not None:
            found += table.marked(self._mark, self.started)
        return found

    def _is_known(self, proc: Proc) -> bool:
        known = self._known.get(proc.pid)
        if known is not None:
            return known.started == proc.started
        # The root, if there was no descriptor left to look at it when it started.
        return self.started < 0 and proc.pid == self.root and proc.parent == _me()

    def left_running(self, age: float) -> int:
        """Return how many of the tree still run after its root has ended; a quick look if it is none.

        Args:
            age: Seconds since the root was started.

        Raises:
            OSError: No descriptor is left for a look.
        """
        if not HAS_TABLE or self.started < 0:
            return 1  # what can't be seen is told to end
        table = read_younger(self.root, age)
        left = len(self.find(read_table())) if table is None or self.find(table) else 0
        self.reap_adopted()
        return left

    def known_alive(self) -> list[Proc]:
        """Return those members found last time that still run; asks for nothing else, so it is quick."""
        alive: list[Proc] = []
        for known in self._known.values():
            now = read_process(known.pid)
            if now is not None and now.started == known.started and not now.ended:
                alive.append(now)
        return alive

    def adopted(self) -> list[Proc]:
        """Return members that have ended and wait for being reaped by this process, but for the root.

        The kernel gives orphans to process 1, or to a subreaper; this process may be one.
        """
        me = _me()
        return [
            p for p in self._known.values() if p.ended and p.parent == me and p.pid != self.root
        ]

    def reap_adopted(self) -> None:
        """Reap orphans of the tree that have ended and that the kernel gave to this process."""
        for proc in self.adopted():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(proc.pid, os.WNOHANG)

    def root_state(self) -> "Root":
        """Return whether the root runs, has ended, or was reaped by somebody. It is not reaped by asking."""
        if self.root == 0:
            return Root.REAPED
        try:
            ended = self._has_ended()
        except ChildProcessError:
            return Root.REAPED
        return Root.ENDED if ended else Root.RUNS

    def _has_ended(self) -> bool:
        if hasattr(os, "waitid"):
            return os.waitid(os.P_PID, self.root, _LOOK) is not None
        # macOS before Python 3.13 can't look without reaping: what was taken is kept.
        if self._taken is None:
            pid, code, usage = os.wait4(self.root, os.WNOHANG)
            self._taken = (code, usage) if pid else None
        return self._taken is not None

    def reap_root(self) -> "tuple[int, resource.struct_rusage] | None":
        """Take the root's wait status and usage; None if it still runs.

        Raises:
            ChildProcessError: Other code of this program has taken it, or it is no child of ours.
        """
        if self._taken is None:
            pid, code, usage = os.wait4(self.root, os.WNOHANG)
            self._taken = (code, usage) if pid else None
        return self._taken


class Root(Enum):
    """What can be said of the first process of a tree."""

    RUNS = 0
    ENDED = 1
    REAPED = 2


def _look_at(pid: int) -> Proc | None:
    if pid == 0 or not HAS_TABLE:
        return None
    try:
        return read_process(pid)
    except OSError:  # no descriptor is left: the first reading finds it
        return None
