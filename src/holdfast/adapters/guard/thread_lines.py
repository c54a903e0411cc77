"""Threads that run, by the line that started them."""

import threading
from dataclasses import dataclass, field

from holdfast.adapters.guard.callers import STARTED_AT
from holdfast.adapters.guard.threads import POOL
from holdfast.track._site import Site

__all__ = ("ThreadLine", "thread_lines")


@dataclass(frozen=True, slots=True)
class ThreadLine:
    """One line that has started threads.

    Attributes:
        line: ``file:line in function``.
        stack: The same for up to three frames, the innermost first.
        count: How many of its threads run.
        pooled: How many of these are workers of executors.
        pools: Of how many executors.
        names: Some of their names.
    """

    line: str
    stack: tuple[str, ...]
    count: int
    pooled: int
    pools: int
    names: tuple[str, ...]


@dataclass(slots=True)
class _Group:
    site: Site
    count: int = 0
    pools: list[int] = field(default_factory=list[int])
    names: list[str] = field(default_factory=list[str])


def thread_lines() -> tuple[ThreadLine, ...]:
    """Return the lines that have started threads which still run, those with most first."""
    groups: dict[str, _Group] = {}
    for thread in threading.enumerate():
        frames = getattr(thread, STARTED_AT, None)
        if frames is None:
            continue
        site = Site(frames)
        group = groups.setdefault(str(site), _Group(site))
        group.count += 1
        group.names.append(thread.name)
        pool = getattr(thread, POOL, None)
        if pool is not None:
            group.pools.append(pool)
    found = (
        ThreadLine(
            line,
            group.site.stack,
            group.count,
            len(group.pools),
            len(set(group.pools)),
            tuple(group.names[:3]),
        )
        for line, group in groups.items()
    )
    return tuple(sorted(found, key=lambda each: -each.count))
