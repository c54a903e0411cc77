"""One place for a resource in a pool, and the states that it goes through.

::

    OPENING --> IDLE <--> LENT --> RESETTING --> IDLE
       |          |         |          |
       |          +---------+----------+--> CLOSING --> GONE
       +--> GONE (create failed)

- OPENING: ``create`` runs, or waits for descriptors.
- IDLE: open, at the top of its home's stack or below; may be lent.
- LENT: with a borrower, from the moment at which it was chosen for one.
- RESETTING: came back; ``reset`` runs.
- CLOSING: ``destroy`` runs. The place stays taken until it has returned, so the bound holds truthfully.

Every change is made by the core, under its lock; whoever runs a user's function reports to the core
and touches nothing. A slot leaves OPENING, RESETTING and CLOSING once, as only its own job reports.
"""

import asyncio
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from holdfast.track._site import NOWHERE, Site

if TYPE_CHECKING:
    from holdfast.track._registry import Record

__all__ = (
    "CLOSING",
    "GONE",
    "IDLE",
    "LEAKED",
    "LENT",
    "OPENING",
    "RESETTING",
    "SLOW",
    "Asked",
    "Holder",
    "Slot",
    "holder_of",
)

OPENING, IDLE, LENT, RESETTING, CLOSING, GONE = range(6)

SLOW: Final = 1
LEAKED: Final = 2
"""As what a loan has been reported."""

T = TypeVar("T")

Who = asyncio.Task[Any] | int
"""A borrower: its task, or the number of its thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who has a resource now.

    Attributes:
        who: The name of its task or thread.
        where: ``file:line in function`` at which it was borrowed.
        stack: The same for up to three frames, the innermost first.
        held_s: For how many seconds.
        leaked: Whether it has been reported as leaked.
    """

    who: str
    where: str
    stack: tuple[str, ...]
    held_s: float
    leaked: bool

    def __str__(self) -> str:
        return f"{self.who} for {self.held_s:.1f} s, borrowed at {self.where}"


class Asked:
    """Who asks for a resource, from where, and for which home."""

    __slots__ = ("home", "in_block", "site", "who")

    def __init__(self, home: Any, site: Site, who: Who, *, in_block: bool) -> None:
        self.home = home
        self.site = site
        self.who = who
        self.in_block = in_block


class Slot(Generic[T]):
    """A place for a resource.

    Attributes:
        home: Where its functions run: the helpers' threads, or a loop.
        state: See above.
        resource: What ``create`` has returned; None before and after.
        expires_at: When its life is over.
        idle_since: When it became idle.
        lent_at: When it was lent.
        who: The borrower.
        site: Where it was borrowed.
        in_block: Whether by a ``with`` block, which nobody but the borrower ends.
        stage: 0, SLOW once it was reported as slow, LEAKED once as leaked.
        record: Its record in the registry.
        reason: Why it is being closed.
        tries: How often that was cancelled and begun again.
    """

    __slots__ = (
        "expires_at",
        "home",
        "idle_since",
        "in_block",
        "lent_at",
        "reason",
        "record",
        "resource",
        "site",
        "stage",
        "state",
        "tries",
        "who",
    )

    def __init__(self, home: Any) -> None:
        self.home = home
        self.state = OPENING
        self.resource: T | None = None
        self.expires_at = 0.0
        self.idle_since = 0.0
        self.lent_at = 0.0
        self.who: Who | None = None
        self.site: Site = NOWHERE
        self.in_block = False
        self.stage = 0
        self.record: Record | None = None
        self.reason = ""
        self.tries = 0


def holder_of(slot: Slot[Any], now: float) -> Holder:
    """Return who has it, as a frozen record."""
    return Holder(
        who=_name(slot.who),
        where=str(slot.site),
        stack=slot.site.stack,
        held_s=max(0.0, now - slot.lent_at),
        leaked=slot.stage == LEAKED,
    )


def _name(who: Who | None) -> str:
    if isinstance(who, int):
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        return f"thread {names.get(who, 'that has ended')!r}"
    return "somebody" if who is None else f"task {who.get_name()!r}"
