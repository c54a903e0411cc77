"""Readings of a resource pool: its figures and its holders, each as frozen records."""

from typing import TYPE_CHECKING, Any

from holdfast.track._pool_slot import LEAKED, LENT, Holder, holder_of
from holdfast.track._pool_stats import ResourceStats

if TYPE_CHECKING:
    from holdfast.track._pool_places import PoolPlaces

__all__ = ("holders", "stats_of")


def holders(core: "PoolPlaces[Any]") -> tuple[Holder, ...]:
    """Return who has a resource now, the longest first.

    With or without the lock: copying the table of slots is one step of the interpreter.
    """
    now = core.clock.now()
    lent = [slot for slot in list(core.slots) if slot.state == LENT]
    return tuple(holder_of(slot, now) for slot in sorted(lent, key=lambda slot: slot.lent_at))


def stats_of(core: "PoolPlaces[Any]") -> ResourceStats:
    """Return the figures; under the lock, for one consistent reading."""
    counters, options = core.counters, core.options
    size = len(core.slots)
    in_other_states = core.idle_count + core.lent + core.opening + core.closing
    return ResourceStats(
        name=options.name,
        min_size=options.min_size,
        max_size=options.max_size,
        size=size,
        idle=core.idle_count,
        lent=core.lent,
        opening=core.opening,
        resetting=size - in_other_states,
        closing=core.closing,
        leaked_now=sum(slot.stage == LEAKED and slot.state == LENT for slot in core.slots),
        waiting=len(core.line),
        requests=counters.requests,
        queued=counters.queued,
        served=counters.served,
        withdrawn=counters.withdrawn,
        rejected=dict(counters.rejected),
        opened=counters.opened,
        open_failures=counters.open_failures,
        closed=dict(counters.closed),
        checks_failed=counters.checks_failed,
        resets_failed=counters.resets_failed,
        close_failures=counters.close_failures,
        slow=counters.slow,
        leaked=counters.leaked,
        unleaked=counters.unleaked,
        peak_size=counters.peak_size,
        peak_lent=counters.peak_lent,
        peak_waiting=counters.peak_waiting,
        wait=counters.wait.reading(),
        usage=counters.usage.reading(),
        opening_time=counters.opening_time.reading(),
        seconds=max(0.0, core.clock.now() - core.made_at),
    )
