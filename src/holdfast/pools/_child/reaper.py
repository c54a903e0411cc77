"""Ends workers with all that they started, and reaps them.

States of a worker here: RUNS -> ASKED (its group was told to end, and it has a moment) -> ENDING (its
tree is being ended, step by step) -> reaped and reported. One that ends by itself, or dies, goes from
RUNS to ENDING if anything is left of it, else to its report at once.

Guarantees: nothing here waits, so any number of workers end side by side; a worker's number is nobody
else's until it is reaped, and it is reaped when nothing of it is left; what was not forked here is left
alone, but for rests of workers, which the kernel makes children of this process.
"""

import os
import time

from holdfast.pools._child import wire

__all__ = ("Reaper",)

_MOMENT = 0.002
"""Seconds that a worker has to end by the signal to its group, before its whole tree is looked for."""

_CHILDREN = f"/proc/self/task/{{}}/children"


class _Worker:
    """One that ends."""

    __slots__ = ("asked_at", "dead", "ending", "grace", "look_at", "pid", "stuck")

    def __init__(self, pid: int, grace: float, now: float) -> None:
        self.pid = pid
        self.grace = grace
        self.asked_at = now
        self.look_at = now + _MOMENT
        self.dead = False
        self.ending = None
        self.stuck = False


class Reaper:
    """Those that are being ended, and the rests of those that have ended."""

    def __init__(self, zygote, grace: float) -> None:  # noqa: ANN001 - a Zygote, which imports this
        self._zygote = zygote
        self._grace = grace
        self._ending: dict[int, _Worker] = {}
        self._rests: list[tuple[int, object, list[int]]] = []
        self._has_children = os.path.exists(_CHILDREN.format(os.getpid()))  # noqa: PTH110 - no pathlib here

    @property
    def idle(self) -> bool:
        """Whether nothing is being ended."""
        return not self._ending

    def end(self, pid: int, grace: float) -> None:
        """Begin to end a worker."""
        now = time.monotonic()
        known = self._ending.get(pid)
        if known is not None:
            if grace < known.grace and known.ending is not None:
                known.ending.hurry()
            return
        self._ending[pid] = worker = _Worker(pid, grace, now)
        if grace <= 0.0 and self._has_rests():
            self._look_for_tree(worker)
        else:
            _tell_group(pid, _SIGKILL if grace <= 0.0 else _SIGTERM)

    def step(self) -> float | None:
        """Do what can be done now; returns seconds until the next step, None for no need of one."""
        self._find_dead()
        now = time.monotonic()
        wait: float | None = None
        for worker in tuple(self._ending.values()):
            pause = self._move(worker, now)
            if pause is not None:
                wait = pause if wait is None else min(wait, pause)
        return wait

    # ------------------------------------------------------------ inside

    def _find_dead(self) -> None:
        for pid in tuple(self._zygote.workers):
            known = self._ending.get(pid)
            if known is not None and known.dead:
                continue
            try:
                found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                found = True
            if found is None:
                continue
            if known is None:
                known = self._ending[pid] = _Worker(pid, self._grace, time.monotonic())
            known.dead = True

    def _move(self, worker: _Worker, now: float) -> float | None:
        if worker.ending is None:
            if worker.dead and not self._has_rests():
                self._report(worker)
                return None
            if not worker.dead and now < worker.look_at:
                return worker.look_at - now
            self._look_for_tree(worker)
        pause = worker.ending.step()
        if pause is not None:
            if not worker.dead:
                self._find_dead()
            return pause
        if not worker.dead:
            self._find_dead()
        if worker.dead:
            rests = self._rest_pids()
            if rests:
                worker.ending = self._new_ending(rests, worker, now)
                return 0.0
            self._report(worker)
            return None
        if not worker.stuck:
            worker.stuck = True
            self._zygote.tell(wire.STUCK, self._zygote.workers[worker.pid])
        worker.ending = self._new_ending([worker.pid], worker, now)
        return 1.0

    def _look_for_tree(self, worker: _Worker) -> None:
        now = time.monotonic()
        worker.ending = self._new_ending([worker.pid, *self._rest_pids()], worker, now)

    def _new_ending(self, pids: list[int], worker: _Worker, now: float):  # noqa: ANN202 - an Ending
        from holdfast._core.process_tree.ending import Ending  # noqa: PLC0415 - takes its time
        from holdfast._core.process_tree.tree import Tree  # noqa: PLC0415 - likewise

        left = max(0.0, worker.asked_at + worker.grace - now)
        return Ending([Tree(pid) for pid in pids], grace=left)

    def _has_rests(self) -> bool:
        return not self._has_children or bool(self._rest_pids())

    def _rest_pids(self) -> list[int]:
        """Children of this process that are no workers; those that have ended are reaped."""
        rests = []
        for pid in _children(os.getpid()):
            if pid in self._zygote.workers:
                continue
            try:
                ended, _ = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue
            if ended == 0:
                rests.append(pid)
        return rests

    def _report(self, worker: _Worker) -> None:
        pid = worker.pid
        try:
            _, status = os.waitpid(pid, 0)
        except ChildProcessError:
            status = -1
        del self._ending[pid]
        number = self._zygote.workers[pid]
        monitor = self._zygote.monitor
        over = monitor is not None and monitor.was_over(pid)
        self._zygote.forget(pid)
        self._zygote.tell(wire.DEAD, number, status, int(over))


def _children(pid: int) -> list[int]:
    try:
        fd = os.open(_CHILDREN.format(pid), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        data = b""
        while part := os.read(fd, 65536):
            data += part
    finally:
        os.close(fd)
    return [int(word) for word in data.split()]


_SIGTERM = 15
_SIGKILL = 9


def _tell_group(pid: int, number: int) -> None:
    from holdfast._core.process_tree.signals import send_group  # noqa: PLC0415 - takes its time

    send_group(pid, number)
