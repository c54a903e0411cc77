"""A look at coroutines that wait in line, on their loop: whether one of them is part of a deadlock."""

from typing import Any

from holdfast.pools._deadlock import break_ring
from holdfast.pools._deadlock_above import Looker
from holdfast.pools._deadlock_known import KNOWN, pool_of
from holdfast.pools._deadlock_lines import find_behind
from holdfast.pools._deadlock_notes import (
    LAST,
    NESTED,
    OfStream,
    PoolNotes,
    Root,
    entry_of,
    is_stream,
)
from holdfast.pools._deadlock_search import may_be_stuck
from holdfast.pools._deadlock_steady import STEADY

__all__ = ("look",)


def look(notes: PoolNotes, waits: list[Any], number: int) -> None:
    """Look at ``waits`` of a level, and decide when to look at each of them again."""
    looker = Looker()
    nested: list[tuple[Any, Root]] = []
    with KNOWN.lock, STEADY:
        for wait in waits:
            entry = entry_of(wait)
            holders = looker.holders_above(entry) if entry is not None else None
            if isinstance(wait, OfStream):
                wait.root = None
            if entry is not None and holders:
                root = KNOWN.root(entry)
                root.holders = holders
                if isinstance(wait, OfStream):
                    wait.root = root
                nested.append((wait if isinstance(wait, OfStream) else root, root))
            elif holders is not None or is_stream(wait):
                notes.add(entry if isinstance(wait, Root) else wait, min(number + 2, LAST))
        for _, root in nested:
            find_behind(root, root.holders, looker)
    if nested:
        _break_rings(notes, nested, number)


def _break_rings(notes: PoolNotes, nested: list[tuple[Any, Root]], number: int) -> None:
    refused = False
    for one in (one for _, root in nested for one in (root, *root.behind)):
        if may_be_stuck(pool_of(one.entry)):
            refused |= break_ring(one.entry).refused
    # A ring that has just been broken may leave another one behind, at once.
    again = 0 if refused else min(number + 1, NESTED)
    for wait, _ in nested:
        notes.add(wait, again)
