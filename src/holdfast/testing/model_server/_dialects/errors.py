"""What can be wrong with a request, before a dialect gives it its shape."""

from enum import Enum, auto

__all__ = ("ApiError", "Kind")


class Kind(Enum):
    """What is wrong; each dialect has a status and a word for it."""

    INVALID = auto()
    NOT_FOUND = auto()
    METHOD = auto()
    RATE_LIMITED = auto()
    INTERNAL = auto()
    OVERLOADED = auto()


class ApiError(Exception):
    """An answer that is an error.

    Attributes:
        kind: What is wrong.
        param: The field that is to blame, or None.
        retry_after: Seconds until another try may succeed, or None.
        allow: The methods that would do, for ``Kind.METHOD``.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        allow: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.param = param
        self.retry_after = retry_after
        self.allow = allow
