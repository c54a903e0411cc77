"""The search for deadlocks, imported when there is something to look at.

A program whose pools never stand still for some milliseconds has no need of it, and it is a tenth of the
package. This is the only way into it from what notes and waits; so those import nothing of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from holdfast._core.clock import Clock, Latch

__all__ = ("look", "look_at_line", "wait_and_look", "watch_collected")


def look(notes: object, waits: list[Any], number: int) -> None:
    """Look at coroutines that wait in line, on their loop."""
    _module("looks").look(notes, waits, number)


def look_at_line(admission: object, calls: list[Any]) -> None:
    """Look at a pool's line, where the threads of these calls are known to wait."""
    _module("lines").look_at_line(admission, calls)


def wait_and_look(
    clock: "Clock", target: object, latch: "Latch", timeout: float | None, *, place_only: bool
) -> bool:
    """Wait in a worker thread, and look around now and then."""
    return cast(
        "bool",
        _module("park").wait_and_look(clock, target, latch, timeout, place_only=place_only),
    )


def watch_collected(waiter: object) -> None:
    """Look for a worker thread that waits for several calls with ``concurrent.futures``."""
    _module("collected").watch_collected(waiter)


def _module(name: str) -> Any:
    return import_module(f"holdfast.pools._deadlock_{name}")
