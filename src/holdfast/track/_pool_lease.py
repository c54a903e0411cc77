"""The right to use one resource for a while."""

from types import TracebackType
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from holdfast.track._pool_options import PoolOptions
    from holdfast.track._pool_slot import Slot
    from holdfast.track._registry import Record

__all__ = ("Lease",)

T = TypeVar("T")


class LeaseHost(Protocol[T]):
    """The pool, as a lease sees it."""

    options: "PoolOptions"

    def give_back(self, slot: "Slot[T]", /, *, spoilt: str = "") -> bool:
        """A loan has ended; whether the resource has to be reset."""
        ...

    def lost(self, slot: "Slot[T]", /) -> None:
        """A lease was collected."""
        ...


class Lease(Generic[T]):
    """A resource that was borrowed, until it is given back. Made by a pool only: see :class:`ResourcePool`.

    One that is dropped without having been given back ends when it is collected: its resource is closed,
    because nobody knows in what state it is, and its line is logged.

    As a context manager it gives back at the end of the block, like the pool's ``borrow``.

    Attributes:
        was_idle_s: For how long its resource had been idle when it was lent, in seconds.
        record: Where a scope answers for it: its record.
    """

    __slots__ = ("__weakref__", "_core", "_slot", "record", "was_idle_s")

    def __init__(self, core: LeaseHost[T], slot: "Slot[T]", was_idle_s: float) -> None:
        self._core = core
        self._slot: Slot[T] | None = slot
        self.was_idle_s = was_idle_s
        self.record: Record | None = None

    @property
    def resource(self) -> T:
        """What was borrowed.

        Raises:
            RuntimeError: It was given back.
        """
        slot = self._slot
        if slot is None:
            msg = f"this lease of {self._core.options.owner} has ended; borrow again"
            raise RuntimeError(msg)
        return slot.resource  # type: ignore[return-value] # a lent slot has one

    @property
    def closed(self) -> bool:
        """Whether it was given back."""
        return self._slot is None

    def forget(self) -> "Slot[T] | None":
        """Take the slot out of it; for the pool."""
        slot, self._slot = self._slot, None
        record = self.record
        if record is not None:
            self.record = None
            record.drop()
        return slot

    def take(self, slot: "Slot[T]") -> None:
        """Put ``slot`` into it again; for the pool."""
        self._slot = slot

    def release(self) -> None:
        """Give the resource back; may be repeated. From any thread, and in a coroutine without waiting.

        If it has to be reset first, and that can be done here (blocking code, a blocking ``reset``), it
        is done here; else behind the caller's back. What ``reset`` raises is logged, not raised.
        """
        slot = self.forget()
        if slot is not None and self._core.give_back(slot):
            slot.home.reset(slot)

    async def arelease(self) -> None:
        """Give the resource back, and wait until it has been reset; may be repeated."""
        slot = self.forget()
        if slot is not None and self._core.give_back(slot):
            await slot.home.areset(slot)

    def discard(self) -> None:
        """Give back something that is not fit to be lent again: it is closed, and replaced if needed."""
        slot = self.forget()
        if slot is not None:
            self._core.give_back(slot, spoilt="discarded")

    close = release
    aclose = arelease

    def __enter__(self) -> T:
        return self.resource

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None or self._core.options.keep_after(error):
            self.release()
        else:
            self.discard()

    async def __aenter__(self) -> T:
        return self.resource

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None or self._core.options.keep_after(error):
            await self.arelease()
        else:
            self.discard()

    def __repr__(self) -> str:
        return f"<Lease of {self._core.options.owner}{', ended' if self._slot is None else ''}>"

    def __del__(self) -> None:
        slot = self._slot
        if slot is not None:
            self._core.lost(slot)
