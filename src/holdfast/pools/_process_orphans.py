"""What is done when a zygote was killed by somebody: its workers are gone, what they started is not."""

from holdfast._core.process_tree.tree import Tree
from holdfast._core.process_tree.waiting import end_trees

__all__ = ("end_marked",)


def end_marked(mark: str) -> None:
    """Kill all that bears the mark of that zygote: its workers, and whatever they have started.

    What has cleared its environment, left its session and lost its parent is not found.
    """
    end_trees([Tree(0, mark)], grace=0.0)
