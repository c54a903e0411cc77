"""How far one tree is on its way to the end.

States:

- NEW: nobody has been told anything.
- ASKED: every member got SIGTERM, and SIGCONT, because a stopped one can't hear it. Members that
  appear later are asked too.
- KILLED: the grace was over. Members were stopped until no further ones were found, then killed.
- GONE: two complete readings in a row showed no member that runs. (One can miss a child that was
  forked while it was taken.)
- LEFT: members still run a while after SIGKILL: they belong to another user, or hang in the kernel.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from holdfast._core.process_tree.table import Proc
from holdfast._core.process_tree.tree import Tree

__all__ = ("Course", "Left", "State")


class Left(NamedTuple):
    """A process that could not be ended.

    Attributes:
        pid: Its number.
        denied: Whether it may not be signalled: it belongs to another user.
    """

    pid: int
    denied: bool


class State(Enum):
    """See the module."""

    NEW = 0
    ASKED = 1
    KILLED = 2
    GONE = 3
    LEFT = 4


class Course:
    """One tree, its state and its times."""

    __slots__ = (
        "denied",
        "done",
        "give_up_at",
        "kill_at",
        "left",
        "state",
        "told",
        "tree",
        "vacant",
    )

    def __init__(
        self,
        tree: Tree,
        *,
        kill_at: float,
        give_up_at: float,
        done: Callable[[tuple[Left, ...]], None],
    ) -> None:
        self.tree = tree
        self.kill_at = kill_at
        self.give_up_at = give_up_at
        self.done = done
        self.state = State.NEW
        self.told: set[tuple[int, int]] = set()  # members that were asked, or killed
        self.denied: set[tuple[int, int]] = set()
        self.vacant = 0  # complete readings in a row without a member
        self.left: tuple[Left, ...] = ()

    @property
    def open(self) -> bool:
        """Whether the end has not been reached."""
        return self.state not in {State.GONE, State.LEFT}

    def may_signal_any(self, members: list[Proc]) -> bool:
        """Whether one of ``members`` has not refused."""
        return any(proc.identity not in self.denied for proc in members)

    def new(self, members: list[Proc]) -> list[Proc]:
        """Return those that were not told yet, and note them as told."""
        new = [proc for proc in members if proc.identity not in self.told]
        self.told |= {proc.identity for proc in new}
        return new

    def give_up(self) -> None:
        """What still runs is left."""
        self.left = tuple(
            Left(proc.pid, proc.identity in self.denied) for proc in self.tree.known_alive()
        )
        self.state = State.LEFT if self.left else State.GONE
