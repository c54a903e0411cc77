"""The live line: the figures of the run, drawn again and again in one line of the terminal.

What the function prints appears above it. Only drawn when asked to: no thread, no timer of its own.
"""

import os
import sys
from contextlib import suppress
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from holdfast.cli.map.layout import compose
from holdfast.cli.map.view import View

__all__ = ("LiveLine",)

_STYLES = {
    "bar": "cyan",
    "rest": "bright_black",
    "done": "green",
    "failed": "bold red",
    "flight": "cyan",
    "plain": "",
    "dim": "bright_black",
    "stop": "bold yellow",
}
_SHOW_CURSOR = b"\x1b[?25h\r\n"


class LiveLine:
    """A progress for terminals that can move their cursor. A context manager."""

    interval_s = 0.125

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._line = _Line()
        self._live = Live(
            self._line,
            console=self._console,
            auto_refresh=False,
            transient=True,
            # Output that goes to a file has to go on going there.
            redirect_stdout=_is_terminal(sys.stdout),
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        """Show what goes on before there are figures, until they come."""
        self._line.note = text
        self._live.refresh()

    def show(self, view: View) -> None:
        """Draw the line anew."""
        self._line.view = view
        self._live.refresh()

    def say(self, text: str) -> None:
        """Print one sentence above the line."""
        self._console.print(Text(f"holdfast map: {text}"), soft_wrap=True)

    def abandon(self) -> None:
        """Give the cursor back, past all buffers and locks: this runs in a signal handler."""
        with suppress(OSError):
            os.write(2, _SHOW_CURSOR)


class _Line:
    """What rich draws."""

    def __init__(self) -> None:
        self.view: View | None = None
        self.note = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # Some terminals wrap when the last column is written, and all when they echo "^C" there.
        width = max(1, options.max_width - 2)
        text = Text(no_wrap=True, overflow="crop", end="")
        if self.view is None:
            text.append(self.note[:width], "bright_black")
        else:
            for part in compose(self.view, width, ascii_only=options.ascii_only):
                text.append(part.text, _STYLES[part.role])
        yield text


def _is_terminal(stream: object) -> bool:
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty())
