"""Who stands in line for the threads that others hold while they wait.

Purpose: a coroutine that waits for a thread is not noted, as most of them wait for threads that are busy.
It can be part of a ring only if all threads of that pool are known to wait; then, and only then, the
pool's line is gone through, by whoever has found that out: another wait, or the line's own look
(``_deadlock_standing.py``).

Guarantees: a long line is gone through at most every 320 ms, however many threads of its pool wait.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from holdfast._core.clock import now
from holdfast.pools._admission import Admission
from holdfast.pools._deadlock import break_ring
from holdfast.pools._deadlock_above import Looker
from holdfast.pools._deadlock_known import KNOWN, Holder, pool_of
from holdfast.pools._deadlock_notes import Root
from holdfast.pools._deadlock_search import may_be_stuck
from holdfast.pools._deadlock_steady import STEADY
from holdfast.pools._entry import Entry

__all__ = ("find_behind", "look_at_line")


class HasBehind(Protocol):
    """A wait that others may stand behind."""

    behind: list[Root]


_SHORT: Final = 64
_PAUSE: Final = 0.32


def find_behind(wait: HasBehind, holders: Iterable[Holder], looker: Looker) -> None:
    """Note the nested waits for the pools whose threads are among ``holders``; under the lock of what is known.

    ``wait`` holds what was found; while a line is not gone through again, it stays.
    """
    pools = dict.fromkeys(holder.admission for holder in holders if holder.task is None)
    stuck = [admission for admission in pools if may_be_stuck(admission)]
    if not stuck:
        wait.behind = []
    elif _may_go_through(stuck):
        wait.behind = [root for admission in stuck for root in _nested_in_line(admission, looker)]


def look_at_line(admission: Admission, calls: Iterable[Entry]) -> None:
    """Break the rings that calls in this pool's line are part of, while the threads of ``calls`` wait."""
    with KNOWN.lock, STEADY:
        waiting = [
            KNOWN.hold(pool_of(call), call, None) for call in calls
        ]  # known while it is held
        roots = _nested_in_line(admission, Looker()) if may_be_stuck(admission) else []
    for root in roots:
        if may_be_stuck(admission):
            break_ring(root.entry)
    del waiting


def _may_go_through(pools: list[Admission]) -> bool:
    long = [id(admission) for admission in pools if admission.in_line() > _SHORT]
    moment = now()
    if any(moment < KNOWN.gone_through.get(one, moment - _PAUSE) + _PAUSE for one in long):
        return False
    KNOWN.gone_through.update(dict.fromkeys(long, moment))
    return True


def _nested_in_line(admission: Admission, looker: Looker) -> list[Root]:
    roots: list[Root] = []
    for entry in admission.waiting():
        if holders := looker.holders_above(entry):
            root = KNOWN.root(entry)
            root.holders = holders
            roots.append(root)
    return roots
