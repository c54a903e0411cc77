"""What became of one item."""

from typing import Any, Generic, NamedTuple, TypeVar

__all__ = ("Outcome",)

R = TypeVar("R")


class Outcome(NamedTuple, Generic[R]):
    """The result of one item: a value or an error, never both.

    Attributes:
        index: Place of the item in the input, from 0.
        item: The item itself.
        value: What the function returned; None where there is an error.
        error: What it raised, or None.
        attempts: How often the function was called for this item, from 1.
        seconds: From the start of the first attempt to the end of the last.
        instead_of: The error that ``value`` stands in for, where it is a fallback; else None.
    """

    index: int  # type: ignore[assignment] # the field's name; tuple.index is no loss
    item: Any
    value: R | None
    error: BaseException | None
    attempts: int
    seconds: float
    instead_of: BaseException | None = None

    @property
    def ok(self) -> bool:
        """Whether the function returned, or a fallback stands in for it."""
        return self.error is None

    def unwrap(self) -> R:
        """Return the value, or raise the error.

        Raises:
            BaseException: The item's error, where there is one.
        """
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value] # no error: the value is an R, which may be None
