"""What the core asks of the place where a resource lives."""

from typing import Protocol, TypeVar

from holdfast.track._pool_slot import Slot

__all__ = ("Home",)

T = TypeVar("T")


class Home(Protocol[T]):
    """Where resources live. The stack and the count are the core's, changed under its lock."""

    idle: list[Slot[T]]
    opening: int

    @property
    def is_over(self) -> bool:
        """Whether nothing can be done here any more, because its loop is closed."""
        ...

    def open(self, slot: Slot[T], /) -> None:
        """Have ``create`` run; without waiting for it."""
        ...

    def destroy(self, slot: Slot[T], /) -> None:
        """Have ``destroy`` run; without waiting for it."""
        ...

    def reset(self, slot: Slot[T], /) -> None:
        """Have ``reset`` run; in blocking code perhaps here and now."""
        ...

    async def areset(self, slot: Slot[T], /) -> None:
        """Have ``reset`` run, and wait for it."""
        ...
