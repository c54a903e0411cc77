"""One run of one key: its states, and what its callers are told.

States of a run, changed only under its flight's lock:

- OPEN: in the flight's table, so callers can join it. It has a leader, or is being handed from an
  aborted leader to the caller that takes over.
- VALUE, ERROR, ABORTED: over. It has left the table in the same moment; its outcome never changes.
  What its work still does (a coroutine that was cancelled and cleans up) no longer matters to anybody.

So a key is free from the moment at which its run has an outcome, and nobody can join a run that is
being cancelled.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from holdfast.errors import Aborted, CallTimeout
from holdfast.flow._flight_error import own_copy
from holdfast.flow._flight_ring import Mark, shown

if TYPE_CHECKING:
    from types import TracebackType

    from holdfast.pools._timer import Timed

__all__ = ("ABORTED", "ERROR", "OPEN", "VALUE", "Call", "Run", "Waiters", "Work")

OPEN: Final = 0
VALUE: Final = 1
ERROR: Final = 2
ABORTED: Final = 3


_ENDS_MORE = (GeneratorExit, KeyboardInterrupt, SystemExit)
"""What has ended the thread or the loop of a leader already, and is not to be raised there again."""


class Call(NamedTuple):
    """What a caller asks for."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Waiters(Protocol):
    """One or more callers that wait for a run."""

    def announce(self) -> None:
        """The run is over: wake them; from any thread, without the flight's lock."""
        ...

    def futures(self) -> Iterable[Any]:
        """What they wait on, where that is a future; may be called at any moment."""
        ...


class Work(Protocol):
    """The work of a run, where it can be stopped."""

    def stop(self) -> None:
        """Ask it to end; from any thread, without the flight's lock."""
        ...

    @property
    def future(self) -> Any:
        """The future that it settles at its end; None where it has ended, or has not begun."""
        ...


class Run:
    """One run in flight. Its attributes belong to the flight's lock while it is OPEN.

    Attributes:
        key: What it runs for.
        began: When, on the flight's clock.
        state: One of the four above.
        value: The result, in VALUE.
        error: In ERROR what the work raised; in ABORTED what ended it, where there is such a thing.
        why: In ABORTED, the reason in words.
        places: Callers whose leaving matters: all that wait, and tickets that were not used yet.
        groups: Who is to be woken.
        latest: The group that was joined last, which the next caller mostly joins too.
        filling: Groups that are still being filled, by loop and timeout.
        leader: The future of the caller whose call it is, who gets an error as it was raised; or None.
        led_in: The group of that future.
        term: Counts the leaders; what an earlier one says at its end is not heard any more.
        work: What can be stopped when nobody waits any more; None for work in a caller's own thread.
        watch: What the process's timer needs to forget the report of a stall.
        stalled: Whether it was reported.
    """

    __slots__ = (
        "_traceback",
        "began",
        "error",
        "filling",
        "groups",
        "key",
        "latest",
        "leader",
        "led_in",
        "mark",
        "places",
        "stalled",
        "state",
        "term",
        "value",
        "watch",
        "why",
        "work",
    )

    def __init__(self, flight: str, key: Hashable, began: float) -> None:
        self.key = key
        self.began = began
        self.mark = Mark(flight, key)
        self.state: int = OPEN
        self.value: Any = None
        self.error: BaseException | None = None
        self.why = ""
        self.places = 0
        self.groups: dict[Waiters, None] = {}
        # All three of LoopGroup, whose module imports this one.
        self.led_in: Any = None
        self.latest: Any = None
        self.filling: dict[tuple[asyncio.AbstractEventLoop, float | None], Any] = {}
        self.leader: object = None
        self.term = 0
        self.work: Work | None = None
        self.watch: tuple[Timed, float] | None = None
        self.stalled = False
        self._traceback: TracebackType | None = None

    def awaited(self) -> list[Any]:
        """What could bring its outcome about, for the search for deadlocks; takes no lock."""
        work = self.work
        future = None if work is None else work.future
        return [] if future is None else [future]

    @property
    def joiners(self) -> int:
        """How many of the places are not the leader's own."""
        return self.places - (self.leader is not None)

    def end(self, state: int, value: Any, error: BaseException | None, why: str) -> None:
        """Give it its outcome. Kept only if somebody waits for it."""
        wanted = self.places > 0
        self.state = state
        self.why = why
        self.value = value if wanted else None
        self.error = error if wanted else None
        self._traceback = None if self.error is None else self.error.__traceback__
        self.work = None
        self.mark.end()

    def outcome(self, *, leader: bool) -> Any:
        """Return the value, or raise: for each caller an error of its own.

        Args:
            leader: Whether it is the caller that began the run: it gets what it would have got by
                calling the function itself.
        """
        if self.state == VALUE:
            return self.value
        error = self._own_error(leader=leader)
        try:
            raise error
        finally:
            del error, self  # the traceback of the error keeps this frame

    def _own_error(self, *, leader: bool) -> BaseException:
        error = self.error
        if error is None:
            return self._aborted()
        if self.state == ABORTED:
            if not leader or isinstance(error, _ENDS_MORE):
                return self._aborted()
            if isinstance(error, asyncio.CancelledError):
                return asyncio.CancelledError(*error.args)
        if leader:
            return error
        own = own_copy(error)
        # One that can't be copied is shared, but does not collect the frames of those who share it.
        return own if own is not error else error.with_traceback(self._traceback)

    def timed_out(self, timeout: float | None) -> CallTimeout:
        """Return the error for a caller whose own time is up."""
        fate = (
            "which goes on for the others"
            if self.state == OPEN
            else "which was told to stop, as nobody else waited"
        )
        return CallTimeout(
            f"flight {self.mark.flight!r}: no outcome after a timeout of {timeout or 0.0:g} s from the run "
            f"for {shown(self.key)}, {fate}",
            stopped=False,
        )

    def _aborted(self) -> Aborted:
        error = Aborted(
            f"flight {self.mark.flight!r}: the run for {shown(self.key)} ended without an outcome: "
            f"{self.why}; its work may have had effects. Look, and call again"
        )
        error.__cause__ = self.error
        return error
