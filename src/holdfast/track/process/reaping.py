"""Takes the exit status of a program that has ended: of this one child, and of no other.

One that could not be ended (it hangs in the kernel, or belongs to another user) is asked for again
with each later start, so that it does not stay a zombie.
"""

import os
import resource
import sys
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from holdfast._core.process_tree.tree import Tree

if TYPE_CHECKING:
    import subprocess

__all__ = ("Status", "reap", "reap_late")

_BLUR: Final = 1 << 20
"""The kernel counts resident pages in batches for each processor."""

_UNIT: Final = 1 if sys.platform == "darwin" else 1024


class Status(NamedTuple):
    """What the system tells of a child that has ended; None for what nobody knows."""

    returncode: int | None = None
    cpu_s: float | None = None
    peak_rss_bytes: int | None = None


_late: "list[tuple[subprocess.Popen[bytes], Tree]]" = []
_lock = threading.Lock()


def reap(process: "subprocess.Popen[bytes]", tree: Tree) -> Status:
    """Reap ``process``, which has ended; if it has not, it is reaped later and nothing is known of it."""
    status = _reap(process, tree)
    if status is None:
        with _lock:
            _late.append((process, tree))
        return Status()
    return status


def reap_late() -> None:
    """Reap those that had not ended when they should have, if they have by now."""
    if _late:
        with _lock:
            _late[:] = [one for one in _late if _reap(*one) is None]


def _reap(process: "subprocess.Popen[bytes]", tree: Tree) -> Status | None:
    try:
        found = tree.reap_root()
    except ChildProcessError:  # other code of this program has taken the status
        process.returncode = 0  # the object asks no more
        return Status()
    if found is None:
        return None
    code, usage = found
    process.returncode = os.waitstatus_to_exitcode(code)
    peak = usage.ru_maxrss * _UNIT
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
    return Status(
        process.returncode,
        usage.ru_utime + usage.ru_stime,
        peak if peak > own + _BLUR else None,
    )
