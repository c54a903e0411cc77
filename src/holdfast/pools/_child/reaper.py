"""Ends workers with all that they started, and reaps them.

States of a worker here: RUNS -> ASKED (its group was told to end, and it has a moment) -> ENDING (its
tree is being ended, step by step) -> reaped and reported. One that ends by itself, or dies, is reaped
and reported at once if nothing is left of it; else its rests are ended first.

Guarantees: nothing here waits, so any number of workers end side by side; a worker's number is nobody
else's until it is reaped, and it is reaped when nothing of it is left; what was not forked here is left
alone, but for rests of workers, which the kernel makes children of this process.
"""

from __future__ import annotations

import os
import signal

from holdfast.pools._child import wire

TYPE_CHECKING = False  # the module typing takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

    from holdfast._core.process_tree.tree import Tree
    from holdfast.pools._child.tools import Tools

__all__ = ("Reaper",)

_MOMENT = 0.02
"""Seconds that a worker has to end by the signal to its group, before its whole tree is looked for."""

_PATIENCE = 5.0
"""Seconds after its grace until a worker that still runs is reported as stuck."""


class _Worker:
    """One that ends."""

    __slots__ = ("asked_at", "dead", "gone", "grace", "pid", "stuck", "tree")

    def __init__(self, pid: int, grace: float, now: float) -> None:
        self.pid = pid
        self.grace = grace
        self.asked_at = now
        self.dead = False
        self.tree: Tree | None = None  # of it and all that it started, while that is being ended
        self.gone = False  # the tree has come to its end
        self.stuck = False


class Reaper:
    """Those that are being ended, and the rests of those that have ended."""

    def __init__(self, zygote: Any, grace: float) -> None:
        self._zygote = zygote
        self._grace = grace
        self._workers: dict[int, _Worker] = {}
        self._rests: dict[int, Tree] = {}  # that are being ended
        self._left: set[int] = set()  # that can't be ended
        self._children = f"/proc/self/task/{os.getpid()}/children"
        self._knows_children = zygote.prctl is not None and os.path.exists(self._children)  # noqa: PTH110 - no pathlib here
        self._made: Tools | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is being ended."""
        return not self._workers

    @property
    def prepared(self) -> bool:
        """Whether all is there that ending somebody takes."""
        return self._made is not None

    def prepare(self) -> None:
        """Import what is needed for ending somebody, before it is needed."""
        if self._made is None:
            from holdfast.pools._child.tools import Tools  # noqa: PLC0415 - takes its time

            self._made = Tools()

    @property
    def _tools(self) -> Tools:
        self.prepare()
        assert self._made is not None  # noqa: S101 - prepared just now
        return self._made

    def end(self, pid: int, grace: float) -> None:
        """Begin to end a worker."""
        self.prepare()
        known = self._workers.get(pid)
        if known is None:
            self._workers[pid] = known = _Worker(pid, grace, self._tools.now())
            if not self._is_dead(known):
                self._tools.send_group(pid, signal.SIGTERM if grace > 0.0 else signal.SIGKILL)
        elif grace < known.grace:
            known.grace = grace
            if known.tree is not None:
                self._tools.ending.hurry(known.tree)

    def step(self) -> float | None:
        """Do what can be done now; returns seconds until the next step, None for no need of one."""
        self._find_dead()
        if not self._workers:
            return None
        self.prepare()
        now = self._tools.now()
        rests = self._end_rests()
        waits = [self._tools.ending.step()] if self._rests or self._has_trees() else []
        self._find_dead()
        for worker in tuple(self._workers.values()):
            waits.append(self._move(worker, now, rests))  # noqa: PERF401 - it moves them
        return min((wait for wait in waits if wait is not None), default=None)

    # ------------------------------------------------------------ inside

    def _find_dead(self) -> None:
        for pid in self._zygote.workers:
            known = self._workers.get(pid)
            if known is not None:
                self._is_dead(known)
            elif _has_ended(pid):
                self.prepare()
                known = self._workers[pid] = _Worker(pid, self._grace, self._tools.now())
                known.dead = True

    @staticmethod
    def _is_dead(worker: _Worker) -> bool:
        if not worker.dead:
            worker.dead = _has_ended(worker.pid)
        return worker.dead

    def _has_trees(self) -> bool:
        return any(worker.tree is not None for worker in self._workers.values())

    def _move(self, worker: _Worker, now: float, rests: bool) -> float | None:
        if worker.dead and not rests and (worker.tree is None or worker.gone):
            if self._knows_children or worker.gone:
                if not self._find_rests():
                    self._report(worker)
                    return None
                return 0.0
            self._end_tree(worker, now)
            return 0.0
        if worker.tree is None and not worker.dead:
            if now < worker.asked_at + _MOMENT:
                return worker.asked_at + _MOMENT - now
            self._end_tree(worker, now)
            return 0.0
        if not worker.dead and worker.gone:  # neither the signal nor the look has ended it
            if not worker.stuck:
                worker.stuck = True
                self._zygote.tell(wire.STUCK, self._zygote.workers[worker.pid])
            worker.gone = False
            self._end_tree(worker, now)
        return 0.05 if rests else None

    def _end_tree(self, worker: _Worker, now: float) -> None:
        def gone(_: object) -> None:
            worker.gone = True

        worker.tree = tree = self._tools.tree(worker.pid)
        left = max(0.0, worker.asked_at + worker.grace - now)
        self._tools.ending.add(tree, grace=left, done=gone)

    def _end_rests(self) -> bool:
        """Begin to end what is left of workers that have ended; whether there is anything."""
        grace = min((worker.grace for worker in self._workers.values()), default=self._grace)
        for pid in self._find_rests():
            if pid not in self._rests:
                self._rests[pid] = tree = self._tools.tree(pid)
                self._end_rest(pid, tree, grace)
        return bool(self._rests)

    def _end_rest(self, pid: int, tree: Tree, grace: float) -> None:
        def gone(left: tuple[Any, ...]) -> None:
            del self._rests[pid]
            if left:
                self._left.add(pid)

        self._tools.ending.add(tree, grace=grace, done=gone)

    def _find_rests(self) -> list[int]:
        """Children of this process that are no workers; those that have ended are reaped."""
        if not self._knows_children:
            return []
        rests: list[int] = []
        for pid in self._read_children():
            if pid in self._zygote.workers or pid in self._left:
                continue
            try:
                ended, _ = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue
            if ended == 0:
                rests.append(pid)
        return rests

    def _read_children(self) -> list[int]:
        try:
            fd = os.open(self._children, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return []
        data = b""
        try:
            while part := os.read(fd, 65536):
                data += part
        finally:
            os.close(fd)
        return [int(word) for word in data.split()]

    def _report(self, worker: _Worker) -> None:
        pid = worker.pid
        try:
            _, status = os.waitpid(pid, 0)
        except ChildProcessError:
            status = -1
        del self._workers[pid]
        number = self._zygote.workers[pid]
        monitor = self._zygote.monitor
        over = monitor is not None and monitor.was_over(pid)
        self._zygote.forget(pid)
        self._zygote.tell(wire.DEAD, number, status, int(over))


def _has_ended(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
