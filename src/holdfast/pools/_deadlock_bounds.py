"""Who of a ring is bound to fail first, by deadlines that everybody set for himself.

A wait that ends at a deadline is no deadlock for anybody who could go on after it. But for the one whose
own deadline comes first nothing can change before it: it is bound to fail, and may be told at once. A
deadline of whoever waits for a call, directly or not, is the call's own: nobody would have its outcome.
If nobody has a deadline, all would wait for ever, and the newest is told.
"""

import math
from typing import Any

from holdfast._core.clock import now
from holdfast.pools._admission import Admission
from holdfast.pools._awaiting import chain, code_of, frame_of, seconds_left
from holdfast.pools._deadlock_above import Looker, is_entry
from holdfast.pools._deadlock_known import KNOWN, Holder, pool_of
from holdfast.pools._deadlock_search import Knot
from holdfast.pools._deadlock_stacks import is_ours
from holdfast.pools._entry import WAITING, Entry
from holdfast.pools._stream_engine import StreamEngine

__all__ = ("choose",)


def choose(knot: Knot, waiting: list[Entry]) -> Entry | None:
    """The call that is bound to fail first, or the newest; None if somebody else's end comes before."""
    bounds = _Bounds()
    ends = {id(node): bounds.end_of(node) for node in knot.nodes}
    first = min(ends.values())
    bound_to_fail = [entry for entry in waiting if ends[id(entry)] <= first]
    return max(bound_to_fail, key=KNOWN.age, default=None)


class _Bounds:
    """The deadlines of one ring; each is asked for once, so that equal ones are equal."""

    def __init__(self) -> None:
        self._looker = Looker(remember=False)
        self._known: dict[int, float] = {}

    def end_of(self, node: Any) -> float:
        """In how many seconds ``node`` will be ended, itself or with one that waits for it."""
        if isinstance(node, Admission):
            return math.inf
        if isinstance(node, Holder):
            node = node.key if node.task is None else node.task
        return min(map(self._of, (node, *self._looker.above(node).waiters)))

    def _of(self, one: Any) -> float:
        if id(one) not in self._known:
            self._known[id(one)] = _seconds(one)
        return self._known[id(one)]


def _seconds(one: Any) -> float:
    """In how many seconds ``one`` itself will be ended from outside."""
    if hasattr(one, "get_coro"):
        return min(seconds_left(one), _time_of_item(one))
    if isinstance(one, StreamEngine):
        until = getattr(one, "until", None)
        return math.inf if until is None else float(until) - one.clock.now()
    if not is_entry(one):
        return math.inf
    return _patience(one) if one.state == WAITING else _time_to_run(one)


def _patience(entry: Any) -> float:
    """How long a call may still wait in line."""
    if hasattr(entry, "queue_until"):  # a blocking call, by its pool's clock
        until = entry.queue_until
        return math.inf if until is None else float(until) - float(entry.core.now())
    if hasattr(entry, "mailbox"):  # a coroutine, by its loop's
        return math.inf if entry.due is None else float(entry.due - entry.future.get_loop().time())
    due = getattr(entry, "_due", None)  # a submitted coroutine, by the timer's
    return math.inf if due is None else float(due) - now()


def _time_to_run(call: Any) -> float:
    """When a call on a thread will be abandoned, and its pool have another permit for it."""
    admission, engine = pool_of(call), getattr(call, "engine", None)
    timeout = getattr(call, "timeout", None) if engine is None else engine.options.timeout
    started = getattr(call, "started", None)
    if timeout is None or started is None or call.abandoned:
        return math.inf
    if admission.abandoned >= admission.max_abandoned:
        return math.inf
    clock = engine.clock if engine is not None else call.core.clock
    return float(started) + float(timeout) - float(clock.now())


def _time_of_item(task: Any) -> float:
    """When the item that a stream's worker runs will be cancelled."""
    first = next(iter(chain(task)), None)
    if (
        first is None
        or code_of(first).co_qualname != "AsyncWorker.work"
        or not is_ours(code_of(first))
    ):
        return math.inf
    frame = frame_of(first)
    worker = frame.f_locals["self"] if frame is not None else None
    if worker is None or worker.started is None or worker.engine.options.timeout is None:
        return math.inf
    left = worker.started + worker.engine.options.timeout - worker.engine.clock.now()
    return float(left)
