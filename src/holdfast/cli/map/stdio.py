"""Keep standard input and output for the data, out of reach of the user's function.

Purpose: a ``print`` in the function, or in a program that it starts, must not stand among the
result lines; and a program that reads its standard input (``ssh`` is known for it) must not
swallow ours.
Guarantees: whoever uses descriptor 1 then writes to standard error, whoever reads descriptor 0
finds nothing; both are put back at the end.
"""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout, suppress

from holdfast.cli.map.user_error import UserError

__all__ = ("claimed_stdin", "claimed_stdout")


@contextmanager
def claimed_stdout() -> Generator[int]:
    """Yield a private descriptor of standard output; the public one leads to standard error.

    Raises:
        UserError: There is no standard output.
    """
    with _claimed(1, "standard output") as private:
        try:
            os.dup2(2, 1)
        except OSError:  # no standard error either
            _lead_nowhere(1, os.O_WRONLY)
        # The descriptor is for other programs and for C; the stream of Python's own has a buffer,
        # and what goes to standard error should be seen at once.
        with redirect_stdout(sys.stderr):
            yield private


@contextmanager
def claimed_stdin() -> Generator[int]:
    """Yield a private descriptor of standard input; the public one is at its end at once.

    Raises:
        UserError: There is no standard input.
    """
    with _claimed(0, "standard input") as private:
        _lead_nowhere(0, os.O_RDONLY)
        yield private


@contextmanager
def _claimed(fd: int, name: str) -> Generator[int]:
    try:
        private = os.dup(fd)  # not inherited by the programs that the function starts
    except OSError:
        msg = f"there is no {name}: it is closed"
        raise UserError(msg) from None
    try:
        yield private
    finally:
        _flush_stdout()
        os.dup2(private, fd)
        os.close(private)


def _lead_nowhere(fd: int, flags: int) -> None:
    nowhere = os.open(os.devnull, flags)
    os.dup2(nowhere, fd)
    os.close(nowhere)


def _flush_stdout() -> None:
    # What the function printed has to leave while descriptor 1 still leads to standard error.
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
