"""One run per key: who comes while it is in flight waits for its outcome, and holds no thread."""

from typing import Literal

from holdfast._core import check
from holdfast.flow._flight_core import FlightCore
from holdfast.flow._flight_stats import FlightStats, RunStats
from holdfast.flow._flight_ticket import Ticket
from holdfast.flow._flight_view import FlightCalls

__all__ = ("FlightCalls", "FlightStats", "RunStats", "SingleFlight", "Ticket")


class SingleFlight(FlightCalls):
    """One run per key.

    A retry storm sends the same request twenty times. One of the calls, the leader, runs it; the
    others, the joiners, get its outcome. They may be in any threads and event loops; a coroutine that
    waits holds no thread and about one future, its deadline included.

    What holds, exactly:

    - **Same key in flight**: the call joins. All callers get the same result object.
    - **Another key**: a run of its own. Keys are compared like those of a dictionary, so they have to
      be hashable. A key that does not equal itself (NaN) is refused, as nobody could ever join it.
    - **Settled**: the key is free in the moment in which the run has its outcome. Nothing is cached;
      the next call runs anew (:mod:`holdfast.flow.idempotency` remembers).
    - **A joiner is cancelled, or its time is up**: nobody else is touched, at the same cost in a crowd
      of any size.
    - **The leader's caller is cancelled, or its time is up**: the work goes on, in a task of its own,
      while joiners wait.
    - **The last one leaves**: the work is cancelled. Its clean-up may outlast its callers, and is
      counted as ``ending`` until it is over.
    - **A call that comes after that** begins afresh, and never joins a run that is being cancelled.
    - **The work raises**: the leader's caller gets the error as it was raised. Each joiner gets one of
      its own, of the same class and content, with the original as its cause; so no traceback grows with
      the number of joiners, and no two threads raise one object.
    - **The work is aborted** (it is cancelled by somebody else, its loop closes, it raises
      ``GeneratorExit``, ``KeyboardInterrupt`` or ``SystemExit``): joiners get
      :class:`~holdfast.errors.Aborted`, and the leader's caller, if it is still there, the cancellation.
      With ``promote=True`` one of the joiners takes over instead: its own function runs, on its own loop
      or thread, and the others wait on, the leader's caller among them.
    - **Re-entry**: code of a run that waits for its own key, directly or over other runs and flights,
      gets :class:`~holdfast.errors.WouldDeadlock`, and the ring is named. The run is known by a context
      variable, so this works in tasks and in threads that inherit the context (those of a pool,
      ``asyncio.to_thread``), and not in bare ones.
    - **Timeout**: each caller's own, from its call. Never early; late by at most 1/16 of it and a few
      milliseconds. An outcome that comes in time wins.
    - **max_joiners**: one more is refused with :class:`~holdfast.errors.QueueFull`.
    - **A leader that stalls**: a run that is in flight for ``stall_after`` seconds is reported once, to
      the log ``holdfast.flow`` and in the statistics. It is not stopped: nobody knows whether it is slow
      or stuck. What bounds the wait of its joiners is their timeout.
    - **A loop that closes** under its joiners harms nobody else; under its leader, the work is aborted.
    - **Fork**: in the child nothing is in flight.

    How many runs are in flight is not bounded here: that is what a pool is for
    (``flight.run(key, pool.run, fn, item)``).

    Args:
        name: For messages, logs and statistics.
        mode: What a call does while its key is in flight: ``"join"`` it; ``"reject"``: raise
            ``QueueFull``; ``"off"``: every call runs by itself.
        scope: What is in flight at most once: each ``"key"``; or the whole ``"object"``, so that a call
            with another key raises ``QueueFull`` while a run is in flight or still ending.
        timeout: Longest wait of one caller in seconds; None is no bound. A blocking leader runs the work
            itself, which nothing can stop.
        max_joiners: Most callers that may join one run, at least 0.
        promote: Whether a joiner takes over from a leader that was aborted.
        stall_after: Seconds in flight after which a run is reported; None is never.

    Raises:
        ValueError: An argument is out of its range.
        TypeError: An argument is of the wrong type.

    Source:
        The name and the plain form are Go's ``golang.org/x/sync/singleflight``; what happens to leaders
        and joiners that are cancelled is where that leaves off.

    Example:
        >>> import asyncio
        >>> flight = SingleFlight()
        >>> async def answer(question):
        ...     await asyncio.sleep(0)
        ...     return question.upper()
        >>> async def storm():
        ...     calls = [flight.run("q1", answer, "why?") for _ in range(20)]
        ...     return set(await asyncio.gather(*calls)), flight.stats().leaders
        >>> asyncio.run(storm())
        ({'WHY?'}, 1)
    """

    __slots__ = ()

    def __init__(
        self,
        *,
        name: str | None = None,
        mode: Literal["join", "reject", "off"] = "join",
        scope: Literal["key", "object"] = "key",
        timeout: float | None = None,
        max_joiners: int = 10_000,
        promote: bool = False,
        stall_after: float | None = None,
    ) -> None:
        self._timeout = check.seconds("timeout", timeout)
        self._core = FlightCore(
            name,
            mode=check.choice("mode", mode, ("join", "reject", "off")),
            scope=check.choice("scope", scope, ("key", "object")),
            max_joiners=check.count("max_joiners", max_joiners),
            promote=promote,
            stall_after=check.seconds("stall_after", stall_after),
        )

    @property
    def name(self) -> str:
        """The flight's name."""
        return self._core.name

    def __repr__(self) -> str:
        s = self.stats()
        closed = ", closed" if self._core.closed else ""
        return f"<SingleFlight {s.name!r}: {s.in_flight} in flight, {s.waiting} waiting{closed}>"

    def close(self) -> None:
        """Let nobody in any more; what is in flight is cancelled, and all who wait get ``Aborted``.

        From any thread, and again. Does not wait: work that cleans up is counted as ``ending``.
        """
        self._core.close()
