"""A stream of coroutines in its pool's line, and words to its loop from anywhere."""

from collections.abc import Callable
from typing import Protocol

from holdfast._core.loops import LoopState
from holdfast.errors import Rejected
from holdfast.pools._async_core import AsyncCore
from holdfast.pools._entry import WAITING

__all__ = ("AsyncTurn", "LoopWord")


class TurnHost(Protocol):
    """What a turn asks of its engine."""

    core: AsyncCore
    mailbox: LoopState

    def on_loop(self) -> bool:
        """Whether this is the engine's loop."""
        ...

    def turn_granted(self) -> None:
        """The place in line has become a permit; on the loop."""
        ...

    def turn_refused(self, error: Rejected) -> None:
        """The turn will never come; on the loop."""
        ...


class AsyncTurn:
    """The stream's place in the pool's line."""

    __slots__ = ("abandoned", "abandoned_at", "engine", "error", "state")
    counted = False
    size = 0

    def __init__(self, engine: TurnHost) -> None:
        self.engine = engine
        self.state = WAITING
        self.abandoned = False
        self.abandoned_at: float | None = None
        self.error: Rejected | None = None

    def granted(self) -> bool:
        engine = self.engine
        if engine.on_loop():
            engine.turn_granted()
            return True
        return engine.mailbox.post(self)

    def deliver(self) -> None:
        if self.error is not None:
            self.engine.turn_refused(self.error)
        elif self.engine.mailbox.closing:
            self.engine.core.give_back()  # nothing runs on this loop any more
        else:
            self.engine.turn_granted()

    def accepted(self) -> None:
        """Never blocked: a turn is beyond the bound of the queue."""

    def refuse(self, error: Rejected) -> None:
        self.error = error
        self.engine.mailbox.post(self)


class LoopWord:
    """Runs a function of the engine on its loop."""

    __slots__ = ("_fn",)

    def __init__(self, fn: Callable[[], None]) -> None:
        self._fn = fn

    def deliver(self) -> None:
        self._fn()
