"""Waits of threads: a worker thread that waits looks around now and then, whether it does so for ever.

Purpose: find a deadlock that a blocked worker is part of, without a thread that would watch it: where
threads are short, none may be had.

Guarantees: a thread that is no worker waits exactly as it would without all this. A worker's wait of less
than 5 ms costs one look up its stack; a longer one wakes up after 5 ms, 10 ms, 20 ms, ..., at most 640 ms,
to look. Its timeout holds as always, and nothing is left behind when the wait ends, however it ends.

States of a worker's wait: waiting -> parked, after 5 ms (it is known, and others count its permit as held
by somebody who waits) -> over. Only its own thread moves it.
"""

import math
import sys
from typing import Any

from holdfast._core.clock import Clock, Latch
from holdfast.pools._deadlock import break_ring
from holdfast.pools._deadlock_above import Looker, is_entry
from holdfast.pools._deadlock_known import KNOWN, Holder, Park, pool_of
from holdfast.pools._deadlock_lines import find_behind
from holdfast.pools._deadlock_notes import FIRST_LOOK, LONGEST_PAUSE, place_in_line
from holdfast.pools._deadlock_report import unbreakable
from holdfast.pools._deadlock_search import may_be_stuck
from holdfast.pools._deadlock_stacks import running_call
from holdfast.pools._deadlock_steady import STEADY
from holdfast.pools._entry import WAITING, Entry
from holdfast.pools._stream_engine import StreamEngine
from holdfast.pools._timer import patient

__all__ = ("holders_above", "wait_and_look")


def wait_and_look(
    clock: Clock, target: object, latch: Latch, timeout: float | None, *, place_only: bool
) -> bool:
    """Wait for ``latch`` in a worker thread that has waited for some milliseconds; see ``park``."""
    call = running_call(sys._getframe())  # noqa: SLF001 - the stack that waits
    if call is None:
        return patient(clock, latch, timeout)
    wait = Park(target, call, place_only=place_only)
    with KNOWN.lock:
        KNOWN.park(wait)
    try:
        return _look_again_and_again(clock, wait, latch, math.inf if timeout is None else timeout)
    finally:
        with KNOWN.lock:
            KNOWN.unpark(wait)


def _look_again_and_again(clock: Clock, wait: Park, latch: Latch, left: float) -> bool:
    pause = FIRST_LOOK
    until = clock.now() + left
    while left > 0.0:
        ring = look(wait)
        if ring:
            raise unbreakable(ring)
        if patient(clock, latch, min(pause, left)):
            return True
        pause = min(2 * pause, LONGEST_PAUSE)
        left = until - clock.now()
    return False


# ---------------------------------------------------------------- looking


def look(wait: Park) -> tuple[str, ...]:
    """Look whether ``wait`` is for ever, and break the ring if it is; else the lines of the ring."""
    target: Any = wait.target
    entry = place_in_line(target) if isinstance(target, StreamEngine) else target
    in_line = is_entry(entry) and entry.state == WAITING
    with KNOWN.lock, STEADY:
        looker = Looker()
        wait.holders = holders_above(wait.call, looker)
        wait.root = KNOWN.root(entry) if in_line else None
        find_behind(wait, wait.holders, looker)
    if in_line and entry is target and not may_be_stuck(pool_of(entry)):
        return ()
    verdict = break_ring(target, of=wait.call)
    for root in () if verdict.refused else wait.behind:
        break_ring(root.entry)
    return verdict.ring


def holders_above(call: Entry, looker: Looker) -> tuple[Holder, ...]:
    """The permits that don't come back while the thread of ``call`` waits."""
    return (KNOWN.hold(pool_of(call), call, None), *looker.above(call).holders)
