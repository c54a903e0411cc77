"""Where ``holdfast top`` has its figures from: the process itself, if it shows them, or from outside."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from holdfast._core import clock
from holdfast.cli.trouble import UNSEEN
from holdfast.sense.descriptor_kinds import open_descriptors
from holdfast.watch._meeting import meeting_folder
from holdfast.watch._places import living_descriptors, threads_of
from holdfast.watch.asking import NotServed, ask
from holdfast.watch.process_watch import ProcessWatch

__all__ = ("Found", "Source", "command_of", "served_pids")

_HOLDERS_EVERY: Final = 5.0
_MOST_COMMAND: Final = 200


@dataclass(frozen=True, slots=True)
class Found:
    """One look.

    Attributes:
        at: When, on the clock in use.
        figures: The snapshot, or what can be seen from outside, as JSON has it.
        served: Whether the process itself has told it.
        holders: What is held, by place: how many descriptors or threads, the most first.
    """

    at: float
    figures: dict[str, Any]
    served: bool
    holders: tuple[tuple[str, int], ...] = ()


@dataclass(slots=True)
class Source:
    """One process.

    Attributes:
        pid: Which.
        command: Its command line.
    """

    pid: int
    command: str = ""
    _outside: ProcessWatch | None = None
    _holders: tuple[tuple[str, int], ...] = ()
    _held_at: float = field(default=float("-inf"))

    def __post_init__(self) -> None:
        self.command = command_of(self.pid)

    def take(self) -> Found:
        """Look once.

        Raises:
            ProcessLookupError: The process has ended, or can't be seen.
            PermissionError: It hides itself.
            NotImplementedError: This is not Linux, and psutil is not installed.
        """
        now = clock.now()
        try:
            figures, served = ask(self.pid, "snapshot"), True
        except NotServed:
            figures, served = self._from_outside(), False
        if now - self._held_at >= _HOLDERS_EVERY:
            self._held_at = now
            self._holders = _holders_of(self.pid)
        return Found(now, figures, served, self._holders)

    def stacks(self) -> dict[str, Any]:
        """Return the stacks that the process serves; else its threads as the system knows them."""
        try:
            return ask(self.pid, "stacks")
        except NotServed as error:
            threads: list[dict[str, Any]] = [
                {"name": each.place, "stack": []} for each in threads_of(self.pid)
            ]
            return {"threads": threads, "tasks": [], "more_tasks": 0, "why": str(error)}

    def _from_outside(self) -> dict[str, Any]:
        if self._outside is None:
            self._outside = ProcessWatch(self.pid)
        return self._outside.take().to_dict()


def _holders_of(pid: int) -> tuple[tuple[str, int], ...]:
    """What holds descriptors and threads, by place."""
    counts: dict[str, int] = {}
    try:
        living = [*living_descriptors(open_descriptors(pid), {}), *threads_of(pid)]
    except UNSEEN:
        return ()
    for each in living:
        name = f"{each.place} in {each.state}" if each.state else each.place
        counts[name] = counts.get(name, 0) + 1
    return tuple(sorted(counts.items(), key=lambda item: -item[1]))


def command_of(pid: int) -> str:
    """Return the command line of a process; empty if it can't be read."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    told = b" ".join(words).decode("utf-8", "replace").strip()
    return "".join(each if each.isprintable() else "?" for each in told[:_MOST_COMMAND])


def served_pids() -> list[int]:
    """Return this user's processes that show themselves, in the order of their numbers."""
    try:
        names = [path.stem for path in meeting_folder().glob("*.sock")]
    except OSError:
        return []
    pids = sorted(int(name) for name in names if name.isdecimal())
    return [pid for pid in pids if pid != os.getpid() and _serves(pid)]


def _serves(pid: int) -> bool:
    try:
        ask(pid, "snapshot")
    except NotServed:
        return False
    return True
