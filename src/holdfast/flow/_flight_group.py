"""Those who wait for a run: coroutines, by loop and deadline, and threads.

Purpose: a coroutine that waits costs one future and one place in a list, a deadline included. The
coroutines of one loop that come within 1/64 of their timeout form a group: one letter wakes them, and
one entry of the loop's timer watches over them.

States of a group, changed under the flight's lock: FILLING -> COMPLETE (after that 64th part) -> over:
announced (the run has ended), expired (their timeout has passed since the group was complete, so for
none of them too early), or dismissed (their loop has closed). The list belongs to the group's loop:
only its thread adds to it, and delivers.

A caller that leaves is not searched for in the list: its future is done, which is what counts, and
the list is cleaned once most of it has left. So leaving costs the same in a crowd of any size.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from holdfast._core.clock import Latch
from holdfast._core.loops import LoopState
from holdfast.flow._flight_ring import Mark, untie
from holdfast.flow._flight_run import VALUE, Call, Run

if TYPE_CHECKING:
    from contextvars import Context

__all__ = ("LoopGroup", "ThreadWaiter")

_FEW = 32
_WINDOW = 1 / 64
"""For how long a group is filled, in parts of its timeout."""


class Host(Protocol):
    """What a group asks of its flight."""

    def complete(self, group: "LoopGroup") -> None:
        """Nobody more is let into the group."""
        ...

    def expire(self, group: "LoopGroup") -> bool:
        """The group's time is up: whether it is this that ends its wait."""
        ...

    def leave(self, group: "LoopGroup", future: "asyncio.Future[bool]") -> None:
        """One of them waits no more."""
        ...

    def leave_later(self, group: "LoopGroup", future: "asyncio.Future[bool]") -> None:
        """The same, from a place where no lock can be taken."""
        ...


class LoopGroup:
    """Callers that wait in one loop, and whose time is up at about the same moment.

    Attributes:
        run: What they wait for.
        timeout: How long each waits at most, in seconds.
        expired: Whether their time was up before the run was over.
        calls: With ``promote``: what each has asked for.
        inside: Of those that call from inside a run: its mark.
    """

    __slots__ = (
        "_complete",
        "_due",
        "_gone",
        "_host",
        "_waiting",
        "add",
        "calls",
        "expired",
        "inside",
        "loop",
        "mailbox",
        "run",
        "timeout",
    )

    def __init__(
        self,
        host: Host,
        run: Run,
        loop: asyncio.AbstractEventLoop,
        mailbox: LoopState,
        timeout: float | None,
    ) -> None:
        self.run = run
        self.loop = loop
        self.mailbox = mailbox
        self.timeout = timeout
        self._complete = False
        self._gone = 0
        self.expired = False
        self.calls: dict[asyncio.Future[bool], tuple[Call, Context]] = {}
        self.inside: dict[asyncio.Future[bool], Mark] = {}
        self._host = host
        self._waiting: list[asyncio.Future[bool]] = []
        self.add = self._waiting.append
        self._due = None if timeout is None else mailbox.watch(self, timeout * _WINDOW)

    def left(self, future: "asyncio.Future[bool]") -> None:
        """A caller was cancelled while it waited."""
        self._host.leave(self, future)

    def thrown_away(self, future: "asyncio.Future[bool]") -> None:
        """A caller was closed while it waited, perhaps by the collector."""
        self._host.leave_later(self, future)

    def take_out(self, future: "asyncio.Future[bool]") -> None:
        """Forget one that waits no more; under the flight's lock."""
        self._gone += 1
        self.calls.pop(future, None)
        waiting = self._waiting
        if self._gone > len(waiting) // 2 + _FEW:
            before = len(waiting)
            waiting[:] = [one for one in waiting if not one.done()]
            # Some of these are cancelled and have yet to come here, so this may fall below 0.
            self._gone -= before - len(waiting)

    @property
    def size(self) -> int:
        """How many wait."""
        return len(self._waiting) - self._gone

    def candidate(self) -> "tuple[Call, Context] | None":
        """Choose who takes the work over, and make it the run's leader; under the flight's lock."""
        for future, call in self.calls.items():
            if not future.done():
                del self.calls[future]
                self.run.leader = future
                self.run.led_in = self
                return call
        return None

    def untie(self, future: "asyncio.Future[bool]") -> None:
        """A caller from inside a run does not wait any more."""
        mark = self.inside.pop(future, None)
        if mark is not None:
            untie(mark, self.run.mark)

    def outcome(self, future: "asyncio.Future[bool]") -> Any:
        """Return what a caller that was woken is to return, or raise what it is to raise."""
        if self.inside:
            self.untie(future)
        run = self.run
        if self.expired:
            raise run.timed_out(self.timeout)
        leader = future is run.leader
        try:
            return run.outcome(leader=leader)
        finally:
            del self, future, run  # the traceback of an error keeps this frame

    # ------------------------------------------------------------ being woken

    def announce(self) -> None:
        """The run is over: wake everyone, now or by a letter. A closed loop has nobody to wake."""
        if self.mailbox.is_here():
            self.deliver()
        else:
            self.mailbox.post(self)

    def expire(self) -> None:
        """On the loop: no more may come in; or their time is up."""
        self._due = None
        if not self._complete and self.timeout is not None:
            self._complete = True
            self._host.complete(self)
            self._due = self.mailbox.watch(self, self.timeout)
        elif self._host.expire(self):
            self.deliver()

    def deliver(self) -> None:
        """On the loop: wake everyone, with True if there is nothing to do but to take the value."""
        plain = self.run.state == VALUE and not self.expired and not self.inside
        for future in self._waiting:
            if not future.done():
                future.set_result(plain)
        self._waiting.clear()
        self.calls.clear()
        self.forget_deadline()

    def futures(self) -> "list[asyncio.Future[bool]]":
        """What they wait on; a copy."""
        return list(self._waiting)

    def forget_deadline(self) -> None:
        """On the loop: nobody is left to watch over."""
        if self._due is not None:
            self.mailbox.unwatch(self, self._due)
            self._due = None


class ThreadWaiter:
    """A caller that waits in a thread of its own.

    Attributes:
        run: What it waits for.
        latch: What it is parked on.
        may_lead: Whether it would take the work over.
        elected: Whether it is woken to take the work over, and not because the run is over.
    """

    __slots__ = ("elected", "latch", "may_lead", "run")

    def __init__(self, run: Run, latch: Latch, *, may_lead: bool) -> None:
        self.run = run
        self.latch = latch
        self.may_lead = may_lead
        self.elected = False

    def announce(self) -> None:
        """Let the thread go on."""
        self.latch.release()

    def futures(self) -> tuple[()]:
        """A thread has none."""
        return ()
