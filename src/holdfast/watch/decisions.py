"""What governors have decided lately, for whoever shows it: the log's records as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

__all__ = ("DECIDERS", "Decider", "Decision", "decisions")


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing that a governor has done.

    Attributes:
        at: When, in seconds since 1970.
        share: How much of each limit is left from then on, 0 (the floors) to 1.
        paused: Whether nothing may start.
        reason: Why, in one line.
        limits: What the pools may have in flight from then on, by name.
        freed_bytes: What the process gave back to the system; None if nothing was tried.
    """

    at: float
    share: float
    paused: bool
    reason: str
    limits: Mapping[str, int]
    freed_bytes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {
            "at": self.at,
            "share": self.share,
            "paused": self.paused,
            "reason": self.reason,
            "limits": dict(self.limits),
            "freed_bytes": self.freed_bytes,
        }


class Decider(Protocol):
    """Who decides: a governor."""

    def decisions(self) -> tuple[Decision, ...]:
        """What it has done lately, the oldest first."""
        ...


DECIDERS: Final[list[Decider]] = []
"""Those that run."""


def decisions() -> tuple[Decision, ...]:
    """Return what the governors of this process have done lately, the oldest first."""
    found = [decision for decider in tuple(DECIDERS) for decision in decider.decisions()]
    return tuple(sorted(found, key=lambda decision: decision.at))
