"""What the user sees on standard error while the run goes on."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Protocol

from holdfast.cli.map.view import View

__all__ = ("Progress", "Quiet", "open_progress", "tell")

_PREFIX = "holdfast map: "


class Progress(Protocol):
    """A place for the running figures, and for sentences between them."""

    interval_s: float

    def note(self, text: str) -> None:
        """Show what goes on before there are figures, until they come."""
        ...

    def show(self, view: View) -> None:
        """Show the figures as they are now."""
        ...

    def say(self, text: str) -> None:
        """Say one sentence that stays."""
        ...

    def abandon(self) -> None:
        """Leave the terminal usable; the process ends at once. Called in a signal handler."""
        ...


class Quiet:
    """No figures: standard error goes to a file, to another program, or to a simple terminal."""

    interval_s = 0.5

    def note(self, text: str) -> None:
        """Show nothing."""

    def show(self, view: View) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Write one sentence to standard error."""
        tell(text)

    def abandon(self) -> None:
        """There is nothing to put right."""


@contextmanager
def open_progress() -> Generator[Progress]:
    """Yield the progress that standard error can show: a live line, or none."""
    if not _is_live_terminal():
        yield Quiet()
        return
    from holdfast.cli.map.live import LiveLine  # noqa: PLC0415 - rich is slow to import

    with LiveLine() as live:
        yield live


def tell(text: str) -> None:
    """Write one sentence to standard error; nobody may be there to read it."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{_PREFIX}{text}\n")
        sys.stderr.flush()


def _is_live_terminal() -> bool:
    try:
        return os.isatty(2) and os.environ.get("TERM", "dumb") not in {"", "dumb", "unknown"}
    except OSError:
        return False
