"""Processes that tests start, told apart by a length of sleep that nobody else sleeps."""

import contextlib
import itertools
import os
import random
import signal
from pathlib import Path

import pytest

__all__ = ("Sleepers", "children_of", "sleepers")

_numbers = itertools.count(1)


class Sleepers:
    """``seconds`` stands on the command line of each process that belongs to a test."""

    def __init__(self):
        self.seconds = f"97.{os.getpid():08d}{random.randrange(10_000):04d}{next(_numbers):04d}"

    def living(self):
        """Return the numbers of those that run; one that only waits for being reaped does not."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes()
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if self.seconds.encode() in words and state != "Z":
                    found.append(int(folder.name))
        return found

    def kill(self):
        """End what a failed test has left."""
        for pid in self.living():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def sleepers():
    """A length of sleep for this test; whoever still sleeps so long at its end is killed."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("counts processes in /proc")
    made = Sleepers()
    yield made
    made.kill()


def children_of(pid):
    """Return the numbers of all children, zombies included."""
    found = []
    for folder in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (folder / "children").read_text().split())
    return found
