"""Processes with all that they started: found as one tree, ended as one, many side by side.

``mark_environment`` before the start, ``Tree`` after it, ``end_trees`` (or ``end_tree_async``, or an
``Ending`` driven by steps) for the end. The only room that sends signals.
"""

from holdfast._core.process_tree.course import Left
from holdfast._core.process_tree.ending import Ending
from holdfast._core.process_tree.mark import MARK, mark_environment, new_mark
from holdfast._core.process_tree.tree import Tree
from holdfast._core.process_tree.waiting import end_tree_async, end_trees

__all__ = (
    "MARK",
    "Ending",
    "Left",
    "Tree",
    "end_tree_async",
    "end_trees",
    "mark_environment",
    "new_mark",
)
