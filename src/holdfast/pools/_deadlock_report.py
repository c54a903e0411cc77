"""The words for a deadlock: who waits for what, holding which permits, at which line."""

from collections.abc import Iterable
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Final

from holdfast.errors import WouldDeadlock
from holdfast.pools._admission import Admission
from holdfast.pools._awaiting import chain, frame_of, is_task
from holdfast.pools._deadlock_above import is_entry, permits
from holdfast.pools._deadlock_known import Holder, pool_of
from holdfast.pools._deadlock_search import Knot
from holdfast.pools._deadlock_stacks import stacks_by_call, upwards, users_line
from holdfast.pools._entry import WAITING, Entry
from holdfast.pools._stream_engine import StreamEngine

if TYPE_CHECKING:
    import asyncio

__all__ = ("cycle_lines", "explanation", "unbreakable")

_MOST_LINES: Final = 20
"""Lines in the message; the error's ``cycle`` has all of them."""

_ADVICE: Final = (
    "Give the inner calls a pool of their own, or don't wait for them while a permit is held, or raise "
    "the limit above the number of calls that can wait like this at once"
)


def unbreakable(lines: tuple[str, ...]) -> WouldDeadlock:
    """The error for a wait of a ring in which every call has started."""
    return WouldDeadlock(
        f"this wait would never end, as what it waits for waits in the end for it:{_ring(lines)}\n"
        "All of these calls have started, and none was undone. Wait for a call only where it is made, and "
        "hand its future to nobody that it waits for itself",
        cycle=lines,
    )


def explanation(lines: tuple[str, ...]) -> str:
    """Why the call was not started, with the waits that form the ring."""
    return (
        "it would wait for ever, as all that it waits for waits in the end for it:"
        f"{_ring(lines)}\n{_ADVICE}"
    )


def _ring(lines: tuple[str, ...]) -> str:
    shown = lines[:_MOST_LINES]
    more = len(lines) - len(shown)
    rest = (f"... and {more} more",) if more else ()
    return "".join(f"\n  {line}" for line in (*shown, *rest))


def cycle_lines(knot: Knot) -> tuple[str, ...]:
    """One line for each wait of a knot, equal ones counted, in the order in which they depend on another."""
    counts: dict[str, int] = {}
    stacks: dict[int, FrameType] | None = None
    for node in knot.nodes:
        ways = knot.ways[id(node)]
        if is_task(node):
            line = _of_task(node, ways)
        elif isinstance(node, Holder) and node.task is None:
            if stacks is None:
                stacks = stacks_by_call()
            line = _of_thread(node, ways, stacks)
        else:
            continue
        counts[line] = counts.get(line, 0) + 1
    return tuple(line if n == 1 else f"{line} ({n} times)" for line, n in counts.items())


def _of_task(task: "asyncio.Task[Any]", ways: list[Any]) -> str:
    frames = [frame for link in reversed(chain(task)) if (frame := frame_of(link)) is not None]
    held = [admission for admission, _ in permits(task)]
    return f"{users_line(frames) or _not_begun(frames)}{_holding(held)} waits for {_names(ways)}"


def _not_begun(frames: list[FrameType]) -> str:
    """For a task that is nothing but a call in line: what it will call."""
    for frame in frames:
        fn = frame.f_locals.get("fn")
        if isinstance(code := getattr(fn, "__code__", None), CodeType):
            return f"{code.co_filename}:{code.co_firstlineno} in {code.co_qualname}, not begun,"
    return "a task"


def _of_thread(holder: Holder, ways: list[Any], stacks: dict[int, FrameType]) -> str:
    place = users_line(upwards(stacks.get(id(holder.key)))) or "a thread"
    return f"{place}{_holding([holder.admission])} waits for {_names(ways)}"


def _holding(pools: Iterable[Admission]) -> str:
    held = " and ".join(
        f"a permit of pool {pool.name!r} ({pool.in_flight} of {pool.ceiling} in flight)"
        for pool in pools
    )
    return f", holding {held}," if held else ""


def _names(ways: list[Any]) -> str:
    names = list(dict.fromkeys(map(_name, ways)))
    several = len(ways) > len(names)
    return " or ".join(names) + (f" (any of {len(ways)})" if several else "")


def _name(way: Any) -> str:
    if is_task(way):
        return "another task"
    if isinstance(way, StreamEngine):
        return f"a stream in pool {way.admission.name!r}"
    if is_entry(way):
        call: Entry = way
        where = "in the line of" if call.state == WAITING else "that runs in"
        return f"a call {where} pool {pool_of(call).name!r}"
    return "a coroutine that runs in another thread"
