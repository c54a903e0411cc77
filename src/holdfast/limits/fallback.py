"""What a call gives instead, where its service does not answer in time or has no room."""

from dataclasses import dataclass
from typing import Any, cast

from holdfast.errors import CallTimeout, Rejected

__all__ = ("Fallback",)


@dataclass(frozen=True, slots=True)
class Fallback:
    """A value, or a function that makes one of the call's arguments, in place of some errors.

    Graceful degradation: an older answer, a cheaper model, an empty list. Outcomes say that they are
    fallbacks, with the error that they stand for; the pool's own figures count the error.

    Args:
        use: The value; or a function, which is called with the call's arguments, on the caller's loop. A
            coroutine function is awaited. What it raises is raised to the caller, with the first error as its
            context.
        on: Exception types that it stands in for: by default refusals (:class:`Rejected`) and timeouts of the
            pool (:class:`CallTimeout`). A mistake of the program is none of them.

    Example:
        >>> Fallback("try again later").stands_for(CallTimeout("late"))
        True
    """

    use: Any
    on: tuple[type[BaseException], ...] = (Rejected, CallTimeout)

    def __post_init__(self) -> None:
        kinds = cast("object", self.on)
        if not isinstance(kinds, tuple) or not all(
            isinstance(kind, type) and issubclass(kind, BaseException)
            for kind in cast("tuple[object, ...]", kinds)
        ):
            msg = f"on must be a tuple of exception types, not {self.on!r}"
            raise TypeError(msg)

    def stands_for(self, error: BaseException) -> bool:
        """Whether it is given in place of ``error``."""
        return isinstance(error, self.on)

    def make(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the value, or what the function returned: an awaitable, if it is a coroutine function."""
        return self.use(*args, **kwargs) if callable(self.use) else self.use
