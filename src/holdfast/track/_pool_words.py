"""What a resource pool says when it can't lend: who holds what, at which line, and what to do."""

from typing import TYPE_CHECKING, Any, Final

from holdfast.errors import (
    Leaked,
    PoolClosed,
    QueueFull,
    QueueTimeout,
    Rejected,
    UnderPressure,
    WouldDeadlock,
)
from holdfast.track._pool_readings import holders, stats_of
from holdfast.track._pool_slot import LENT, Asked, Holder

if TYPE_CHECKING:
    from holdfast.track._pool_places import PoolPlaces

__all__ = (
    "blocking_refusal",
    "closed_refusal",
    "full_refusal",
    "leak_report",
    "own_deadlock",
    "timeout_refusal",
    "told_by_line",
)

_SHOWN: Final = 3


def told_by_line(found: tuple[Holder, ...]) -> str:
    """Say who holds what: by line, that which has held longest first."""
    lines: dict[str, list[Holder]] = {}
    for holder in found:
        lines.setdefault(holder.where, []).append(holder)
    told = [
        f"{len(there)} at {where} (the longest for {there[0].held_s:.1f} s, by {there[0].who})"
        for where, there in lines.items()
    ]
    more = f", and {len(told) - _SHOWN} more lines" if len(told) > _SHOWN else ""
    return ", ".join(told[:_SHOWN]) + more


def closed_refusal(core: "PoolPlaces[Any]") -> PoolClosed:
    """The pool is closed."""
    msg = f"{core.options.owner} is closed and lends nothing any more; make a new one"
    return PoolClosed(msg, stats=stats_of(core))


def full_refusal(core: "PoolPlaces[Any]") -> QueueFull:
    """Too many wait already."""
    msg = (
        f"{core.options.owner}: {len(core.line)} wait already, as many as max_waiting allows; "
        f"{_state(core)}; borrow for shorter, or raise max_size or max_waiting"
    )
    return QueueFull(msg, stats=stats_of(core))


def blocking_refusal(core: "PoolPlaces[Any]") -> QueueFull:
    """Nothing is idle, and the caller must not block, because it runs a loop."""
    msg = (
        f"{core.options.owner}: nothing is idle, and waiting here would freeze the event loop of this "
        f"thread; use `async with` or `await`; {_state(core)}"
    )
    return QueueFull(msg, stats=stats_of(core))


def timeout_refusal(core: "PoolPlaces[Any]", waited_s: float) -> Rejected:
    """It has waited for its whole timeout."""
    failure = core.failure
    starved = isinstance(failure, UnderPressure) and not core.lent
    kind = UnderPressure if starved else QueueTimeout
    msg = (
        f"{core.options.owner}: nothing came free within {waited_s:.3g} s; {_state(core)}; "
        "borrow for shorter, raise max_size, or send less"
    )
    error = kind(msg, stats=stats_of(core))
    error.__cause__ = failure
    return error


def own_deadlock(core: "PoolPlaces[Any]", asked: Asked) -> WouldDeadlock | None:
    """Whether all there can be is held by the very one who asks, in blocks that enclose the asking."""
    slots = core.slots
    if not asked.in_block or len(slots) < core.options.max_size:
        return None
    for slot in slots:
        if slot.state != LENT or not slot.in_block or slot.who != asked.who:
            return None
    found = holders(core)
    msg = (
        f"{core.options.owner}: {found[0].who} waits for a resource while it holds all {len(found)} itself: "
        f"{told_by_line(found)}; use the one that it has, or borrow outside of that block"
    )
    cycle = (
        *(f"{holder.who} holds one, borrowed at {holder.where}" for holder in found),
        f"{found[0].who} waits for one at {asked.site}",
    )
    return WouldDeadlock(msg, stats=stats_of(core), cycle=cycle)


def leak_report(core: "PoolPlaces[Any]") -> Leaked | None:
    """Return what is still out when the pool has closed, or None."""
    found = holders(core)
    with core:
        left = len(core.slots) - len(found)
    if not found and not left:
        return None
    held = tuple(str(holder) for holder in found)
    if left:
        held = (*held, f"{left} that are being opened, reset or closed")
    told = f": {told_by_line(found)}" if found else ""
    if left:
        told += f"{', and' if found else ':'} {left} being opened, reset or closed"
    msg = (
        f"{core.options.owner} has closed and {len(found) + left} of its resources are still in use{told}; each "
        "is closed when it comes back; give back before closing, or close with a longer timeout"
    )
    return Leaked(msg, held=held)


def _state(core: "PoolPlaces[Any]") -> str:
    """What there is, who has it, and why there is not more; under the lock."""
    found = holders(core)
    told = f": {told_by_line(found)}" if found else ""
    parts = [f"{len(found)} of {core.options.max_size} are lent{told}"]
    if core.opening:
        parts.append(f"{core.opening} being opened")
    if len(core.line) > 1:
        parts.append(f"{len(core.line)} wait")
    if core.failure is not None:
        parts.append(
            f"the last {core.failures} attempts to open one failed"
            f" ({type(core.failure).__name__}: {core.failure})"
        )
    return ", ".join(parts)
