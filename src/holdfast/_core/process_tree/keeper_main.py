"""The keeper: a small process that ends what this program started when the program is gone.

It is told on its standard input what is about to start (``?mark``), what has started (``+mark pid
started``) and what has ended (``-mark``). When the program ends, however it ends, everything that is
still there is ended as a tree: what the keeper was told of, and all that bears one of the program's
marks.

It learns of the end from a descriptor of the program's process, so a copy of the pipe that a forked
child holds does not hide it; where there are none, from the end of its input.

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
from holdfast._core.process_tree.table import read_process
from holdfast._core.process_tree.tree import Tree

__all__ = ("main",)

_GRACE: Final = 1.0
"""Seconds between SIGTERM and SIGKILL when the program is gone."""

_ON_ITS_WAY: Final = 2.0
"""Seconds for which what was announced, and has not been seen, is looked for."""

_CHUNK: Final = 65536


class Books:
    """What the keeper was told: what is about to start, and what runs."""

    def __init__(self) -> None:
        self.announced: set[str] = set()
        self.running: dict[str, tuple[int, int]] = {}
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take what has been read; the last line may still be incomplete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line.decode())

    def _take(self, line: str) -> None:
        mark, *numbers = line[1:].split()
        self.announced.discard(mark)
        if line[0] == "?":
            self.announced.add(mark)
        elif line[0] == "+":
            self.running[mark] = int(numbers[0]), int(numbers[1])
        else:
            self.running.pop(mark, None)


def main() -> None:
    """Watch the process and the owner of marks that the arguments name, and do what is to be done."""
    parent, owner = int(sys.argv[2]), sys.argv[3]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends when its program does, and not before
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    with contextlib.suppress(OSError):
        os.setsid()
    os.chdir("/")
    books = Books()
    watch(parent, books)
    end_all(books, owner)


def watch(parent: int, books: Books) -> None:
    """Keep the books until the program is gone, or lets go of the keeper."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    watched = _watch_process(parent)
    if watched is not None:
        poll.register(watched, select.POLLIN)
    os.set_blocking(0, False)
    while True:
        gone = os.getppid() != parent or any(fd != 0 for fd, _ in poll.poll())
        while True:
            try:
                data = os.read(0, _CHUNK)
            except BlockingIOError:
                break
            except ConnectionResetError:
                return
            if not data:
                return
            books.feed(data)
        if gone:
            return


def _watch_process(pid: int) -> int | None:
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # gone already, which the next look shows, or a kernel without them
        return None


def end_all(books: Books, owner: str) -> None:
    """End what still runs, and what turns up for as long as something announced may."""
    now = clock.SystemClock()
    until = now.now() + (_ON_ITS_WAY if books.announced else 0.0)
    end(_told(books))
    while True:
        found = _marked(owner)
        end(found)
        if not found and now.now() >= until:
            return
        now.sleep(0.02)


def _told(books: Books) -> list[Tree]:
    """The trees whose root is still that process; what it was reaped of is found by its mark."""
    trees: list[Tree] = []
    for mark, (pid, started) in books.running.items():
        if not processes.HAS_TABLE:
            trees.append(Tree(pid, mark))
        elif (found := read_process(pid)) is not None and found.started == started:
            trees.append(Tree(pid, mark))
    return trees


def _marked(owner: str) -> list[Tree]:
    if not processes.HAS_TABLE:
        return []
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
