"""The search for a ring: whether anything that a wait depends on can still go on.

Purpose: decide, for one wait, whether what it waits for can come while it waits.

Model: a graph of waits in which one way out is enough (an OR graph). A call in line depends on its pool;
a pool with all permits out on whoever holds them; a holder on whatever it waits for, any of several
where it waits for several. The wait is for ever if nothing that can go on by itself is reachable from it
(a *knot*). That is exact where a holder waits for one thing, and errs towards silence where it waits for
several: all of them have to be stuck before anything is said.

Guarantees: a knot was one in truth, at some moment between the two looks that found the same. Each look
sees one thing after the other, while threads and loops go on; but a task or thread that waits in the
same place for the same thing, with the same permits, in both looks, has waited all along, so all of it
was true together when the first look ended.

Sources: Edgar Knapp, "Deadlock Detection in Distributed Databases", ACM Computing Surveys 19 (1987):
the OR model and its criterion, the knot.
"""

from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from holdfast.pools._admission import Admission
from holdfast.pools._awaiting import (
    Link,
    awaited,
    chain,
    chained_task,
    code_of,
    frame_of,
    is_asyncio,
    is_concurrent,
    is_task,
    of_a_run,
)
from holdfast.pools._deadlock_above import is_entry
from holdfast.pools._deadlock_known import KNOWN, Holder, pool_of
from holdfast.pools._deadlock_notes import place_in_line
from holdfast.pools._deadlock_stacks import blocked_in, is_ours, stacks_by_call
from holdfast.pools._entry import RUNNING, WAITING
from holdfast.pools._stream_engine import StreamEngine
from holdfast.pools._supply import SUPPLY

if TYPE_CHECKING:
    import asyncio

__all__ = ("Knot", "find_knot", "may_be_stuck", "thread_can_be_had")


def may_be_stuck(admission: Admission) -> bool:
    """Whether it is worth while to search: all permits are out, and all who have one are known to wait."""
    in_flight = admission.in_flight
    if admission.is_restricted:
        return False  # whoever restricts it under pressure gives its limit back
    if in_flight < admission.ceiling:
        return not thread_can_be_had(admission)
    return in_flight <= KNOWN.count(admission)


def thread_can_be_had(admission: Admission) -> bool:
    """Whether a permit that is free brings a call to a thread: there is room, or somebody is not stuck.

    A worker that ends its call, or is idle, gives its slot to a pool in need.
    """
    if admission.rivals is not SUPPLY:
        return True  # its calls need no thread
    return SUPPLY.threads + SUPPLY.unfilled < SUPPLY.limit or SUPPLY.threads > KNOWN.thread_count()


def find_knot(start: object) -> "Knot | None":
    """The ring that ``start`` waits for, or is part of, if there is one; under the lock of what is known."""
    first = Look()
    if not first.is_stuck(start):
        return None
    second = Look()
    if not second.is_stuck(start) or second.seen != first.seen:
        return None
    return second.knot()


class Knot(NamedTuple):
    """Waits each of which depends on all the others, and on nothing else.

    Attributes:
        nodes: Pools, calls, permits, tasks and streams, as they depend on each other.
        ways: For each, by id: which of them could let it go on.
    """

    nodes: list[Any]
    ways: dict[int, list[Any]]


class Look:
    """One walk over everything that a wait depends on.

    Attributes:
        nodes: What was visited, by id, the start first; held, so that an id stays whose it is.
        ways: For each, by id: what could let it go on.
        seen: The same in ids, to be compared with another look.
    """

    def __init__(self) -> None:
        self.nodes: dict[int, Any] = {}
        self.ways: dict[int, list[Any]] = {}
        self.seen: list[tuple[int, ...]] = []
        self._stacks: dict[int, FrameType] | None = None

    def is_stuck(self, start: object) -> bool:
        """Whether nothing can go on by itself that ``start`` depends on, ``start`` included."""
        todo, met = [start], {id(start)}
        while todo:
            node = todo.pop()
            ways = self._ways(node)
            if ways is None:
                return False
            self.nodes[id(node)] = node
            self.ways[id(node)] = ways
            self.seen.append((id(node), *map(id, ways)))
            for way in reversed(ways):
                if id(way) not in met:
                    met.add(id(way))
                    todo.append(way)
        return True

    def knot(self) -> Knot:
        """Of the nodes that were visited, some that all depend on each other and on no others.

        What the start waits for may be in a ring of which it is no part; from any node that can't be
        reached again, a smaller set is reached.
        """
        start = next(iter(self.nodes))
        while True:
            reached = self._reached(start, self.ways)
            back: dict[int, list[Any]] = {}
            for one in reached:
                for way in self.ways[one]:
                    back.setdefault(id(way), []).append(self.nodes[one])
            returning = self._reached(start, back)
            if (away := next((one for one in reached if one not in returning), None)) is None:
                nodes = [node for one, node in self.nodes.items() if one in reached]
                return Knot(nodes, self.ways)
            start = away

    def _reached(self, start: int, ways: dict[int, list[Any]]) -> set[int]:
        met, todo = {start}, [start]
        while todo:
            for way in ways.get(todo.pop(), ()):
                if id(way) not in met:
                    met.add(id(way))
                    todo.append(id(way))
        return met

    # ------------------------------------------------------------ what could let it go on

    def _ways(self, node: Any) -> list[Any] | None:
        """What could let ``node`` go on; None if it can by itself, or if that can't be told."""
        if isinstance(node, Admission):
            return self._of_pool(node)
        if isinstance(node, Holder):
            return [node.task] if node.task is not None else self._of_thread(node)
        if isinstance(node, StreamEngine):
            return self._of_stream(node)
        if is_task(node):
            return self._of_task(node)
        return self._of_entry(node) if is_entry(node) else _of_future(node)

    def _of_pool(self, admission: Admission) -> list[Any] | None:
        with admission.lock:
            in_flight, free = admission.in_flight, admission.in_flight < admission.ceiling
            restricted = admission.is_restricted
        if restricted:
            return None
        if free:
            if thread_can_be_had(admission):
                return None
            threads = [holder for holder in KNOWN.threads() if self._holds(holder)]
            return threads if len(threads) >= SUPPLY.threads else None
        holders = [holder for holder in KNOWN.held(admission) if self._holds(holder)]
        return holders if len(holders) >= in_flight else None

    def _holds(self, holder: Holder) -> bool:
        """Whether the permit is still held where it was when it was noted."""
        task, key = holder.task, holder.key
        if task is not None:
            return not task.done() and any(link is key for link in chain(task))
        # The turn of a stream does not say that it is over; but then no thread is in it.
        return KNOWN.park_of(key) is not None or id(key) in self._stacks_by_call()

    def _of_thread(self, holder: Holder) -> list[Any] | None:
        park = KNOWN.park_of(holder.key)
        if park is not None:
            target: Any = park.target
            over = park.place_only and target._is_accepted  # noqa: SLF001 - a call of ours
            return None if over else [target]
        return blocked_in(self._stacks_by_call().get(id(holder.key)))

    def _stacks_by_call(self) -> dict[int, FrameType]:
        if self._stacks is None:
            self._stacks = stacks_by_call()
        return self._stacks

    def _of_task(self, task: "asyncio.Task[Any]") -> list[Any] | None:
        future: Any = cast("Any", task)._fut_waiter  # noqa: SLF001 - asyncio has no other word of it
        if future is None or future.done():
            return None  # it runs, or will in this pass
        if is_task(future):
            return [future]
        links = chain(task)
        ours = _from_our_frame(links[-1]) if links else None
        return awaited(future, links) if ours is None else [ours]

    def _of_entry(self, entry: Any) -> list[Any] | None:
        if entry.state == WAITING:
            future = getattr(entry, "future", entry)
            if hasattr(future, "done") and future.done():
                return None
            return [pool_of(entry)]
        if entry.state != RUNNING:
            return None
        task = getattr(entry, "_task", None)
        if task is not None:
            return [task]
        holder = KNOWN.holder_in(entry)
        return None if holder is None else [holder]

    def _of_stream(self, engine: Any) -> list[Any] | None:
        window, feed = engine.window, engine.feed
        if window.ready or window.over() or window.next in window.held:
            return None
        if feed is not None and not feed.over:  # its input may bring something at any time
            return None
        return stream_work(engine) or None


def _of_future(node: Any) -> list[Any] | None:
    if is_asyncio(node) and not node.done():
        return awaited(node)
    if of_a_run(node, "awaited"):
        run: Any = node
        return None if run.done() else run.awaited() or None
    if is_concurrent(node) and not node.done() and (task := chained_task(node)) is not None:
        return [task]
    return None


def stream_work(engine: Any) -> list[Any]:
    """What a stream's items run in, and its place in the pool's line."""
    turn = place_in_line(engine)
    work = [turn] if turn is not None else []
    if hasattr(engine, "turns"):
        return work + sorted(engine.turns, key=id)
    tasks = (worker.task for worker in engine._workers)  # noqa: SLF001 - the tasks of a stream of ours
    return work + sorted((task for task in tasks if task is not None), key=id)


def _from_our_frame(link: Link) -> Any:
    """What the innermost coroutine waits for, if it is one of ours; else None."""
    code, frame = code_of(link), frame_of(link)
    known = _OURS.get(code.co_qualname)
    if known is None or frame is None or not is_ours(code):
        return None
    one: Any = frame.f_locals.get(known)
    return one._engine if known == "self" else one  # noqa: SLF001 - the consumer's end of a stream of ours


_OURS = {
    "AsyncCore.wait_for_permit": "waiter",
    "stand_in_line": "waiter",
    "ThreadCalls.run": "call",
    "_AsyncOutcomes._wait": "self",
}
