"""Coroutines that stand in line for a thread, in a pool that ends no call: who looks whether it ever will.

Purpose: find the rings that no thread and no coroutine has told of. A worker that runs an event loop
(``asyncio.run`` in a call), or that waits for a future of the standard library, is asked by nobody else.

Guarantees: a pool that goes on is not looked at. In one that has ended no call for 5 ms, while all of its
permits are out or no thread can be had, the stacks of its threads are read after 5 ms, 10 ms, 20 ms, and
so on up to 640 ms; and less often where that takes long, so that it takes less than a hundredth of the time. Only
if all of its threads wait for something known the search is imported, and decides.

States of a watch: idle -> armed (its timer runs) -> idle. All of it happens on the loop's thread, and lives
and dies with the loop.
"""

import logging
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from typing import Any, Final

from holdfast._core.clock import now
from holdfast._core.loops import LoopState
from holdfast._core.on_loop import keep, kept
from holdfast.pools._admission import Admission
from holdfast.pools._deadlock_later import look_at_line
from holdfast.pools._deadlock_notes import FIRST_LOOK, LONGEST_PAUSE
from holdfast.pools._deadlock_stacks import waiting_calls

__all__ = ("Standing", "standing_here")

log = logging.getLogger("holdfast.pools")

_KEY: Final = "_holdfast_standing"

_SHARE: Final = 100
"""So many times as long as a look has taken is the least pause after it."""


class Standing:
    """The calls of one loop in the line of one pool."""

    __slots__ = ("_admission", "_armed", "_due", "_first", "_home", "_mark", "_pause", "mailbox")

    def __init__(
        self, home: "dict[int, Standing]", admission: Admission, mailbox: LoopState
    ) -> None:
        self._home = home
        self._admission = admission
        self.mailbox = mailbox
        self._armed = False
        self._due = 0.0
        self._mark = 0
        self._first = self._pause = FIRST_LOOK

    def more(self) -> None:
        """Some have come that do not start at once."""
        if self._armed:
            if self._pause <= self._first:
                return
            self.mailbox.unwatch(self, self._due)
        self._arm(self._first)

    def _arm(self, pause: float) -> None:
        self._armed, self._pause = True, pause
        self._home[id(self._admission)] = self
        self._mark = self._admission.progress()
        self._due = self.mailbox.watch(self, pause)

    def expire(self) -> None:
        """On the loop: the pause is over. Look, unless the pool has gone on meanwhile."""
        self._armed = False
        if not self._admission.in_line():
            self._home.pop(id(self._admission), None)
        elif self._admission.progress() != self._mark:
            self._arm(self._first)
        else:
            pause, began = min(2 * self._pause, LONGEST_PAUSE), now()
            self._look()
            self._first = max(FIRST_LOOK, _SHARE * (now() - began))
            self._arm(max(pause, self._first))

    def _look(self) -> None:
        try:
            look(self._admission)
        except Exception:  # a wait that can't be looked at is nobody's fault; it just goes on
            log.exception("the search for deadlocks has failed; the calls in question go on")


def standing_here(admission: Admission, mailbox: LoopState) -> Standing:
    """The calls of the loop that runs in this thread, in the line of that pool; kept while they wait."""
    loop = _get_running_loop()
    assert loop is not None  # noqa: S101 - it has brought them
    pools: dict[int, Standing] | None = kept(loop, _KEY)
    if pools is None:
        pools = {}
        keep(loop, _KEY, pools)
    return pools.get(id(admission)) or Standing(pools, admission, mailbox)


def look(admission: Admission) -> None:
    """Look for a ring in the pool's line, unless one of its threads can be seen to go on."""
    calls = waiting_calls()
    in_flight = admission.in_flight
    if (
        in_flight >= admission.ceiling
        and sum(_is_of(call, admission) for call in calls) < in_flight
    ):
        return
    if calls:
        look_at_line(admission, calls)


def _is_of(call: Any, admission: Admission) -> bool:
    host = getattr(call, "core", None) or call.engine
    return host.admission is admission
