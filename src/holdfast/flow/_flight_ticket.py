"""A place in a run, for those who drive the work themselves: a stream, a callback, another framework."""

from collections.abc import Hashable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from holdfast.flow._flight_blocking import join_blocking
from holdfast.flow._flight_core import FlightCore
from holdfast.flow._flight_group import LoopGroup
from holdfast.flow._flight_ring import INSIDE, ring_lock, shown
from holdfast.flow._flight_run import OPEN
from holdfast.pools._awaiting import follow
from holdfast.pools._threads import finalize
from holdfast.pools._timer import TIMER

if TYPE_CHECKING:
    import asyncio

__all__ = ("Ticket",)


class Ticket:
    """What ``flight.begin(key)`` returns: the lead of a run, or a place among those who wait for it.

    States: a ticket that ``leads`` is open until :meth:`settle`, :meth:`fail` or :meth:`abort`; the
    first of them counts, later ones do nothing. One that does not lead is open until it is joined,
    once, or left. ``with ticket:`` closes either kind: a leader that has not settled fails with the
    error that ends the block, and aborts where that is no ``Exception`` or where there is none. An open
    ticket that is forgotten is aborted, or left, when it is collected, so a stream that is dropped
    strands nobody.

    Every method may be called from any thread: a run may be settled elsewhere than it was begun.

    Attributes:
        leads: Whether this caller is to do the work.
        key: What the run is for.

    Example:
        >>> from holdfast.flow.single_flight import SingleFlight
        >>> flight = SingleFlight()
        >>> with flight.begin("q1") as lead, flight.begin("q1") as place:
        ...     lead.leads, place.leads, lead.settle(42), place.join_sync()
        (True, False, True, 42)
    """

    __slots__ = ("_core", "_open", "_run", "_term", "_timeout", "key", "leads")

    def __init__(self, core: FlightCore, timeout: float | None, key: Hashable) -> None:
        self._open = False
        self._core = core
        self._timeout = timeout
        self._run, self.leads = core.take_place(key)
        self._term = self._run.term
        self.key = key
        self._open = True

    def __repr__(self) -> str:
        role = "leads" if self.leads else "waits for"
        return f"<Ticket {role} {shown(self.key)} of {self._core.name!r}: {'open' if self._open else 'used'}>"

    @property
    def settled(self) -> bool:
        """Whether the run is over."""
        return self._run.state != OPEN

    # ------------------------------------------------------------ for the leader

    def settle(self, value: Any) -> bool:
        """End the run with a result, which all who wait get.

        Args:
            value: The result.

        Returns:
            Whether it counted; False if the run was over before.

        Raises:
            RuntimeError: The ticket does not lead.
        """
        self._check_leads("settle")
        self._open = False
        return self._core.end(self._run, self._term, value, None)

    def fail(self, error: BaseException) -> bool:
        """End the run with an error; each who waits raises one of the same class, with it as cause.

        Args:
            error: What went wrong. What is no ``Exception`` (a cancellation) aborts the run instead.

        Returns:
            Whether it counted; False if the run was over before.

        Raises:
            RuntimeError: The ticket does not lead.
        """
        self._check_leads("fail")
        self._open = False
        return self._core.end(self._run, self._term, None, error)

    def abort(self, why: str = "its driver gave it up") -> bool:
        """End the run without an outcome: a caller takes over (``promote``), or all get ``Aborted``.

        Args:
            why: The reason, for the message.

        Returns:
            Whether it counted; False if the run was over before.

        Raises:
            RuntimeError: The ticket does not lead.
        """
        self._check_leads("abort")
        self._open = False
        return self._core.abort(self._run, self._term, None, why)

    def running_here(self) -> None:
        """Say that what goes on in this context, and in tasks and threads that it begins, is the run.

        From there, waiting for the run raises :class:`WouldDeadlock`. ``flight.run`` does this by
        itself; a driver may have other plans for its context. It has no effect once the run is over.
        """
        INSIDE.set(self._run.mark)

    def _check_leads(self, what: str) -> None:
        if not self.leads:
            msg = f"{what}() is for the ticket that leads; this one waits: join() it, or leave() it"
            raise RuntimeError(msg)

    # ------------------------------------------------------------ for the others

    async def join(self) -> Any:
        """Wait for the outcome without holding a thread, for up to the flight's ``timeout``; once.

        Raises:
            RuntimeError: The ticket leads, or was used.
            WouldDeadlock: The run waits for this caller.
            CallTimeout: No outcome within the timeout; the run goes on.
            Aborted: The run has ended without an outcome.
            Exception: What the run failed with, in an instance of one's own.
        """
        core, run = self._core, self._run
        self._use("join")
        try:
            seat = core.sit_down(run, self._timeout)
        except BaseException:
            core.leave_place(run)
            raise
        try:
            return run.outcome(leader=False) if seat is None else await _wait(*seat)
        finally:
            del run, seat, self  # the traceback of an error keeps this frame

    def join_sync(self) -> Any:
        """Do the same as :meth:`join`, blocking this thread.

        Raises:
            RuntimeError: The ticket leads, or was used.
            WouldDeadlock: The run waits for this caller, or an event loop would have to stand still.
        """
        core, run = self._core, self._run
        self._use("join_sync")
        return join_blocking(core, run, self._timeout)

    def leave(self) -> None:
        """Give the place up; does nothing if it was used. A run that nobody waits for is stopped."""
        if self.leads or not self._open:
            return
        self._open = False
        self._core.leave_place(self._run)

    def _use(self, what: str) -> None:
        if self.leads:
            msg = f"{what}() is for a ticket that waits; this one leads: settle(), fail() or abort() it"
            raise RuntimeError(msg)
        if not self._open:
            msg = f"the ticket for {shown(self.key)} was used; begin() gives another one"
            raise RuntimeError(msg)
        self._open = False

    # ------------------------------------------------------------ the end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._open:
            return
        if not self.leads:
            self.leave()
        elif error is not None:
            self.fail(error)
        else:
            self.abort("its driver ended without settling it")

    def __del__(self) -> None:
        if self._open:
            core, run, term, leads = self._core, self._run, self._term, self.leads

            def let_go() -> None:
                if leads:
                    core.abort(run, term, None, "its driver has forgotten it")
                else:
                    core.leave_place(run)

            finalize(let_go, core.lock, ring_lock(), TIMER.lock)


async def _wait(group: LoopGroup, future: "asyncio.Future[bool]") -> Any:
    """Wait in a seat that was taken."""
    try:
        await future
    except GeneratorExit:
        group.thrown_away(future)
        raise
    except BaseException:
        group.left(future)
        raise
    try:
        return group.outcome(future)
    finally:
        del group, future  # the traceback of an error keeps this frame


def _awaited(names: dict[str, Any]) -> list[Any]:
    """What a caller of ``join`` waits for."""
    awaited: list[Any] = names["group"].run.awaited() if "group" in names else []
    return awaited


follow(_wait, _awaited)
