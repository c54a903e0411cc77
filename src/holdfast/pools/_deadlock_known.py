"""What is known of nested waits: the permits whose holders wait, the calls they wait for, the threads.

Purpose: answer in a few hundred nanoseconds, at each look at a wait, that there is no deadlock: a pool
with more permits out than are known here has somebody who can still end.

Guarantees: nothing here is taken for true by itself, as it may be out of date: the search for a ring
looks at every wait again. What nobody looks at any more is forgotten: looks hold their :class:`Root`,
roots and parked threads hold a :class:`Holder` each for the permits above them, and all else here is
held weakly.

Everything is done under :attr:`Known.lock`. It can be taken again by the thread that has it, because the
collector may run anybody's ``__del__`` in the middle. No other lock is waited for under it but those of
admissions and of the supply, which nobody holds when he comes here.
"""

import itertools
import os
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from weakref import WeakSet, WeakValueDictionary

from holdfast.pools._admission import Admission
from holdfast.pools._deadlock_notes import Root
from holdfast.pools._entry import Entry

if TYPE_CHECKING:
    import asyncio

__all__ = ("KNOWN", "Holder", "Known", "Park", "Waiting", "pool_of")


class Holder:
    """A permit that is out, and who has to go on for it to come back.

    Attributes:
        admission: Of the pool whose permit it is.
        task: Which holds it; None where a thread does.
        key: The coroutine of the task in which it is held, or the call that a thread runs.
    """

    __slots__ = ("__weakref__", "admission", "key", "task")

    def __init__(self, admission: Admission, key: object, task: "asyncio.Task[Any] | None") -> None:
        self.admission = admission
        self.key = key
        self.task = task


class Waiting(Protocol):
    """The wait of a thread that runs a call meanwhile."""

    call: Entry


class Park:
    """A worker thread that waits, as long as it takes.

    Attributes:
        target: What it waits for: a call or a stream.
        call: The call that it runs meanwhile.
        place_only: Whether a place in the queue is all that it waits for.
        holders: The permits that will not come back before.
        root: Of the call in line that it is about.
        behind: Waits for the threads that wait for it.
    """

    __slots__ = ("behind", "call", "holders", "place_only", "root", "target")

    def __init__(self, target: object, call: Entry, *, place_only: bool) -> None:
        self.target = target
        self.call = call
        self.place_only = place_only
        self.holders: tuple[Holder, ...] = ()
        self.root: Root | None = None
        self.behind: list[Root] = []


class Known:
    """All that the looks have found."""

    def __init__(self) -> None:
        self._ages = itertools.count(1)
        self.forget()

    def forget(self) -> None:
        """Start clean, as in the child of a fork: its threads and loops are not those that were known."""
        self.lock = threading.RLock()
        self._roots: WeakValueDictionary[int, Root] = WeakValueDictionary()
        self._holders: WeakValueDictionary[int, Holder] = WeakValueDictionary()
        self._by_pool: dict[int, WeakSet[Holder]] = {}
        self._threads: WeakSet[Holder] = WeakSet()
        self._parks: dict[int, Park] = {}  # by the call that the thread runs
        self.gone_through: dict[int, float] = {}  # when the line of a pool, by its id, was
        self._waits: dict[int, list[Waiting]] = {}  # by what threads wait for

    # ------------------------------------------------------------ permits

    def hold(self, admission: Admission, key: object, task: "asyncio.Task[Any] | None") -> Holder:
        """The one record of the permit that is held in ``key``."""
        holder = self._holders.get(id(key))
        if holder is None:
            # A record holds its key and its admission, so their ids are nobody else's while it lives.
            holder = self._holders[id(key)] = Holder(admission, key, task)
            if len(self._by_pool) >= _MANY and id(admission) not in self._by_pool:
                self._by_pool = {pool: held for pool, held in self._by_pool.items() if held}
            self._by_pool.setdefault(id(admission), WeakSet()).add(holder)
            if task is None:
                self._threads.add(holder)
        return holder

    def held(self, admission: Admission) -> list[Holder]:
        """The permits of a pool whose holders are known to wait, always in the same order."""
        return sorted(self._by_pool.get(id(admission), ()), key=id)

    def count(self, admission: Admission) -> int:
        """How many these are."""
        held = self._by_pool.get(id(admission))
        return 0 if held is None else len(held)

    def holder_in(self, call: Entry) -> Holder | None:
        """The permit of a call whose thread is known to wait."""
        return self._holders.get(id(call))

    def threads(self) -> list[Holder]:
        """The permits of all calls whose threads are known to wait, always in the same order."""
        return sorted(self._threads, key=id)

    def thread_count(self) -> int:
        """How many these are."""
        return len(self._threads)

    # ------------------------------------------------------------ waits

    def root(self, entry: Entry) -> Root:
        """The one record of a call in line."""
        root = self._roots.get(id(entry))
        if root is None:
            root = self._roots[id(entry)] = Root(entry, next(self._ages))
        return root

    def age(self, entry: Entry) -> int:
        """The age of a wait for ``entry``; 0 if nobody has looked at it."""
        root = self._roots.get(id(entry))
        return 0 if root is None else root.age

    def park(self, park: Park) -> None:
        """A worker thread waits."""
        self._parks[id(park.call)] = park
        self.expect(id(park.target), park)

    def unpark(self, park: Park) -> None:
        """It goes on."""
        self._parks.pop(id(park.call), None)
        self.unexpect(id(park.target), park)

    def expect(self, target: int, wait: Waiting) -> None:
        """The thread that runs a call may wait for what has this id."""
        self._waits.setdefault(target, []).append(wait)

    def unexpect(self, target: int, wait: Waiting) -> None:
        """It does not any more."""
        waits = self._waits.get(target, [])
        if wait in waits:
            waits.remove(wait)
        if not waits:
            self._waits.pop(target, None)

    def park_of(self, call: object) -> Park | None:
        """The wait of the thread that runs ``call``."""
        return self._parks.get(id(call))

    def waits_for(self, target: object) -> list[Waiting]:
        """The waits of worker threads for ``target``."""
        return list(self._waits.get(id(target), ()))


_MANY: Final = 64

KNOWN: Final = Known()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=KNOWN.forget)


def pool_of(entry: Any) -> Admission:
    """The admission in whose line ``entry`` stands, or whose permit it has."""
    for name in ("core", "_core", "engine"):
        if (owner := getattr(entry, name, None)) is not None:
            admission: Admission = owner.admission
            return admission
    return cast("Admission", entry.admission)  # a stream's engine
