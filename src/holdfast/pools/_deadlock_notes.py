"""Notes of coroutines that wait: who is to be looked at, and when, on the loops that they wait on.

Purpose: find out in time whether a coroutine that waits in line is part of a deadlock, at next to no
cost for the many that are not.

Guarantees: a pool that goes on is not looked at, because nobody in its line waits for ever. In one that
has ended no call for 5 ms, each wait is looked at once, and again, if the pool still stands, after 20 ms,
80 ms, and so on up to 10 s; one above which somebody holds a permit (*nested*) after 10 ms, 20 ms, and so
on up to 640 ms. What does not wait any more is dropped at the next look, what its caller has let go at
once.

States of a wait here: noted (level 0) -> level 1, 2, ... -> dropped. A level is idle -> armed (its timer
runs) -> idle. All of it happens on the loop's thread, and lives and dies with the loop.

What looks (``_deadlock_looks.py``, and all behind it) is imported by the first look: a program whose pools
never stand still has no need of it.
"""

import logging
import weakref
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from typing import TYPE_CHECKING, Any, Final, cast

from holdfast._core.loops import LoopState, loop_state
from holdfast._core.on_loop import keep, kept
from holdfast.pools._deadlock_later import look
from holdfast.pools._entry import WAITING, Entry

if TYPE_CHECKING:
    from holdfast.pools._admission import Admission

__all__ = (
    "FIRST_LOOK",
    "LAST",
    "LONGEST_PAUSE",
    "NESTED",
    "Level",
    "OfStream",
    "PoolNotes",
    "Root",
    "entry_of",
    "is_stream",
    "note",
    "note_call",
    "note_stream",
    "place_in_line",
)

log = logging.getLogger("holdfast.pools")

FIRST_LOOK: Final = 0.005
"""Seconds without progress after which a pool's waits are looked at; doubled from level to level."""

NESTED: Final = 7
LAST: Final = 11

LONGEST_PAUSE: Final = FIRST_LOOK * 2**NESTED

_FEW: Final = 64
"""Waits that may be gone through at every turn."""

_KEY: Final = "_holdfast_looks"


class Root:
    """A call in line that is waited for by somebody who holds a permit.

    Attributes:
        entry: The call.
        holders: The permits above it.
        age: Counts the waits in the order in which they were first looked at.
        behind: Waits for the threads that wait for it.
    """

    __slots__ = ("__weakref__", "age", "behind", "entry", "holders")

    def __init__(self, entry: Entry, age: int) -> None:
        self.entry = entry
        self.holders: tuple[Any, ...] = ()  # of what is known of nested waits
        self.age = age
        self.behind: list[Root] = []


def note(entry: object, admission: "Admission") -> "Level":
    """Have a place in line that a coroutine is about to wait for looked at; on its loop's thread.

    Returns:
        Where it was noted. What comes to the same pool from the same loop while that is armed may be put
        there at once.
    """
    loop = _get_running_loop()
    assert loop is not None  # noqa: S101 - it runs whoever is about to wait
    pools: dict[int, PoolNotes] | None = kept(loop, _KEY)
    if pools is None:
        pools = {}
        keep(loop, _KEY, pools)
    notes = pools.get(id(admission))
    if notes is None:
        notes = pools[id(admission)] = PoolNotes(pools, admission, loop_state(loop))
    fresh = notes.fresh
    fresh.waits.append(entry)
    if not fresh.armed:
        fresh.arm()
    return fresh


def note_call(call: object, admission: "Admission") -> None:
    """Note a call that keeps its outcome, without keeping it."""
    note(weakref.ref(call), admission)


def note_stream(consumer: Any) -> None:
    """Note a stream's place in line, whenever it has one, for as long as it has a consumer."""
    note(OfStream(consumer), consumer._engine.admission)  # noqa: SLF001 - a stream of ours


class OfStream:
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


class PoolNotes:
    """The waits of one loop for one pool, by how often they have been looked at."""

    __slots__ = ("_home", "_levels", "admission", "fresh", "mailbox")

    def __init__(
        self, home: "dict[int, PoolNotes]", admission: "Admission", mailbox: LoopState
    ) -> None:
        self._home = home
        self.admission = admission
        self.mailbox = mailbox
        self._levels: dict[int, Level] = {}
        self.fresh = self._level(0)

    def _level(self, number: int) -> "Level":
        level = self._levels.get(number)
        if level is None:
            level = self._levels[number] = Level(self, number)
        return level

    def add(self, wait: Any, number: int) -> None:
        """Look at ``wait`` when the pause of a level is over."""
        level = self._level(number)
        level.waits.append(wait)
        if not level.armed:
            level.arm()

    def close_if_idle(self) -> None:
        """Nothing of the pool is kept when none of its calls is waited for."""
        if not any(level.waits or level.armed for level in self._levels.values()):
            self._home.pop(id(self.admission), None)


class Level:
    """Waits that are looked at after the same pause."""

    __slots__ = ("_mark", "_most", "_notes", "_number", "armed", "mailbox", "waits")

    def __init__(self, notes: PoolNotes, number: int) -> None:
        self._notes = notes
        self.mailbox = notes.mailbox
        self._number = number
        self._mark = 0
        self._most = _FEW
        self.waits: list[Any] = []
        self.armed = False

    def arm(self) -> None:
        """Come back when the pause is over."""
        self.armed = True
        self._mark = self._notes.admission.progress()
        self.mailbox.watch(self, FIRST_LOOK * 2**self._number)

    def expire(self) -> None:
        """On the loop: the pause is over. Look, unless the pool has gone on meanwhile."""
        self.armed = False
        if self._notes.admission.progress() != self._mark:
            self._forget_those_gone()
            if self.waits:
                self.arm()
        else:
            waits, self.waits = self.waits, []
            self._most = _FEW
            self._look(waits)
        if not self.waits:
            self._notes.close_if_idle()

    def _look(self, waits: list[Any]) -> None:
        try:
            look(self._notes, waits, self._number)
        except Exception:  # a wait that can't be looked at is nobody's fault; it just goes on
            log.exception("the search for deadlocks has failed; the calls in question go on")

    def _forget_those_gone(self) -> None:
        """Drop what does not wait any more; of many, only when they have become twice as many."""
        if _FEW < len(self.waits) < self._most:
            return
        self.waits = [wait for wait in self.waits if entry_of(wait) is not None or is_stream(wait)]
        self._most = max(_FEW, 2 * len(self.waits))


def is_stream(wait: Any) -> bool:
    """Whether ``wait`` is about a stream that goes on, which may be in line again at any time."""
    return type(wait) is OfStream and wait.engine() is not None


def entry_of(wait: Any) -> Any:
    """The call that ``wait`` is about, if it still stands in line; else None."""
    state = getattr(wait, "state", None)
    if state is not None:  # a call itself, as most are
        return wait if state == WAITING else None
    if isinstance(wait, Root):
        wait = wait.entry
    elif type(wait) is weakref.ref:
        wait = cast("Any", wait)()
    elif isinstance(wait, OfStream):
        engine = wait.engine()
        wait = None if engine is None else place_in_line(engine)
    return wait if wait is not None and wait.state == WAITING else None


def place_in_line(engine: Any) -> Any:
    """The turn of a stream that stands in its pool's line, or has just left it; None if there is none."""
    return getattr(engine, "_turn", None) or getattr(engine, "_posted", None)
