"""Looks at calls in line, on the loops whose coroutines wait for them.

Purpose: find out in time whether a coroutine that waits in line is part of a deadlock, at next to no
cost for the many that are not.

Guarantees: a pool that goes on is not looked at, because nobody in its line waits for ever. In one that
has ended no call for 5 ms, each wait is looked at once, and again, if the pool still stands, after 20 ms,
80 ms, and so on up to 10 s; one above which somebody holds a permit (*nested*) after 10 ms, 20 ms, and so
on up to 640 ms. What does not wait any more is dropped at the next look, what its caller has let go at
once.

States of a wait here: noted (level 0) -> level 1, 2, ... -> dropped. A level is idle -> armed (its timer
runs) -> idle. All of it happens on the loop's thread, and lives and dies with the loop.
"""

import logging
import weakref
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections.abc import Iterable
from typing import Any, Final, cast

from holdfast._core.loops import LoopState, loop_state
from holdfast.pools._admission import Admission
from holdfast.pools._deadlock import break_ring
from holdfast.pools._deadlock_above import Looker, place_in_line
from holdfast.pools._deadlock_known import KNOWN, Root, pool_of
from holdfast.pools._deadlock_lines import find_behind
from holdfast.pools._deadlock_search import may_be_stuck
from holdfast.pools._deadlock_stacks import on_worker_thread
from holdfast.pools._deadlock_steady import STEADY
from holdfast.pools._entry import WAITING

__all__ = ("FIRST_LOOK", "LONGEST_PAUSE", "note", "note_burst", "note_call", "note_stream")

log = logging.getLogger("holdfast.pools")

FIRST_LOOK: Final = 0.005
"""Seconds without progress after which a pool's waits are looked at; doubled from level to level."""

_NESTED: Final = 7
_LAST: Final = 11

LONGEST_PAUSE: Final = FIRST_LOOK * 2**_NESTED

_FEW: Final = 64
"""Waits that may be gone through at every turn."""

_KEY: Final = "_holdfast_looks"


def note(entry: object, admission: Admission) -> None:
    """Have a place in line that a coroutine is about to wait for looked at; on its loop's thread."""
    loop = _get_running_loop()
    assert loop is not None  # noqa: S101 - it runs whoever is about to wait
    try:
        fresh = loop.__dict__[_KEY][id(admission)].fresh
    except KeyError:
        pools: dict[int, _PoolLooks] = loop.__dict__.setdefault(_KEY, {})
        looks = pools[id(admission)] = _PoolLooks(pools, admission, loop_state(loop))
        fresh = looks.fresh
    fresh.waits.append(entry)
    if not fresh.armed:
        fresh.arm()


def note_call(call: object, admission: Admission) -> None:
    """Note a call that keeps its outcome, without keeping it."""
    note(weakref.ref(call), admission)


def note_burst(calls: Iterable[object], admission: Admission) -> None:
    """Note calls that wait for a thread, if one of the threads that they wait for may wait for them.

    That is so if this loop runs in a worker thread, or if worker threads are known to wait.
    """
    if (KNOWN.any_parked() or on_worker_thread()) and admission.in_flight >= admission.ceiling:
        for call in calls:
            note_call(call, admission)


def note_stream(consumer: Any) -> None:
    """Note a stream's place in line, whenever it has one, for as long as it has a consumer."""
    note(_OfStream(consumer), consumer._engine.admission)  # noqa: SLF001 - a stream of ours


class _OfStream:
    """A stream, while somebody iterates it, and what the last look has found."""

    __slots__ = ("_consumer", "root")

    def __init__(self, consumer: Any) -> None:
        self._consumer = weakref.ref(consumer)
        self.root: Root | None = None

    def engine(self) -> Any:
        """What runs the items; None when nobody takes the outcomes any more, or nothing is to come."""
        consumer = self._consumer()
        engine = None if consumer is None else consumer._engine  # noqa: SLF001 - a stream of ours
        return None if engine is None or engine.window.ended else engine


class _PoolLooks:
    """The waits of one loop for one pool, by how often they have been looked at."""

    __slots__ = ("_home", "_levels", "admission", "fresh", "mailbox")

    def __init__(
        self, home: "dict[int, _PoolLooks]", admission: Admission, mailbox: LoopState
    ) -> None:
        self._home = home
        self.admission = admission
        self.mailbox = mailbox
        self._levels: dict[int, _Level] = {}
        self.fresh = self._level(0)

    def _level(self, number: int) -> "_Level":
        level = self._levels.get(number)
        if level is None:
            level = self._levels[number] = _Level(self, number)
        return level

    def add(self, wait: Any, number: int) -> None:
        """Look at ``wait`` when the pause of a level is over."""
        level = self._level(number)
        level.waits.append(wait)
        if not level.armed:
            level.arm()

    def progress(self) -> int:
        """Changes whenever a call of the pool has ended."""
        counters = self.admission.counters
        return counters.completed + counters.failed

    def look(self, waits: list[Any], number: int) -> None:
        """Look at ``waits``, and decide when to look at each of them again."""
        looker = Looker()
        nested: list[tuple[Any, Root]] = []
        with KNOWN.lock, STEADY:
            for wait in waits:
                entry = entry_of(wait)
                holders = looker.holders_above(entry) if entry is not None else None
                if isinstance(wait, _OfStream):
                    wait.root = None
                if entry is not None and holders:
                    root = KNOWN.root(entry)
                    root.holders = holders
                    if isinstance(wait, _OfStream):
                        wait.root = root
                    nested.append((wait if isinstance(wait, _OfStream) else root, root))
                elif holders is not None or is_stream(wait):
                    self.add(entry if isinstance(wait, Root) else wait, min(number + 2, _LAST))
            for _, root in nested:
                find_behind(root, root.holders, looker)
        if nested:
            self._break_rings(nested, number)

    def _break_rings(self, nested: list[tuple[Any, Root]], number: int) -> None:
        refused = False
        for one in (one for _, root in nested for one in (root, *root.behind)):
            if may_be_stuck(pool_of(one.entry)):
                refused |= break_ring(one.entry).refused
        # A ring that has just been broken may leave another one behind, at once.
        again = 0 if refused else min(number + 1, _NESTED)
        for wait, _ in nested:
            self.add(wait, again)

    def close_if_idle(self) -> None:
        """Nothing of the pool is kept when none of its calls is waited for."""
        if not any(level.waits or level.armed for level in self._levels.values()):
            self._home.pop(id(self.admission), None)


class _Level:
    """Waits that are looked at after the same pause."""

    __slots__ = ("_looks", "_mark", "_most", "_number", "armed", "waits")

    def __init__(self, looks: _PoolLooks, number: int) -> None:
        self._looks = looks
        self._number = number
        self._mark = 0
        self._most = _FEW
        self.waits: list[Any] = []
        self.armed = False

    def arm(self) -> None:
        """Come back when the pause is over."""
        self.armed = True
        self._mark = self._looks.progress()
        self._looks.mailbox.watch(self, FIRST_LOOK * 2**self._number)

    def expire(self) -> None:
        """On the loop: the pause is over. Look, unless the pool has gone on meanwhile."""
        self.armed = False
        if self._looks.progress() != self._mark:
            self._forget_those_gone()
            if self.waits:
                self.arm()
        else:
            waits, self.waits = self.waits, []
            self._most = _FEW
            try:
                self._looks.look(waits, self._number)
            except Exception:  # a wait that can't be looked at is nobody's fault; it just goes on
                log.exception("the search for deadlocks has failed; the calls in question go on")
        if not self.waits:
            self._looks.close_if_idle()

    def _forget_those_gone(self) -> None:
        """Drop what does not wait any more; of many, only when they have become twice as many."""
        if _FEW < len(self.waits) < self._most:
            return
        self.waits = [wait for wait in self.waits if is_stream(wait) or entry_of(wait) is not None]
        self._most = max(_FEW, 2 * len(self.waits))


def is_stream(wait: Any) -> bool:
    """Whether ``wait`` is about a stream that goes on, which may be in line again at any time."""
    return type(wait) is _OfStream and wait.engine() is not None


def entry_of(wait: Any) -> Any:
    """The call that ``wait`` is about, if it still stands in line; else None."""
    if isinstance(wait, Root):
        wait = wait.entry
    elif type(wait) is weakref.ref:
        wait = cast("Any", wait)()
    elif isinstance(wait, _OfStream):
        engine = wait.engine()
        wait = None if engine is None else place_in_line(engine)
    return wait if wait is not None and wait.state == WAITING else None
