"""What ending a tree of processes takes; imported by the zygote when it has nothing better to do."""

from holdfast._core.clock import SystemClock
from holdfast._core.process_tree.ending import Ending
from holdfast._core.process_tree.signals import send_group
from holdfast._core.process_tree.tree import Tree

__all__ = ("Tools",)


class Tools:
    """One ending for all trees, which share its readings."""

    def __init__(self) -> None:
        self.now = SystemClock.now
        self.send_group = send_group
        self.ending = Ending()
        self.tree = Tree
