"""How large a pool should be on this machine."""

from holdfast.limits.sizing import KINDS, Kind, Load, Machine, Recommendation, recommended
from holdfast.pools.budget import current_budget
from holdfast.sense.cpus import usable_cpus

__all__ = ("KINDS", "Kind", "Recommendation", "recommend", "this_machine")


def recommend(
    kind: Kind,
    *,
    rate: float | None = None,
    response_s: float | None = None,
    connections: int | None = None,
) -> Recommendation:
    """Return the pool for one kind of work on this machine, with the reason in one line.

    Reads the CPUs and the budget of this process, which takes under a millisecond. May be called from any
    thread.

    Args:
        kind: The kind of work: ``"llm"`` or ``"http"`` (coroutines that call a model, or anything else),
            ``"llm_threads"`` (the same from blocking code), ``"db"``, ``"files"``, ``"files_async"``,
            ``"cpu"``, ``"mixed"``, ``"default"``.
        rate: Starts per second that the service allows, more than 0; None if nobody knows.
        response_s: Mean seconds that a call takes, more than 0; None if nobody knows.
        connections: Connections that the database has for this process; None if nobody knows.

    Returns:
        Which pool, how many calls at once, the usual range, and why. Never more than the budget of this
        process holds.

    Raises:
        ValueError: There is no such kind, or a number is out of range.

    Example:
        >>> recommend("llm", rate=4, response_s=2.5).size
        10
    """
    load = Load(rate=rate, response_s=response_s, connections=connections)
    return recommended(kind, load, this_machine())


def this_machine() -> Machine:
    """Return what this process may use, as its budget says."""
    budget = current_budget()
    return Machine(
        cpus=usable_cpus(),
        threads=budget.threads,
        processes=budget.processes,
        descriptors=budget.descriptors,
    )
