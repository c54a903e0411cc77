"""What a verb can't do, in one sentence: exit code 2."""

import click

__all__ = ("FINDINGS", "HEALTHY", "Trouble", "said")

HEALTHY = 0
FINDINGS = 1


class Trouble(click.ClickException):
    """The verb can't do what was asked; the message says why, and what to do."""

    exit_code = 2


def said(error: OSError | NotImplementedError) -> str:
    """Return what an error of the senses says, without its number."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
