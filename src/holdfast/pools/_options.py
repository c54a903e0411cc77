"""The options that a view of a pool can change for its own calls."""

from dataclasses import dataclass, replace
from typing import Final

from holdfast._core import check

__all__ = ("UNSET", "Options", "Unset")


class Unset:
    """The type of :data:`UNSET`: an option that was not given, where None means "no bound"."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


@dataclass(frozen=True, slots=True)
class Options:
    """How one call is to be treated.

    Attributes:
        timeout: Longest run in seconds, from the start of the call; None is no bound.
        queue_timeout: Longest wait for a permit in seconds; None is no bound.
    """

    timeout: float | None = None
    queue_timeout: float | None = None

    def __post_init__(self) -> None:
        check.seconds("timeout", self.timeout)
        check.seconds("queue_timeout", self.queue_timeout, zero=True)

    def with_(
        self, timeout: float | Unset | None, queue_timeout: float | Unset | None
    ) -> "Options":
        """Return a copy with what was given in place of what is here."""
        changed = self
        if not isinstance(timeout, Unset):
            changed = replace(changed, timeout=timeout)
        if not isinstance(queue_timeout, Unset):
            changed = replace(changed, queue_timeout=queue_timeout)
        return changed
