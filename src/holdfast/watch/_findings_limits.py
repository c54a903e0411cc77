"""Findings about limits: what is nearly used up, and by whom."""

from collections.abc import Iterator
from typing import Final

from holdfast.sense.reading import Reading
from holdfast.watch._findings_tasks import role
from holdfast.watch._words import figure, listed, size, tallied
from holdfast.watch.finding import Finding, Severity
from holdfast.watch.look import Look

__all__ = ("of_limits",)

_CAUTION, _CRITICAL = 0.8, 0.9
# Who holds less than this part of a shared limit did not use it up.
_PART: Final = 0.1
_STALLED_PER_CENT: Final = 10.0
# What many systems give, and what holdfast would raise it to.
_USUAL, _RAISED = 1024, 65_536

_DO: Final = {
    "descriptors": "Close what holds them; raise the limit only then (`holdfast.raise_fd_limit()`).",
    "threads": "Share one pool with a bound; see who started them.",
    "processes": "Bound how many run at once, and wait for those that have ended.",
    "memory": "Hold fewer items at once; when it is full, the kernel ends a process without a word.",
    "swap": "Hold fewer items at once: what is swapped is slow.",
    "memory and swap": "Hold fewer items at once.",
    "address space": "Start fewer threads (each takes a stack of it), or raise RLIMIT_AS.",
    "committed memory": "Hold fewer items at once; this machine promises no more than it has.",
}


def of_limits(look: Look) -> Iterator[Finding]:
    """Yield what is nearly used up."""
    held = {
        "descriptors": tallied(each.kind for each in look.descriptors),
        "threads": tallied(role(each.name) for each in look.threads),
        "processes": tallied(each.name for each in look.children),
    }
    for reading in (look.bounds.descriptors, look.bounds.threads, look.bounds.processes):
        yield from _used_up(reading, reading.value or 0, listed(held[reading.name]))
    for reading in look.memory:
        if reading.name in _DO:
            yield from _used_up(reading, look.resident.value or 0, ())
    yield from _stalled(look)
    yield from _low(look)


def _used_up(reading: Reading, own: float, evidence: tuple[str, ...]) -> Iterator[Finding]:
    used = reading.used
    if used is None or used < _CAUTION or reading.name == "swap":
        return
    severity: Severity = "critical" if used >= _CRITICAL else "warning"
    shared = reading.scope != "process"
    others = shared and own < _PART * (reading.value or 0)
    if others:
        severity = "note"
    held = f"{figure(reading.value, reading.unit)} of {figure(reading.bound, reading.unit)}"
    left = figure(reading.left, reading.unit)
    who = (
        f" by {reading.scope}, {figure(own, reading.unit)} of it by this process" if shared else ""
    )
    code = reading.name.replace(" ", "-")
    yield Finding(
        severity,
        f"{code}-nearly-used-up",
        f"{held} {reading.name if reading.unit == 'bytes' else reading.unit} are taken{who}"
        f" ({used:.0%}; {left} left): {reading.source}.",
        "Others hold most of it."
        if others
        else _MEANS.get(reading.name, "Whoever asks for more is refused."),
        _DO[reading.name],
        evidence,
    )


_MEANS: Final = {
    "descriptors": 'The next files and connections get "Too many open files".',
    "threads": 'The next threads get "can\'t start new thread".',
    "processes": 'The next children get "Resource temporarily unavailable".',
    "memory": "The kernel ends a process in it when it is full.",
}


def _stalled(look: Look) -> Iterator[Finding]:
    for each in look.pressure:
        if each.resource != "memory" or each.full is None or each.scope == "machine":
            continue
        if each.full.avg60 >= _STALLED_PER_CENT:
            yield Finding(
                "warning",
                "memory-stall",
                f"In {each.scope} nothing could run for want of memory in {each.full.avg60:.0f} per cent of"
                " the last minute.",
                "What is needed is thrown out of memory and read again.",
                f"Hold fewer items at once; this process holds {size(look.resident.value or 0)}.",
            )


def _low(look: Look) -> Iterator[Finding]:
    soft, hard = look.bounds.descriptors.bound, look.hard_descriptors
    if soft is None or soft > _USUAL or (hard is not None and hard <= soft):
        return
    reachable = _RAISED if hard is None else min(hard, _RAISED)
    yield Finding(
        "note",
        "low-descriptor-limit",
        f"The process may have {soft:,.0f} descriptors, and could raise that to {reachable:,}.",
        "A few hundred sessions with a connection, a file and a pipe each need more.",
        "Call `holdfast.raise_fd_limit()` at the start, unless it uses `select.select`.",
    )
