"""What a verb can't do, in one sentence: exit code 2."""

import click

__all__ = ("FINDINGS", "HEALTHY", "UNSEEN", "Trouble", "said")

HEALTHY = 0
FINDINGS = 1

UNSEEN = (OSError, NotImplementedError)  # it hides or has gone; this is not a system that shows it
"""What the senses raise for what they can't see."""


class Trouble(click.ClickException):
    """The verb can't do what was asked; the message says why, and what to do."""

    exit_code = 2


def said(error: OSError | NotImplementedError) -> str:  # those of UNSEEN
    """Return what an error of the senses says, without its number."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
