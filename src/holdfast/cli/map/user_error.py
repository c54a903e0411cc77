"""The one error that ends a run with a sentence instead of a traceback."""

__all__ = ("BAD_USAGE", "FAILED", "UserError")

FAILED = 1
BAD_USAGE = 2


class UserError(Exception):
    """The run can't start, or can't go on; the message is one sentence for the user.

    Attributes:
        exit_code: What the process should exit with.
    """

    def __init__(self, message: str, *, exit_code: int = BAD_USAGE) -> None:
        super().__init__(message)
        self.exit_code = exit_code
