"""Pools that stand still: work waits, and every worker waits for something, too.

Seen twice in a row, with nothing moved between, it is told, with the line at which each worker waits. Two
cases are ended:

- workers of an executor that all wait for results of calls which are still in the queue of that very
  executor: nobody else will ever run these, so it is given further workers, one at each look;
- the pool behind default executors and anyio, whose size nobody has chosen, grows, up to half of the
  budget.
"""

import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, Final, cast

from holdfast.adapters import _shared_pool
from holdfast.adapters.guard.threads import POOL, number_of
from holdfast.pools import ThreadPool, current_budget
from holdfast.track._site import is_application

__all__ = ("Parked", "ParkedWorkers")

_WAITS: Final = (
    ("threading.py", frozenset({"wait", "acquire", "join", "_wait_for_tstate_lock"})),
    ("queue.py", frozenset({"get", "put"})),
    ("_base.py", frozenset({"result", "exception"})),
    ("selectors.py", frozenset({"select"})),
)
_FRAMES: Final = 40


@dataclass(frozen=True, slots=True)
class Parked:
    """A pool that stood still.

    Attributes:
        pool: Its name.
        workers: How many workers it had.
        queued: How many calls waited.
        at: Where its workers waited in the standard library, and how many of them.
        lines: The lines of the application that had led there.
        grown: By how many workers it was grown.
        looks: How often it was seen like this.
    """

    pool: str
    workers: int
    queued: int
    at: tuple[str, ...]
    lines: tuple[str, ...]
    grown: int = 0
    looks: int = 1

    def __str__(self) -> str:
        lines = f" ({'; '.join(self.lines)})" if self.lines else ""
        grown = f"; {self.grown} more were started" if self.grown else ""
        return (
            f"pool {self.pool}: {self.workers} workers, {self.queued} queued, all parked at "
            f"{', '.join(self.at)}{lines}{grown}"
        )


class ParkedWorkers:
    """Looks at pools from time to time.

    Args:
        executors: Returns the executors of the program.
        act: Whether to grow what nothing else can end.
    """

    def __init__(self, executors: Callable[[], Iterable[ThreadPoolExecutor]], *, act: bool) -> None:
        self._executors = executors
        self._act = act
        self._seen: dict[int, tuple[tuple[int, int], ...]] = {}
        self.found: dict[str, Parked] = {}

    def look(self) -> list[Parked]:
        """Return the pools that stand still now and were not told before."""
        frames = sys._current_frames()
        news: list[Parked] = []
        still: dict[int, tuple[tuple[int, int], ...]] = {}
        for pool in self._pools():
            parked = _parked(pool, frames)
            if parked is None:
                continue
            still[id(pool)] = stacks = _stacks(pool, frames)
            if self._seen.get(id(pool)) != stacks:  # something has moved since the last look
                continue
            before = self.found.get(parked.pool)
            grown = self._grow(pool, frames) if self._act else 0
            told = parked if before is None else _worse(before, parked)
            self.found[parked.pool] = replace(told, grown=told.grown + grown)
            if before is None:
                news.append(self.found[parked.pool])
        self._seen = still
        return news

    def _pools(self) -> list[Any]:
        shared = _shared_pool._pool
        return [*self._executors(), *((shared,) if shared is not None else ())]

    def _grow(self, pool: Any, frames: dict[int, FrameType]) -> int:
        if threading.active_count() >= current_budget().threads:
            return 0
        if isinstance(pool, ThreadPool):
            stats = pool.stats()
            if stats.limit >= max(1, current_budget().threads // 2):
                return 0
            pool.resize(stats.limit + 1)
            return 1
        if not _all_wait_for(pool, frames):
            return 0
        pool._max_workers += 1
        pool._adjust_thread_count()
        return 1


def _worse(before: Parked, now: Parked) -> Parked:
    worst = before if before.queued >= now.queued else now
    return replace(worst, workers=before.workers, grown=before.grown, looks=before.looks + 1)


def _stacks(pool: Any, frames: dict[int, FrameType]) -> tuple[tuple[int, int], ...]:
    """What changes as soon as a worker goes on."""
    found = ((frames[it.ident], it.ident) for it in list(pool._threads) if it.ident in frames)
    return tuple(sorted((ident, id(frame) ^ frame.f_lasti) for frame, ident in found))


def _parked(pool: Any, frames: dict[int, FrameType]) -> Parked | None:
    threads = [thread for thread in list(pool._threads) if thread.is_alive()]
    queued = pool.stats().queued if isinstance(pool, ThreadPool) else pool._work_queue.qsize()
    if not queued or not threads or len(threads) < pool._max_workers:
        return None
    at: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for thread in threads:
        frame = frames.get(thread.ident)
        where = None if frame is None else _waits_at(frame)
        if frame is None or where is None:
            return None
        at[where] += 1
        lines[_line(frame)] += 1
    lines.pop("", None)
    return Parked(_name(pool), len(threads), queued, _told(at), _told(lines))


def _name(pool: Any) -> str:
    if isinstance(pool, ThreadPool):
        return pool.name
    return str(getattr(pool, "_thread_name_prefix", "") or "ThreadPoolExecutor")


def _told(counts: Counter[str]) -> tuple[str, ...]:
    few = counts.most_common(3)
    return tuple(name if len(counts) == 1 else f"{name} ({count})" for name, count in few)


def _waits_at(frame: FrameType) -> str | None:
    name, function = os.path.basename(frame.f_code.co_filename), frame.f_code.co_name  # noqa: PTH119 - of many frames
    for file, functions in _WAITS:
        if name == file and function in functions:
            return f"{name}:{frame.f_lineno} {function}"
    return None


def _walk(frame: FrameType | None) -> Iterable[FrameType]:
    for _ in range(_FRAMES):
        if frame is None:
            return
        yield frame
        frame = frame.f_back


def _line(frame: FrameType) -> str:
    for each in _walk(frame):
        if is_application(each.f_code):
            return f"{each.f_code.co_filename}:{each.f_lineno} in {each.f_code.co_qualname}"
    return ""


def _all_wait_for(pool: Any, frames: dict[int, FrameType]) -> bool:
    """Whether each worker waits for the result of a call that only this pool can run."""
    for thread in list(pool._threads):
        frame = frames.get(thread.ident)
        awaited = next(
            (
                each.f_locals.get("self")
                for each in _walk(frame)
                if each.f_code.co_name in {"result", "exception"}
                and each.f_code.co_filename.endswith("concurrent/futures/_base.py")
            ),
            None,
        )
        if not isinstance(awaited, Future) or awaited.done() or awaited.running():
            return False
        if getattr(cast("object", awaited), POOL, None) != number_of(pool):
            return False
    return True
