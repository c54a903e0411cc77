"""Deadlocks raise: waits that can't end are found, and one of them is refused.

Purpose: a worker that waits for a call in its own full pool, a ring of waits over several pools, a
coroutine that enters its own pool again: none of them hangs.

Guarantees
- A call is refused only if it could not have started before its own deadline, whatever else happens:
  everything that could make room for it waits, in the end, for it.
- A ring of waits of the kinds below is found within milliseconds of the wait that closes it, or, when it
  is closed by the end of something that was alive, after at most as long again as its youngest wait has
  lasted, and one second (ten, if that wait began before anybody who holds a permit waited for it).
- One call of the ring is refused with :class:`WouldDeadlock`: it never started and never will. All who
  wait for its outcome get that error. The others go on.
- A call that nobody waits for inside a pool costs one append to a list where it waits in line, and
  nothing where it does not. Nothing is set, kept or counted for a call that runs.

Who is refused: of the waits of the ring the one that would time out first, as that one has to fail in
any case; without deadlines the newest. A ring that ``result(timeout=...)``, or another wait that simply
goes on after a time, is part of is no deadlock, and is left alone.

How it works. Nobody records who waits for whom. A call that waits in line is *noted*
(``_deadlock_notes.py``), a worker thread that waits looks around by itself (``_deadlock_park.py``), and
the line of a thread pool is looked at from the loops whose coroutines stand in it
(``_deadlock_standing.py``); all of it only after five milliseconds, and then at growing intervals. A look
first asks whether anybody above the call holds a permit (``_deadlock_above.py``): by asyncio's own links
from a future to who awaits it, and by the stacks of threads. Almost always the answer is no. Then whether
all permits of the call's pool are known to be held by such waits (``_deadlock_known.py``): two
comparisons. Only then it searches for a ring (``_deadlock_search.py``), twice, and takes the call out of
the line under the lock of its pool: if it has just been given a permit, there was no deadlock.

States of a wait: not looked at -> plain (no permit above it) or nested (there is one; it is known) -> over.
It may change from plain to nested when somebody begins to await a task that was left alone so far.

What is seen: ``run``, ``submit`` and its future (``result()``, ``await``, ``concurrent.futures.wait`` and
``as_completed`` without a timeout), streams, a submission that waits before a full queue; tasks that are
awaited directly or by ``gather``, ``TaskGroup`` (anyio's as well), ``wait``, ``wait_for``, ``shield`` and
``as_completed``; ``run_coroutine_threadsafe(...).result()`` and ``asyncio.run`` in a worker thread. What
waits for anything else (a queue, an event, a lock, a socket) is taken to be alive.
"""

from typing import Any, Final, NamedTuple

from holdfast.errors import WouldDeadlock
from holdfast.pools._deadlock_above import is_entry
from holdfast.pools._deadlock_bounds import choose
from holdfast.pools._deadlock_known import KNOWN, pool_of
from holdfast.pools._deadlock_report import cycle_lines, explanation
from holdfast.pools._deadlock_search import find_knot
from holdfast.pools._deadlock_steady import STEADY
from holdfast.pools._entry import WAITING, Entry

__all__ = ("Verdict", "break_ring")


class Verdict(NamedTuple):
    """What came of a search.

    Attributes:
        refused: Whether a call was refused, so that something goes on now.
        ring: The lines of a ring that can't be broken so: all its calls have started, and wait for
            each other's outcome.
    """

    refused: bool
    ring: tuple[str, ...] = ()


_NO_RING: Final = Verdict(refused=False)


def break_ring(start: object, *, of: Entry | None = None) -> Verdict:
    """If ``start`` waits for ever, refuse one call of the ring that is the reason.

    Args:
        start: A call in line, or what a thread waits for.
        of: The call whose thread waits for ``start``; without it no :attr:`Verdict.ring` is returned,
            and neither if the ring is not its own.
    """
    with KNOWN.lock, STEADY:
        knot = find_knot(start)
        if knot is None:
            return _NO_RING
        lines = cycle_lines(knot)
        waiting = [node for node in knot.nodes if is_entry(node) and node.state == WAITING]
        if not waiting:
            inside = of is not None and KNOWN.holder_in(of) in knot.nodes
            return Verdict(refused=False, ring=lines if inside else ())
        victim = choose(knot, waiting)
        if victim is None or not _withdraw(victim):
            return _NO_RING
    error = pool_of(victim).refusal(WouldDeadlock, explanation(lines))
    assert isinstance(error, WouldDeadlock)  # noqa: S101 - made as one
    error.cycle = lines
    victim.refuse(error)
    return Verdict(refused=True)


def _withdraw(entry: Any) -> bool:
    """Take the call out of its line; False if it has its permit by now: there was no deadlock."""
    withdraw = getattr(getattr(entry, "core", None), "withdraw", None) or pool_of(entry).withdraw
    taken: bool = withdraw(entry)
    return taken
