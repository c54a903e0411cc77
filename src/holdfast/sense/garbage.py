"""The garbage collector of this process: what it tracks, and what it has done."""

import gc
import sys
from dataclasses import dataclass

from holdfast.sense.reading import Reading

__all__ = ("Garbage", "garbage_readings", "read_garbage")


@dataclass(frozen=True, slots=True)
class Garbage:
    """One reading of the collector; tuples hold one figure for each generation, youngest first.

    Attributes:
        enabled: Whether it runs by itself.
        counts: What has been counted towards the next collection.
        thresholds: At which count one comes; 0 is never.
        collections: How many there have been.
        collected: How many objects they have freed.
        uncollectable: How many unreachable objects they could not free.
        frozen: How many objects are left out of all collections (``gc.freeze``).
        blocks: Blocks of memory that Python's own allocator has handed out: a leak of Python
            objects makes this grow, a leak of a C library does not.
    """

    enabled: bool
    counts: tuple[int, ...]
    thresholds: tuple[int, ...]
    collections: tuple[int, ...]
    collected: tuple[int, ...]
    uncollectable: tuple[int, ...]
    frozen: int
    blocks: int


def read_garbage() -> Garbage:
    """Return what the collector says of itself; it collects nothing.

    May be called from any thread.

    Example:
        >>> read_garbage().blocks > 0
        True
    """
    stats = gc.get_stats()
    return Garbage(
        gc.isenabled(),
        gc.get_count(),
        gc.get_threshold(),
        tuple(each["collections"] for each in stats),
        tuple(each["collected"] for each in stats),
        tuple(each["uncollectable"] for each in stats),
        gc.get_freeze_count(),
        sys.getallocatedblocks(),
    )


def garbage_readings() -> tuple[Reading, ...]:
    """Return the same as readings: each generation's count against its threshold, and the blocks.

    May be called from any thread.

    Returns:
        One for each generation, youngest first, then ``"python blocks"``.
    """
    now = read_garbage()
    note = "" if now.enabled else "automatic collection is off"
    found = [
        Reading(
            f"gc generation {number}",
            count,
            "counted",
            threshold or None,
            "gc.get_threshold",
            note=note,
        )
        for number, (count, threshold) in enumerate(zip(now.counts, now.thresholds, strict=True))
    ]
    return (*found, Reading("python blocks", now.blocks, "blocks"))
