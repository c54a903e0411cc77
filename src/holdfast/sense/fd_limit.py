"""Raising the limit on open descriptors, as far as this process may."""

import sys
from dataclasses import dataclass

from holdfast._core import check
from holdfast.sense._rlimits import Rlimit, own_rlimit

if sys.platform != "win32":
    import resource

__all__ = ("USUAL_TARGET", "FdLimit", "raise_fd_limit")

USUAL_TARGET = 65_536
"""Enough for tens of thousands of connections, and little for programs that try every number up to
the limit before they start a child."""

# What macOS takes at most if the hard limit is endless (OPEN_MAX).
_LOWEST_CEILING = 10_240


@dataclass(frozen=True, slots=True)
class FdLimit:
    """What became of raising the limit; None is no limit, or none that can be read.

    Attributes:
        before: The soft limit as it was.
        after: The soft limit as it is.
        hard: The hard limit, which was left as it was.
        reason: Why ``after`` is what it is, in a sentence.
    """

    before: int | None
    after: int | None
    hard: int | None
    reason: str


def raise_fd_limit(target: int | None = None) -> FdLimit:
    """Raise this process's soft limit on open descriptors towards ``target``; never lower it.

    Call it once at the start of the program, before threads are started. Children that are started
    later inherit the limit. It changes the soft limit only, so it needs no privilege.

    A program that calls ``select.select()`` should not raise the limit above 1,024 (FD_SETSIZE):
    Python raises ValueError for a descriptor with a higher number there, and a C library may write
    past the end of its set. ``poll``, ``epoll``, ``kqueue``, the ``selectors`` module and so asyncio
    have no such bound. The same goes for old programs that are started as children.

    Args:
        target: The soft limit that is wanted, at least 1; None is 65,536. The hard limit cuts it.

    Returns:
        What the limit was and is, and why. A refusal of the system is in ``reason`` too; it raises
        nothing.

    Raises:
        TypeError: ``target`` is no whole number.
        ValueError: ``target`` is less than 1.

    Example:
        >>> done = raise_fd_limit(1)
        >>> done.before == done.after
        True
    """
    wanted = USUAL_TARGET if target is None else check.count("target", target, least=1)
    limit = own_rlimit("RLIMIT_NOFILE")
    if limit is None:
        return FdLimit(None, None, None, "not available here: the platform has no such limit")
    if limit.soft is None or limit.soft >= wanted:
        reason = f"nothing to do: the soft limit is {_told(limit.soft)}, {wanted:,} were wanted"
        return FdLimit(limit.soft, limit.soft, limit.hard, reason)
    reachable = wanted if limit.hard is None else min(wanted, limit.hard)
    if reachable <= limit.soft:
        reason = f"the hard limit of {limit.hard:,} is reached: raise that as root, or where the program is started"
        return FdLimit(limit.soft, limit.soft, limit.hard, reason)
    return _raise(limit, wanted, reachable)


def _raise(limit: Rlimit, wanted: int, reachable: int) -> FdLimit:
    refusal = _set(reachable)
    if refusal and limit.hard is None and (limit.soft or 0) < _LOWEST_CEILING < reachable:
        reachable = _LOWEST_CEILING
        refusal = _set(reachable)
    now = own_rlimit("RLIMIT_NOFILE")
    after = limit.soft if now is None else now.soft
    if refusal:
        reason = f"the system refused {reachable:,}: {refusal}"
    elif reachable < wanted:
        reason = f"raised to {reachable:,}, as far as the system allows; {wanted:,} were wanted"
    else:
        reason = f"raised to {reachable:,} as wanted"
    return FdLimit(limit.soft, after, limit.hard, reason)


def _set(soft: int) -> str:
    """Set the soft limit; return why not, or nothing."""
    if sys.platform == "win32":
        return "there is no such limit"
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _told(limit: int | None) -> str:
    return "endless" if limit is None else f"{limit:,}"
