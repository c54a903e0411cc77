"""What is asked of a shared client, and how much of it the process has descriptors for."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from holdfast.track._http.tickets import Door
from holdfast.track._registry import REGISTRY, Record
from holdfast.track._site import caller
from holdfast.track.descriptors import DESCRIPTORS

__all__ = ("Held", "Plan", "fitting", "of_purpose")

log = logging.getLogger("holdfast.track")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked of a shared client; two that ask for the same purpose must agree.

    Attributes:
        library: Which client.
        purpose: What for.
        limit: Most requests at once.
        max_queue: Most that wait.
        queue_timeout: Longest wait in seconds.
        keepalive: Seconds that an idle connection stays open.
        idle_timeout: Seconds after which a response without a reader is closed.
        more: Further arguments of the client's own.
        blocking: Whether it is for threads.
    """

    library: str
    purpose: str
    limit: int
    max_queue: int
    queue_timeout: float | None
    keepalive: float
    idle_timeout: float
    more: tuple[tuple[str, Any], ...]
    blocking: bool = False

    @property
    def name(self) -> str:
        """What it is called in messages and reports."""
        return f"http{'.blocking' if self.blocking else ''} {self.purpose!r}"


@dataclass(slots=True, kw_only=True)
class Held:
    """A client that is shared, and what belongs to it; one for loops and one for threads derive from it.

    Attributes:
        plan: What was asked.
        client: The client.
        door: Its line.
        is_closed: Whether somebody has closed it.
        record: Its place in the registry.
    """

    plan: Plan
    client: Any
    door: Door
    is_closed: Callable[[], bool]
    record: Record

    def forget(self) -> None:
        """It is closed."""
        self.door.close()
        self.record.drop()


D = TypeVar("D", bound=Door)
H = TypeVar("H", bound=Held)


def of_purpose(table: dict[tuple[str, str], H], plan: Plan, make: Callable[[Plan], H]) -> H:
    """Return the client of a purpose, a new one if there is none or somebody has closed it.

    Raises:
        ValueError: There is one, and it was asked for differently.
    """
    key = (plan.library, plan.purpose)
    found = table.get(key)
    if found is not None and not found.is_closed():
        if found.plan != plan:
            msg = (
                f"{found.door.name} is there already, made at {found.record.told().where} with other "
                "arguments; name another purpose, or ask for the same"
            )
            raise ValueError(msg)
        return found
    if found is not None:
        found.forget()
    table[key] = shared = make(plan)
    return shared


def fitting(plan: Plan, make: Callable[[int], D]) -> tuple[D, Callable[[Any], Record]]:
    """Return a line as wide as was asked for, or as the process has descriptors for.

    What a client draws it keeps, used or not; so it leaves a quarter of what there is to what is opened
    later (it takes one descriptor in any case).

    Args:
        plan: What was asked for.
        make: Makes the line, of the width that it is given.

    Returns:
        The line, and what puts the client into the registry.

    Raises:
        UnderPressure: There is not one descriptor to be had.
    """
    spare = DESCRIPTORS.left() - DESCRIPTORS.most() // 4
    most = min(plan.limit, max(1, spare))
    draw = DESCRIPTORS.take(most, owner=plan.name, least=1, timeout=0.0, is_open=True)
    if draw.count < plan.limit:
        log.warning(
            "%s: a limit of %d was asked for, and there are descriptors for %d: that many requests "
            "run at once",
            plan.name,
            plan.limit,
            draw.count,
        )
    door = make(draw.count)
    site = caller()

    def record(client: Any) -> Record:
        return REGISTRY.add(
            client,
            site=site,
            owner=plan.name,
            kind=f"{plan.library} client",
            name=plan.purpose,
            draw=draw,
        )

    return door, record
