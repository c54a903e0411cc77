"""What became of a call whose worker has ended, in words and figures."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.errors import CallTimeout, WorkerLost
from holdfast.sense._process import Process
from holdfast.sense.cgroup import lineage

__all__ = ("Death", "OutOfMemory", "lost", "timed_out")

_KILLED: Final = -int(signal.SIGKILL)


class Death(NamedTuple):
    """How a worker process ended.

    Attributes:
        why: Why the pool has ended it, as ``doom`` was told: ``"timeout"``, say; None if the pool did not.
        status: Its exit code; negative is the signal.
        over: Whether it had more memory than ``max_worker_memory``.
        out_of_memory: Whether the system ended it for want of memory; None if that can't be told.
    """

    why: str | None
    status: int
    over: bool
    out_of_memory: bool | None

    @property
    def greedy(self) -> bool:
        """Whether its call, run again, would kill one worker after the other."""
        return self.over or bool(self.out_of_memory)


class OutOfMemory:
    """Tells whether the system has ended a process for want of memory.

    Its control groups count how many they have ended: one of these counts belongs to one process that
    was killed, and there is nothing that would say to which.
    """

    __slots__ = ("_file", "_seen")

    def __init__(self) -> None:
        self._file = _find_file()
        self._seen = self._count()

    def was_it(self, exitcode: int) -> bool | None:
        """Whether it was the cause of this end; None where the system does not tell."""
        if exitcode != _KILLED:
            return False
        now = self._count()
        if now is None or self._seen is None:
            return None
        if now > self._seen:
            self._seen += 1
            return True
        return False

    def _count(self) -> int | None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                for line in Path(self._file).read_text(encoding="ascii").splitlines():
                    name, _, value = line.partition(" ")
                    if name == "oom_kill" and value.isdigit():
                        return int(value)
        return None


def _find_file() -> str | None:
    """Where the group counts that this process, and so its workers, are in."""
    try:
        found = lineage(Process(), "memory")
    except OSError:
        return None
    name = "memory.events" if found.version == _UNIFIED else "memory.oom_control"
    return found.groups[0].file(name) if found.groups else None


_UNIFIED: Final = 2


def lost(
    pool: str,
    pid: int | None,
    status: int,
    *,
    over: bool,
    out_of_memory: bool | None,
    attempts: int,
) -> WorkerLost:
    """Make the error of a call whose worker died."""
    exitcode = None if status < 0 else os.waitstatus_to_exitcode(status)
    if exitcode is None:
        how = "ended, how nobody knows"
    elif exitcode < 0:
        try:
            how = f"was ended by {signal.Signals(-exitcode).name}"
        except ValueError:
            how = f"was ended by signal {-exitcode}"
    else:
        how = f"ended itself with exit code {exitcode}"
    if over:
        why = ": it held more than max_worker_memory allows"
    elif out_of_memory:
        why = ": the system was out of memory"
    else:
        why = ""
    again = f" after {attempts} attempts" if attempts > 1 else ""
    advice = _LESS if over or out_of_memory else _IDEMPOTENT
    return WorkerLost(
        f"pool {pool!r}: worker process {pid} {how}{why} while it ran the call{again}, which may have "
        f"had effects; {advice}",
        pid=pid,
        exitcode=exitcode,
        out_of_memory=True if over else out_of_memory,
    )


_IDEMPOTENT: Final = "pass options(idempotent=True) for calls that may be run again"
_LESS: Final = (
    "it is not run again, idempotent or not, where it would kill one worker after the other: send less at "
    "once, let fewer calls run at a time, or allow more memory"
)


def timed_out(pool: str, timeout: float | None, pid: int | None, *, stopped: bool) -> CallTimeout:
    """Make the error of a call that ran for too long."""
    end = (
        f"its process {pid} was ended with all that it had started"
        if stopped
        else f"its process {pid} can't be ended, whatever is sent to it, and keeps its permit"
    )
    return CallTimeout(
        f"pool {pool!r}: the call ran longer than its timeout of {timeout or 0.0:g} s; {end}",
        stopped=stopped,
    )
