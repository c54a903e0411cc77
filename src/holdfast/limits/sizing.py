"""How large a pool should be: rules for the kinds of work that agents do. Numbers in, numbers out."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from holdfast._core import check

__all__ = ("KINDS", "Kind", "Load", "Machine", "Recommendation", "recommended")

Kind = Literal[
    "llm", "http", "llm_threads", "db", "files", "files_async", "cpu", "mixed", "default"
]
"""``llm`` and ``http``: coroutines that call a model, or anything else over the network.
``llm_threads``: the same from blocking code. ``db``: a database. ``files``, ``files_async``: the disk,
from threads or coroutines. ``cpu``: computing. ``mixed``: threads that wait and compute in turns.
``default``: what the standard library would take."""

KINDS: tuple[Kind, ...] = get_args(Kind)

PoolKind = Literal["AsyncPool", "ThreadPool", "ProcessPool"]

_DESCRIPTORS_EACH = 2
"""A call over the network holds a connection, and now and then one for the look-up of its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the process may use.

    Attributes:
        cpus: Processors, as affinity and quotas give them; 1.5 for a quota of one and a half.
        threads: Worker threads of all pools together.
        processes: Worker processes.
        descriptors: File descriptors.
    """

    cpus: float
    threads: int
    processes: int
    descriptors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is known of the work; None where nobody knows.

    Args:
        rate: Starts per second that the service allows, more than 0: 60 a minute is 1.0.
        response_s: Mean seconds that a call takes, more than 0.
        connections: Connections that the database has for this process, at least 1.
    """

    rate: float | None = None
    response_s: float | None = None
    connections: int | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and not (math.isfinite(self.rate) and self.rate > 0):
            msg = f"rate must be more than 0 starts per second, not {self.rate!r}"
            raise ValueError(msg)
        check.seconds("response_s", self.response_s)
        if self.connections is not None:
            check.count("connections", self.connections, least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """A pool for one kind of work.

    Attributes:
        kind: The kind of work.
        pool: Which pool is for it.
        size: Calls at once.
        low: The least that is usual for such work, on any machine.
        high: The most that is usual for such work, on any machine.
        reason: Why so many, in one line.
    """

    kind: Kind
    pool: PoolKind
    size: int
    low: int
    high: int
    reason: str


def recommended(kind: Kind, load: Load, machine: Machine) -> Recommendation:
    """Return the pool for one kind of work on one machine.

    Args:
        kind: The kind of work, one of :data:`KINDS`.
        load: What is known of it.
        machine: What the process may use; no recommendation needs more.

    Raises:
        ValueError: There is no such kind of work.

    Source:
        Model calls by Little's law (1961): calls in flight = starts per second x seconds each. The
        ranges for the rest are those that operators of such programs report.

    Example:
        >>> machine = Machine(cpus=2, threads=100, processes=100, descriptors=800)
        >>> recommended("llm", Load(rate=10, response_s=2.5), machine).size
        25
    """
    check.choice("kind", kind, KINDS)
    return _bounded(_RULES[kind](load, machine), machine)


# ---------------------------------------------------------------- rules


def _calls(kind: Kind, pool: PoolKind, low: int, high: int, load: Load) -> Recommendation:
    """Calls to a service: by Little's law where its rate and its response time are known."""
    rate, response_s = load.rate, load.response_s
    if rate is not None and response_s is not None:
        exact = rate * response_s
        size = max(1, math.ceil(exact - 1e-9))
        reason = (
            f"{rate:g} starts a second x {response_s:g} s each keep {exact:.3g} calls in flight "
            f"(Little's law); more would only wait for the rate"
        )
        low = high = size
    else:
        size = (low + high) // 2
        missing = "its rate limit and mean response time are" if rate is None else "response_s is"
        missing = "rate is" if rate is None and response_s is not None else missing
        reason = (
            f"{low} to {high} are usual while {missing} not known; with both it is their product"
        )
    return Recommendation(kind=kind, pool=pool, size=size, low=low, high=high, reason=reason)


def _llm(load: Load, _machine: Machine) -> Recommendation:
    return _calls("llm", "AsyncPool", 10, 50, load)


def _http(load: Load, _machine: Machine) -> Recommendation:
    return _calls("http", "AsyncPool", 10, 50, load)


def _llm_threads(load: Load, _machine: Machine) -> Recommendation:
    return _calls("llm_threads", "ThreadPool", 10, 20, load)


def _db(load: Load, _machine: Machine) -> Recommendation:
    low, high = 5, 20
    if load.connections is not None:
        size = min(load.connections, high)
        more = (
            "" if size == load.connections else f"; it has {load.connections}, but few gain by that"
        )
        reason = f"a thread for each of {size} connections: one more would only wait for them{more}"
    else:
        size = 10
        reason = f"{low} to {high} are usual; give connections= and it matches them"
    return Recommendation(
        kind="db", pool="ThreadPool", size=size, low=low, high=high, reason=reason
    )


def _files(_load: Load, machine: Machine) -> Recommendation:
    size = min(8, max(4, round(2 * machine.cpus)))
    reason = f"disks serve few at once: twice the {machine.cpus:g} CPUs, between 4 and 8"
    return Recommendation(kind="files", pool="ThreadPool", size=size, low=4, high=8, reason=reason)


def _files_async(_load: Load, _machine: Machine) -> Recommendation:
    reason = (
        "20 to 100 coroutines keep the threads behind them busy without holding many files open"
    )
    return Recommendation(
        kind="files_async", pool="AsyncPool", size=50, low=20, high=100, reason=reason
    )


def _cpu(_load: Load, machine: Machine) -> Recommendation:
    size = max(1, math.floor(machine.cpus + 1e-9))
    reason = f"a process for each of the {machine.cpus:g} CPUs that this process may use"
    return Recommendation(
        kind="cpu", pool="ProcessPool", size=size, low=size, high=size, reason=reason
    )


def _mixed(_load: Load, machine: Machine) -> Recommendation:
    low, high = (max(2, math.ceil(times * machine.cpus)) for times in (2, 4))
    size = max(low, math.ceil(3 * machine.cpus))
    reason = f"three for each of the {machine.cpus:g} CPUs: while some wait, the others compute"
    return Recommendation(
        kind="mixed", pool="ThreadPool", size=size, low=low, high=high, reason=reason
    )


def _default(_load: Load, machine: Machine) -> Recommendation:
    cpus = max(1, math.floor(machine.cpus + 1e-9))
    size = min(32, 5 * cpus)
    reason = f"the classic default: five for each of {cpus} CPUs, at most 32"
    return Recommendation(
        kind="default", pool="ThreadPool", size=size, low=size, high=size, reason=reason
    )


_RULES: dict[Kind, Callable[[Load, Machine], Recommendation]] = {
    "llm": _llm,
    "http": _http,
    "llm_threads": _llm_threads,
    "db": _db,
    "files": _files,
    "files_async": _files_async,
    "cpu": _cpu,
    "mixed": _mixed,
    "default": _default,
}


def _bounded(found: Recommendation, machine: Machine) -> Recommendation:
    """What the machine can't hold is not recommended, and the reason says so."""
    if found.pool == "AsyncPool":
        most, of = machine.descriptors // _DESCRIPTORS_EACH, f"{machine.descriptors} descriptors"
    elif found.pool == "ThreadPool":
        most, of = machine.threads, f"{machine.threads} threads"
    else:
        most, of = machine.processes, f"{machine.processes} processes"
    most = max(1, most)
    if found.size <= most:
        return found
    reason = f"{most}, as the budget of {of} holds no more; without it: {found.reason}"
    return replace(found, size=most, reason=reason)
