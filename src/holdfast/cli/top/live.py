"""The live screen: draws what is found, and does what the keys say.

States: the page of figures, and the page of stacks; each renewed, or frozen.
"""

from dataclasses import replace
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from holdfast._core import clock
from holdfast.cli.top.keyboard import Keyboard
from holdfast.cli.top.page import SORTS, Page, page
from holdfast.cli.top.source import Found, Source
from holdfast.cli.top.stack_page import stack_lines, stack_page
from holdfast.cli.top.tracks import Tracks

__all__ = ("Screen", "show")

_STEPS: Final = {"up": -1, "down": 1}


class Screen:
    """What is on the screen, without the terminal: keys and figures in, lines out.

    Args:
        source: The process.
        ascii_only: Whether the terminal can't draw blocks.
    """

    def __init__(self, source: Source, *, ascii_only: bool = False) -> None:
        self._source = source
        self._tracks = Tracks()
        self._found: Found | None = None
        self._how: Page = Page(source.command, 80, 24, ascii_only=ascii_only)
        self._stacks: list[Text] | None = None
        self._offset = 0
        self.ended = False

    def renew(self) -> None:
        """Look at the process, unless it is frozen.

        Raises:
            OSError: The process has ended, or can't be looked at.
        """
        if self._how.frozen and self._found is not None:
            return
        if self._stacks is not None:
            self._stacks = stack_lines(self._source.stacks(), self._how.width)
        self._found = self._source.take()
        self._tracks.add(self._found)

    def press(self, key: str) -> None:
        """Do what a key says; others are ignored."""
        how = self._how
        if key == "q":
            self.ended = True
        elif key == "f":
            self._how = replace(how, frozen=not how.frozen)
        elif key == "d" or (key == "back" and self._stacks is not None):
            self._offset = 0
            self._stacks = (
                stack_lines(self._source.stacks(), how.width) if self._stacks is None else None
            )
        elif self._stacks is not None:
            self._scroll(key)
        elif key == "s":
            after = (SORTS.index(how.sort) + 1) % len(SORTS)
            self._how = replace(how, sort=SORTS[after])
        elif key == "r":
            self._how = replace(how, reverse=not how.reverse)

    def lines(self, width: int, height: int) -> list[Text]:
        """Return what is to be seen now."""
        self._how = replace(self._how, width=width, height=height)
        if self._found is None:
            return []
        if self._stacks is not None:
            return stack_page(self._stacks, self._offset, height, width, frozen=self._how.frozen)
        return page(self._found, self._tracks, self._how)

    def _scroll(self, key: str) -> None:
        step = _STEPS.get(key, 0)
        if key in {"page up", "page down"}:
            step = (self._how.height - 2) * (1 if key == "page down" else -1)
        last = max(0, len(self._stacks or ()) - 1)
        self._offset = min(last, max(0, self._offset + step))


def show(source: Source, interval: float, console: Console, fd: int) -> None:
    """Show the screen until a key ends it.

    Raises:
        OSError: The process has ended, or can't be looked at.
    """
    screen = Screen(source, ascii_only=not console.encoding.lower().startswith("utf"))
    screen.renew()
    with Keyboard(fd) as keyboard, Live(console=console, screen=True, auto_refresh=False) as live:
        due = clock.now() + interval
        while not screen.ended:
            width, height = console.size
            live.update(Group(*_cropped(screen.lines(width, height))), refresh=True)
            for key in keyboard.keys(due - clock.now()):
                screen.press(key)
            if clock.now() >= due:
                due = clock.now() + interval
                screen.renew()


def _cropped(lines: list[Text]) -> list[Text]:
    for line in lines:
        line.no_wrap, line.overflow = True, "crop"
    return lines
