"""The keeper: a small process that ends what this program started when the program is gone.

When the program ends, however it ends, everything that is still there is ended as a tree: what stands
in the register that the two share, and all that bears one of the program's marks.

It learns of the end from a descriptor of the program's process, so a copy of the pipe that a forked
child holds does not hide it; where there are none, from the end of its input, to which nobody writes.

What had been announced may be on its way, forked and not yet under its own name: then the keeper
looks again for a while.
"""

import contextlib
import os
import select
import signal
import sys
from typing import Final

from holdfast._core import clock
from holdfast._core.process_tree import table as processes
from holdfast._core.process_tree.ending import Ending
from holdfast._core.process_tree.register import ABOUT, Register
from holdfast._core.process_tree.signals import Sent, send_group
from holdfast._core.process_tree.table import read_process
from holdfast._core.process_tree.tree import Tree

__all__ = ("main",)

_GRACE: Final = 1.0
"""Seconds between SIGTERM and SIGKILL when the program is gone."""

_ON_ITS_WAY: Final = 2.0
"""Seconds for which what was announced, and has not been seen, is looked for."""


def main() -> None:
    """Watch the process and the owner of marks that the arguments name, and do what is to be done."""
    parent, owner = int(sys.argv[2]), sys.argv[3]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends when its program does, and not before
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    with contextlib.suppress(OSError):
        os.setsid()
    os.chdir("/")
    watch(parent)
    end_all(Register(1), owner)


def watch(parent: int) -> None:
    """Wait until the program is gone, or lets go of the keeper."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    watched = _watch_process(parent)
    if watched is not None:
        poll.register(watched, select.POLLIN)
    if os.getppid() == parent:
        poll.poll()


def _watch_process(pid: int) -> int | None:
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # gone already, which the next look shows, or a kernel without them
        return None


def end_all(register: Register, owner: str) -> None:
    """End what still runs, and what turns up for as long as something announced may."""
    now = clock.SystemClock()
    if not processes.HAS_TABLE:
        end_groups([pid for pid, _ in register if pid != ABOUT])
        return
    about = any(pid == ABOUT for pid, _ in register)
    until = now.now() + (_ON_ITS_WAY if about else 0.0)
    end([Tree(pid) for pid, started in register if pid != ABOUT and _is_still(pid, started)])
    while True:
        found = _marked(owner)
        end(found)
        if not found and now.now() >= until:
            return
        now.sleep(0.02)


def end_groups(groups: list[int]) -> None:
    """End what stayed in the groups of the roots: without ``/proc`` nothing else is known.

    A number that was given to another group between the end of the program and now would be taken for
    the old one; that takes a tool that ends in the same milliseconds, and all numbers to be used up.
    """
    left = [group for group in groups if send_group(group, signal.SIGTERM) is Sent.SENT]
    now = clock.SystemClock()
    until = now.now() + _GRACE
    while left and now.now() < until:
        now.sleep(0.02)
        left = [group for group in left if send_group(group, 0) is Sent.SENT]
    for group in left:
        send_group(group, signal.SIGKILL)


def _is_still(pid: int, started: int) -> bool:
    found = read_process(pid)
    return found is not None and found.started == started


def _marked(owner: str) -> list[Tree]:
    table = processes.table_since(clock.SystemClock.now())
    return [Tree(0, mark.decode()) for mark in table.owned(owner.encode())]


def end(trees: list[Tree]) -> None:
    """End them side by side; what can't be ended is not tried again and again."""
    ending = Ending()
    for tree in trees:
        ending.add(tree, grace=_GRACE)
    now = clock.SystemClock()
    while (wait := ending.step()) is not None:
        now.sleep(wait)
